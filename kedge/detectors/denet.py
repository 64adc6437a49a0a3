"""DeNet: boxes between likely corners, each then classified by a few samples of the features."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kedge.anchors import Boxes
from kedge.assign.heatmaps import outside_crowds
from kedge.boxes import clipped
from kedge.coders import Coder
from kedge.detectors.backbones import make_stacks
from kedge.detectors.detector import Detector
from kedge.detectors.images import check_labels, pad_to_multiple, sizes_of
from kedge.detectors.region_parts import region_coder, region_head, region_selection
from kedge.detectors.stage import Outcome
from kedge.losses import CodeL1, DenseLoss, Loss, SoftmaxCrossEntropy, per_sampled
from kedge.nn import DeepMLP, GridSample
from kedge.nn.heads import prior_bias
from kedge.ranks import per_rank
from kedge.sample import All, Sampler
from kedge.select import Selection
from kedge.select.corner_boxes import corner_boxes
from kedge.types import Assigner, Detections, Targets


class DeNet(Detector):
    """No anchors: a map says how likely each cell is one of the four corners of an object, and the
    likeliest boxes between corners are ``regions``. Losses are ``corner`` and those of the regions.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone, stride, width, pretrained: as in ``CornerNet``; the stride is 8 unless said.
        proposals: boxes of an image; 576, with "tiny" 100.
        candidates: corners of each kind looked at; 1,024, with "tiny" 64.
        random_share: how many random boxes are added in training, as a share of ``proposals``.
        corner_weight: of the corner loss.
        prior: what the untrained map says of every corner.
        assign, sample, coder, loss, selection: parts of ``regions``, to swap.

    Source: Tychsen-Smith and Petersson, arXiv:1703.10295; the authors' code. Deviations: see
    ``corner_boxes``; a finest map of a pyramid in place of deconvolutions; a box is of the one
    object that it overlaps most, by .5 (theirs is shared by all that it overlaps so); codes with
    deviations .1 and .2; corners begin at ``prior``, not at 5e-5.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        width: int | None = None,
        proposals: int | None = None,
        candidates: int | None = None,
        random_share: float = 0.1,
        corner_weight: float = 100.0,
        prior: float = 0.01,
        pretrained: bool = False,
        assign: Assigner | None = None,
        sample: Sampler | None = None,
        coder: Coder | None = None,
        loss: Loss | None = None,
        selection: Selection | None = None,
    ) -> None:
        tiny = backbone == "tiny"
        width = (64 if tiny else 256) if width is None else width
        stride = 8 if stride is None else stride
        body = make_stacks(backbone, stride=stride, width=width, pretrained=pretrained)
        super().__init__(
            num_classes=num_classes, strides=body.strides[:1], shapes=None, multiple=32,
            smallest=stride,
        )  # fmt: skip
        self.backbone, wide = body, body.channels[-1]
        self.corners, self.samples = nn.Conv2d(wide, 4, 1), nn.Conv2d(wide, min(96, wide), 1)
        nn.init.normal_(self.corners.weight, std=0.01)
        nn.init.constant_(self.corners.bias, prior_bias(prior))  # pyright: ignore
        self.most_proposals = (100 if tiny else 576) if proposals is None else proposals
        self.candidates = (64 if tiny else 1024) if candidates is None else candidates
        self.random_share, self.corner_weight = random_share, corner_weight
        coder = region_coder() if coder is None else coder
        usual = DenseLoss(
            classes=SoftmaxCrossEntropy(), box=CodeL1(beta=1.0), normalise=per_sampled,
            class_weight=1 / math.log(num_classes + 1),
        )  # fmt: skip
        loss = usual if loss is None else loss
        self.regions = region_head(
            GridSample(stride),
            DeepMLP(
                49 * min(96, wide) + 2, (128, 128) if tiny else (1536, 1024, 768, 512),
                classes=loss.class_scores.outputs(num_classes), codes=coder.code_size,
            ),
            num_classes=num_classes, size=self.most_proposals,
            assign=assign, coder=coder, loss=loss,
            sample=All() if sample is None else sample,
            selection=region_selection() if selection is None else selection,
        )  # fmt: skip

    def corner_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Log odds of corners (B, 4, H, W), and the features that boxes are sampled of."""
        x = self.backbone(pad_to_multiple(images, self.multiple))[-1]
        corners = self.corners(x)
        return corners.to(torch.promote_types(corners.dtype, torch.float32)), self.samples(x)

    def losses(
        self,
        images: Tensor,
        targets: Targets,
        *,
        sizes: Tensor | None = None,
        assign: Assigner | None = None,
    ) -> Outcome:
        """The losses of corners and regions: see ``Detector``. There is no strategy to override."""
        if assign is not None:
            raise ValueError("DeNet has no anchors: no strategy assigns them")
        check_labels(targets, self.num_classes)
        sizes = sizes_of(images, sizes)
        corners, features = self.corner_maps(images)
        found = self._proposals(corners, sizes)
        boxes = self._with_random(found, sizes).with_objects(targets)
        outcome = self.regions.losses([features], boxes, targets, sizes, self.progress)
        return Outcome({"corner": self.corner_loss(corners, targets)} | outcome.losses)

    def corner_loss(self, corners: Tensor, targets: Targets) -> Tensor:
        """Bits a cell and kind of corner, on average, times ``corner_weight``."""
        goal, stride = torch.zeros_like(corners), self.strides[0]
        rows = targets.real
        limit = torch.tensor([corners.shape[3], corners.shape[2]] * 2, device=corners.device) - 1
        cell = (targets.boxes[rows] / stride).round().long()
        low, high = cell[:, :2], torch.maximum(cell[:, :2], cell[:, 2:] - 1)
        x1, y1, x2, y2 = torch.minimum(torch.cat([low, high], 1).clamp(min=0), limit).unbind(1)
        for kind, (x, y) in enumerate(((x1, y1), (x2, y1), (x1, y2), (x2, y2))):
            goal[targets.image[rows], kind, y, x] = 1.0
        loss = F.binary_cross_entropy_with_logits(corners, goal, reduction="none")
        counted = outside_crowds(targets, stride, (corners.shape[2], corners.shape[3]))
        counted = counted | (goal == 1)
        total = torch.where(counted, loss, 0.0).sum()
        bits = total / per_rank(loss.numel()) / math.log(2)
        return self.corner_weight * bits

    @torch.no_grad()
    def _proposals(self, corners: Tensor, sizes: Tensor) -> Detections:
        found = corner_boxes(corners, candidates=self.candidates, most=self.most_proposals)
        cells = found.cells + torch.tensor([0, 0, 1, 1], device=corners.device)
        boxes = clipped(self.strides[0] * cells.to(corners), sizes[found.image])
        good = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1).nonzero()[:, 0]  # none in the padding
        image = found.image[good]
        return Detections(
            boxes=boxes[good], scores=found.score[good], labels=torch.zeros_like(image),
            image=image, batch_size=len(sizes),
        )  # fmt: skip

    def _with_random(self, found: Detections, sizes: Tensor) -> Boxes:
        """The proposals and, in every image, some boxes anywhere in it."""
        each = math.ceil(self.random_share * self.most_proposals)
        ends = torch.rand(len(sizes) * each, 2, 2, device=found.boxes.device).sort(1).values
        image = torch.arange(len(sizes), device=ends.device).repeat_interleave(each)
        boxes = ends.flatten(1) * sizes[image].flip(1).repeat(1, 2)
        boxes, image = torch.cat([found.boxes, boxes]), torch.cat([found.image, image])
        order = torch.argsort(image, stable=True)
        return Boxes(boxes[order], image[order], batch_size=len(sizes))

    @torch.no_grad()
    def heat_maps(self, images: Tensor) -> dict[str, Tensor]:
        """The four kinds of corners."""
        corners = self.corner_maps(images)[0].sigmoid()
        names = ("top left", "top right", "bottom left", "bottom right")
        return {name: corners[:, kind : kind + 1] for kind, name in enumerate(names)}

    @torch.no_grad()
    def propose(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The boxes between corners of a batch (B, 3, H, W), best first, of class 0."""
        return self._proposals(self.corner_maps(images)[0], sizes_of(images, sizes))

    @torch.no_grad()
    def detect(self, images: Tensor, sizes: Tensor | None = None) -> Detections:
        """The detections of a batch: see ``Detector``."""
        sizes = sizes_of(images, sizes)
        corners, features = self.corner_maps(images)
        boxes = Boxes.from_detections(self._proposals(corners, sizes))
        return self.regions.detect([features], boxes, sizes)
