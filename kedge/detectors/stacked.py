"""Stacked: points on the map of a backbone, or on those of the stacks of an hourglass."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from kedge.detectors.backbones import make_stacks
from kedge.detectors.keypoint import Keypoint
from kedge.select import Selection, SoftNMS


class Stacked(Keypoint):
    """All stacks are trained, the last is read. A subclass says what is predicted on one.

    Maps are called by point and kind ("top_left_heat"), those of stacks before the last behind
    their number ("0_top_left_heat"). Arguments are those of ``CornerNet``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: str | nn.Module,
        stride: int | None,
        width: int | None,
        pretrained: bool,
        selection: Selection | None,
    ) -> None:
        tiny = backbone == "tiny"
        body = make_stacks(
            backbone, stride=stride or (8 if tiny else 4),
            width=(64 if tiny else 256) if width is None else width, pretrained=pretrained,
        )  # fmt: skip
        super().__init__(
            num_classes=num_classes, strides=body.strides[:1], multiple=32,
            smallest=int(body.strides[0]),
        )  # fmt: skip
        self.backbone = body
        usual = Selection(score=0.0, candidates=1000, top="image", suppress=SoftNMS())
        self.selection = usual if selection is None else selection

    @abstractmethod
    def stack_maps(self, x: Tensor, number: int) -> dict[str, dict[str, Tensor]]:
        """Maps by point and kind of the features (B, width, H, W) of a stack."""

    def predict_maps(self, images: Tensor) -> Mapping[str, Tensor]:
        """The maps of all stacks."""
        found: dict[str, Tensor] = {}
        stacks = self.backbone(images)
        for number, x in enumerate(stacks):
            stack = "" if number == len(stacks) - 1 else f"{number}_"
            for point, said in self.stack_maps(x, number).items():
                found |= {f"{stack}{point}_{kind}": value for kind, value in said.items()}
        return found


def stacks_of(maps: Mapping[str, Tensor], name: str) -> list[str]:
    """What stands before ``name`` in the names of maps: one for each stack, "" for the last."""
    return [key.removesuffix(name) for key in maps if key.endswith(name)]
