"""The three forms of an exported detector: raw maps, all boxes decoded, or detections."""

from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kedge.export.fixed_selection import Padded, check_selection, select_fixed
from kedge.export.static import Answering, Static

Form = Literal["maps", "decoded", "nms"]


class Graph(nn.Module):
    """What is exported: images (B, 3, H, W) in [0, 1] to tensors of the names ``outputs``."""

    outputs: tuple[str, ...]

    def __init__(self, static: Static) -> None:
        super().__init__()
        self.static = static


def answering(static: Static) -> Answering:
    """``ValueError`` for one that has maps only: how many boxes they show depends on the image."""
    if not isinstance(static, Answering):
        raise ValueError(
            f"{type(static.detector).__name__} exports as --form maps alone: how many boxes it "
            "forms of its maps depends on the image, which no graph of fixed sizes holds"
        )
    return static


class MapsGraph(Graph):
    """Raw outputs by name: logits, codes and branches at every anchor, (B, N, ...), or maps."""

    def __init__(self, static: Static) -> None:
        super().__init__(static)
        with torch.no_grad():
            self.outputs = tuple(static.maps(torch.zeros(1, 3, *static.size)))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.static.maps(images).values())


class DecodedGraph(Graph):
    """Boxes (B, N, 4) ``xyxy`` in pixels and scores (B, N, C) of every anchor."""

    outputs = ("boxes", "scores")
    static: Answering

    def __init__(self, static: Static) -> None:
        super().__init__(answering(static))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        said = self.static.answers(images)
        return self.static.every_box(said), said.scores


class DetectionsGraph(Graph):
    """``Padded`` detections: decoded at the candidates only, suppressed once."""

    outputs: ClassVar = Padded._fields
    static: Answering

    def __init__(self, static: Static) -> None:
        check_selection(answering(static).selection)
        super().__init__(static)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        static, said = self.static, self.static.answers(images)
        found = select_fixed(
            static.selection,
            said.scores,
            partial(static.boxes, said),
            levels=static.levels,
            size=static.size,
        )
        return tuple(found)  # a file knows plain tuples only


FORMS: dict[Form, type[Graph]] = {
    "maps": MapsGraph,
    "decoded": DecodedGraph,
    "nms": DetectionsGraph,
}
