"""CornerNet: an object is a pair of corners, found on heat maps and matched by embeddings."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kedge.assign.heatmaps import Points, gaussian_radius, points_of
from kedge.boxes import sizes as sides
from kedge.detectors.stacked import Stacked, stacks_of
from kedge.losses import heat_loss, offset_loss, pull_push_loss
from kedge.nn import CORNERS, CornerPool, PointMaps
from kedge.select import Selection, peaks
from kedge.types import Detections, Targets


class CornerNet(Stacked):
    """No anchors: corner pooling lets a cell know the two edges that meet there.

    Each corner has a heat map of every class, an embedding, and an offset into the cell. Losses are
    ``heat``, ``offset``, ``pull`` and ``push``.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone: "tiny", a name of timm's, or a module, of which the finest map of a feature
            pyramid is read; or "hourglass52", "hourglass104", as published, whose stacks are all
            trained.
        stride: of the map; 4 as published, with "tiny" 8.
        width: channels; 256, with "tiny" 64. An hourglass has its own.
        candidates: corners of each kind looked at in an image.
        apart: how far the embeddings of two corners of an object may be apart.
        embedding_weight: of pull and push.
        selection: how boxes are selected; soft NMS as published.

    Source: Law and Deng, arXiv:1808.01244; CornerNet-Lite's code for the radii (IoU .3).
    Deviations: the stride is exactly 4 (theirs: an input of 511 px to a map of 128 cells); a second
    look, mirrored, is asked for (``kedge evaluate --mirrored``); cells under a crowd are not told
    that there is nothing.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        width: int | None = None,
        candidates: int = 100,
        apart: float = 0.5,
        embedding_weight: float = 0.1,
        pretrained: bool = False,
        selection: Selection | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes, backbone=backbone, stride=stride, width=width,
            pretrained=pretrained, selection=selection,
        )  # fmt: skip
        channels = self.backbone.channels
        inner = min(128, channels[0])
        outputs = {"heat": num_classes, "embedding": 1, "offset": 2}
        self.pools, self.maps = nn.ModuleDict(), nn.ModuleDict()
        for corner in CORNERS:
            pools = (CornerPool(wide, corner, inner) for wide in channels)
            self.pools[corner] = nn.ModuleList(pools)
            self.maps[corner] = nn.ModuleList(PointMaps(wide, outputs) for wide in channels)
        self.candidates, self.apart = candidates, apart
        self.embedding_weight = embedding_weight

    def stack_maps(self, x: Tensor, number: int) -> dict[str, dict[str, Tensor]]:
        found = {}
        for corner in CORNERS:
            pooled = self.pools[corner][number](x)  # pyright: ignore[reportIndexIssue]
            found[corner] = self.maps[corner][number](pooled)  # pyright: ignore[reportIndexIssue]
        return found

    def map_losses(self, maps: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sums over both corners, averaged over the stacks."""
        shape, stride = maps["top_left_heat"].shape, self.strides[0]
        box = targets.of_real(targets.boxes)
        radius = gaussian_radius((sides(box) / stride).ceil(), 0.3).long()
        wanted = {
            corner: points_of(points, radius, targets, shape, stride)
            for corner, points in zip(CORNERS, (box[:, :2], box[:, 2:]))
        }
        each = [self._of_stack(maps, s, wanted) for s in stacks_of(maps, "top_left_heat")]
        return {name: torch.stack([losses[name] for losses in each]).mean() for name in each[0]}

    def _of_stack(
        self, maps: Mapping[str, Tensor], stack: str, wanted: Mapping[str, Points]
    ) -> dict[str, Tensor]:
        heat, offset, tags = [], [], []
        for corner, points in wanted.items():
            said = f"{stack}{corner}_"
            heat.append(heat_loss(maps[f"{said}heat"], points.heat, points.open))
            offset.append(offset_loss(points.read(maps[f"{said}offset"]), points.offset))
            tags.append(points.read(maps[f"{said}embedding"])[:, 0])
        batch, _, _, _ = points.heat.shape
        pull, push = pull_push_loss(tags[0], tags[1], points.image, batch)
        weight = self.embedding_weight
        return {
            "heat": sum(heat), "offset": sum(offset), "pull": weight * pull, "push": weight * push
        }  # fmt: skip  # pyright: ignore

    def find(self, maps: Mapping[str, Tensor], sizes: Tensor) -> Detections:
        """Pairs of corners, as ``pairs`` gives them."""
        box, score, label, good = self.pairs(maps)
        image, pair = good.nonzero(as_tuple=True)
        boxes, scores, labels = (column[image, pair] for column in (box, score, label))
        return self.select(boxes, scores, labels, image, sizes)

    def pairs(self, maps: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every image's best corners of one kind, k, beside each of the other: boxes (B, k k, 4),
        their scores, the mean of both corners', and labels (B, k k), and whether they are objects:
        of one class, embeddings near each other, places that make a box."""
        corners, places, tags = [], [], []
        for corner in CORNERS:
            found = peaks(maps[f"{corner}_heat"].sigmoid(), self.candidates)
            cell = torch.stack([found.x, found.y], -1)
            corners.append(found)
            places.append((cell + found.read(maps[f"{corner}_offset"])) * self.strides[0])
            tags.append(found.read(maps[f"{corner}_embedding"])[..., 0])
        one, other = corners
        box = torch.cat([
            places[0][:, :, None].expand(-1, -1, places[1].shape[1], -1),
            places[1][:, None].expand(-1, places[0].shape[1], -1, -1),
        ], -1)  # fmt: skip
        good = (one.label[:, :, None] == other.label[:, None]) & (sides(box) > 0).all(-1)
        good &= (tags[0][:, :, None] - tags[1][:, None]).abs() <= self.apart
        good &= (one.score > 0)[:, :, None] & (other.score > 0)[:, None]  # or it is no peak
        score = (one.score[:, :, None] + other.score[:, None]) / 2
        label = one.label[:, :, None].expand_as(good)
        return box.flatten(1, 2), score.flatten(1), label.flatten(1), good.flatten(1)
