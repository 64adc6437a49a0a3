"""The two stages of a detector with proposals: where objects may be, and what stands there."""

import torch
from torch import Tensor, nn

from kedge.anchors import Boxes, Grid
from kedge.coders import Coder
from kedge.detectors.stage import Outcome, Stage
from kedge.losses import Loss
from kedge.sample import Sampler
from kedge.scores import check_width
from kedge.select import Selection
from kedge.swappable import Swappable
from kedge.types import Assigner, Detections, Predictions, Targets


class StageParts(Swappable):
    """Layers, and what a stage is made of, as attributes that can be swapped at any time."""

    def __init__(
        self, layers: nn.Module, *, assign: Assigner, sample: Sampler, coder: Coder, loss: Loss
    ) -> None:
        super().__init__()
        self.layers = layers
        self.assign, self.sample, self.coder, self.loss = assign, sample, coder, loss


class RegionProposals(StageParts):
    """A first stage: is there an object, whatever its class, and where?

    ``layers`` give logits (B, N, W), of one class, and codes (B, N, D) for maps. ``training`` and
    ``testing`` select the proposals. All parts can be swapped.
    """

    def __init__(
        self,
        layers: nn.Module,
        *,
        assign: Assigner,
        sample: Sampler,
        coder: Coder,
        loss: Loss,
        training: Selection,
        testing: Selection,
    ) -> None:
        super().__init__(layers, assign=assign, sample=sample, coder=coder, loss=loss)
        self.selections = {True: training, False: testing}

    def predict(self, maps: list[Tensor], grid: Grid) -> Predictions:
        """What it says at every anchor."""
        logits, codes = self.layers(maps)
        check_width(self.loss.class_scores, logits.shape[-1], 1)
        return Predictions.from_dense(logits, codes, grid, self.coder, self.loss.class_scores)

    @torch.no_grad()
    def propose(self, predictions: Predictions, sizes: Tensor) -> Detections:
        """Boxes that may hold objects, best first in every image, clipped to ``sizes`` (B, 2)."""
        scores = predictions.classes.probability(predictions.class_rows)
        return self.selections[self.training](predictions.detach(), scores, sizes)


class RegionHead(StageParts):
    """A second stage: of which class is what stands in a box, and where exactly?

    ``pool`` takes maps, boxes (R, 4) and their images (R,) to features, ``layers`` these to class
    outputs (R, W) and codes (R, D), or (R, C D) for a box of every class. All parts can be swapped.
    Boxes are sampled before features are computed, unless ``sample`` takes them all, as strategies
    that read predictions need, or looks at losses (OHEM). In evaluation no more than ``at_once``
    are in memory at a time. ``num_classes``: C.
    """

    at_once = 2048

    def __init__(
        self,
        pool: nn.Module,
        layers: nn.Module,
        *,
        num_classes: int,
        assign: Assigner,
        sample: Sampler,
        coder: Coder,
        loss: Loss,
        selection: Selection,
    ) -> None:
        super().__init__(layers, assign=assign, sample=sample, coder=coder, loss=loss)
        self.pool, self.num_classes, self.selection = pool, num_classes, selection

    def predict(self, maps: list[Tensor], boxes: Boxes) -> Predictions:
        """What it says of every box."""
        assert boxes.image is not None
        rois, image = boxes.boxes(), boxes.image
        parts = len(rois) if self.training else self.at_once
        pairs = zip(rois.split(max(parts, 1)), image.split(max(parts, 1)))
        said = [self.layers(self.pool(maps, *part)) for part in pairs]
        logits, codes = (torch.cat(column) for column in zip(*said))
        check_width(self.loss.class_scores, logits.shape[-1], self.num_classes)
        if codes.shape[1] != self.coder.code_size:
            codes = codes.unflatten(1, (-1, self.coder.code_size))
        return Predictions(
            logits=logits, codes=codes, anchors=boxes, coder=self.coder,
            classes=self.loss.class_scores,
        )  # fmt: skip

    def learn(
        self, maps: list[Tensor], boxes: Boxes, targets: Targets, progress: float
    ) -> tuple[Outcome, Predictions]:
        """The losses of the sampled boxes, and what it says of those that features were computed
        of."""
        stage = Stage.of(self, progress)
        if self.sample.everything or "loss" in self.sample.needs:
            found = self.predict(maps, boxes)
            return stage(found, targets), found
        assignment = stage.choose(boxes, targets)
        kept, chosen, sample = stage.draw(None, assignment).keep(boxes, assignment)
        found = self.predict(maps, kept)
        return stage.lose(found, chosen, sample), found

    def losses(
        self,
        maps: list[Tensor],
        boxes: Boxes,
        targets: Targets,
        sizes: Tensor,
        progress: float = 0.0,
    ) -> Outcome:
        """The losses of the sampled boxes of images of ``sizes`` (B, 2)."""
        del sizes  # part of what a detector expects; these boxes are within their images
        return self.learn(maps, boxes, targets, progress)[0]

    @torch.no_grad()
    def detect(self, maps: list[Tensor], boxes: Boxes, sizes: Tensor) -> Detections:
        """The detections among boxes, clipped to ``sizes`` (B, 2)."""
        found = self.predict(maps, boxes)
        return self.selection(found, found.classes.probability(found.class_rows), sizes)
