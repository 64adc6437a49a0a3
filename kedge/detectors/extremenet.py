"""ExtremeNet: an object is four extreme points and a centre that fits them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kedge.assign.heatmaps import gaussian_radius, points_of
from kedge.boxes import centres
from kedge.boxes import sizes as sides
from kedge.detectors.stacked import Stacked, stacks_of
from kedge.losses import heat_loss, offset_loss
from kedge.nn import PointMaps
from kedge.select import Selection, peaks
from kedge.select.extremes import aggregated, group_extremes, without_ghosts
from kedge.types import Detections, Targets

EXTREMES = ("top", "left", "bottom", "right")
ROWS, COLUMNS = 2, 3  # axes of a map


class ExtremeNet(Stacked):
    """No anchors, and points that lie on the object: a heat map of every class for its topmost,
    leftmost, bottommost and rightmost point and for its centre. What belongs together is found out
    by geometry alone. Losses are ``heat`` and ``offset``.

    Targets say where the extreme points are (``Targets.extremes``, from polygons); of objects of
    which that is not known they are the middles of the box's sides, which is a box-only form.

    Args:
        num_classes: C; labels are 0 ... C - 1.
        backbone, stride, width, pretrained: as in ``CornerNet``.
        candidates: points of each kind looked at in an image.
        edge_weight: how much a point gains from the edge that rises towards it.
        min_extreme, min_centre: scores from which a point counts.
        selection: how boxes are selected; soft NMS as published.

    Source: Zhou et al., arXiv:1901.08043; the authors' code (radii as released, IoU .7; no offset
    of the centre). Deviations: extreme points of boxes where there is no polygon; as
    ``CornerNet``'s.
    """

    learns_extremes = True

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module = "tiny",
        stride: int | None = None,
        width: int | None = None,
        candidates: int = 40,
        edge_weight: float = 0.1,
        min_extreme: float = 0.1,
        min_centre: float = 0.1,
        pretrained: bool = False,
        selection: Selection | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes, backbone=backbone, stride=stride, width=width,
            pretrained=pretrained, selection=selection,
        )  # fmt: skip
        self.maps = nn.ModuleDict()
        for name in (*EXTREMES, "centre"):
            outputs = {"heat": num_classes} | ({} if name == "centre" else {"offset": 2})
            layers = (PointMaps(wide, outputs) for wide in self.backbone.channels)
            self.maps[name] = nn.ModuleList(layers)
        self.candidates, self.edge_weight = candidates, edge_weight
        self.min_extreme, self.min_centre = min_extreme, min_centre

    def stack_maps(self, x: Tensor, number: int) -> dict[str, dict[str, Tensor]]:
        return {
            name: layers[number](x)  # pyright: ignore[reportIndexIssue]
            for name, layers in self.maps.items()
        }

    def map_losses(self, maps: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Sums over the points of an object, averaged over the stacks."""
        shape, stride = maps["centre_heat"].shape, self.strides[0]
        box = targets.of_real(targets.boxes)
        radius = gaussian_radius((sides(box) / stride).ceil(), 0.7, roots="released").long()
        stacks = stacks_of(maps, "centre_heat")
        heat, offset = [], []
        along = None if targets.extremes is None else targets.of_real(targets.extremes)
        for name, place in extreme_points(box, along).items():
            points = points_of(place, radius, targets, shape, stride)
            for stack in stacks:
                said = f"{stack}{name}_"
                heat.append(heat_loss(maps[f"{said}heat"], points.heat, points.open))
                if name != "centre":
                    wanted = points.read(maps[f"{said}offset"])
                    offset.append(offset_loss(wanted, points.offset))
        losses = {"heat": torch.stack(heat).sum(), "offset": torch.stack(offset).sum()}
        return {name: loss / len(stacks) for name, loss in losses.items()}

    def find(self, maps: Mapping[str, Tensor], sizes: Tensor) -> Detections:
        """Groups of four points with a centre; boxes that hold several others are taken for
        ghosts."""
        found, places = [], []
        for name in EXTREMES:
            heat = maps[f"{name}_heat"].sigmoid()
            axis = COLUMNS if name in ("top", "bottom") else ROWS
            kind = peaks(aggregated(heat, axis, self.edge_weight), self.candidates)
            cell = torch.stack([kind.x, kind.y], -1)
            places.append((cell + kind.read(maps[f"{name}_offset"])) * self.strides[0])
            found.append(kind)
        top, left, bottom, right = places
        fours = group_extremes(
            (found[0], found[1], found[2], found[3]), maps["centre_heat"].sigmoid(),
            min_extreme=self.min_extreme, min_centre=self.min_centre,
        )  # fmt: skip
        image = fours.image
        boxes = torch.stack([
            left[image, fours.left, 0], top[image, fours.top, 1],
            right[image, fours.right, 0], bottom[image, fours.bottom, 1],
        ], -1)  # fmt: skip
        label = found[0].label[image, fours.top]
        return without_ghosts(self.select(boxes, fours.score, label, image, sizes))


def extreme_points(boxes: Tensor, extremes: Tensor | None = None) -> dict[str, Tensor]:
    """The extreme points (G, 2) on the four sides of boxes (G, 4), by name, and their centres: at
    ``extremes`` (G, 4), as in ``Targets``, or in the middle of a side where that is not known."""
    along = centres(boxes).repeat(1, 2)
    if extremes is not None:
        along = torch.where(extremes.isnan(), along, extremes)
    top, left, bottom, right = along.unbind(-1)
    x1, y1, x2, y2 = boxes.unbind(-1)
    places = {"top": (top, y1), "left": (x1, left), "bottom": (bottom, y2), "right": (x2, right)}
    found = {name: torch.stack(place, -1) for name, place in places.items()}
    return found | {"centre": centres(boxes)}
