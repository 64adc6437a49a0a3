"""Which stage of a detector a setting means: its first, or its regions."""

from collections.abc import Mapping
from typing import Any

from kedge.assign.by_name import strategy
from kedge.detectors.denet import DeNet
from kedge.detectors.dense import Dense
from kedge.detectors.detector import Detector
from kedge.detectors.on_proposals import OnProposals
from kedge.detectors.refinement import RefinedHead, Refining
from kedge.detectors.regions import RegionHead, RegionProposals
from kedge.detectors.two_stage import Proposer, TwoStage
from kedge.losses.by_name import change_loss_
from kedge.losses.dense import DenseLoss
from kedge.parts import assignments, build, near
from kedge.sample.by_name import SAMPLERS

_REGION_PARTS = ("assign", "sample", "loss")


def first_stage(detector: Detector) -> Dense | RegionProposals | RegionHead | None:
    """What holds ``assign``, ``sample``, ``coder`` and ``loss`` of the stage that settings mean
    unless they say otherwise; None where there is no such."""
    if isinstance(detector, Proposer):
        return detector.proposals
    if isinstance(detector, (OnProposals, DeNet)):
        return detector.regions
    return detector if isinstance(detector, Dense) else None


def region_heads(detector: Detector) -> list[RegionHead | RefinedHead]:
    """The second stage of a detector with two, all heads of a cascade; none in other detectors."""
    if isinstance(detector, Refining):
        return [detector.regions]
    if not isinstance(detector, TwoStage):
        return []
    return [*detector.heads]


def change_regions_(detector: Detector, settings: Mapping[str, Any], name: str) -> None:
    """Puts other parts into the second stage: ``{"assign": "max_iou:positive=0.6", "sample":
    "ohem", "loss": "box=giou"}``. All heads of a cascade get them.

    Raises ``ValueError`` for another key, a part that does not exist, and a detector ``name``
    without a second stage.
    """
    heads = region_heads(detector)
    if not heads:
        raise ValueError(f"regions: {name} has no second stage")
    for key, value in settings.items():
        for head in heads:
            if key == "assign":
                head.assign = strategy(value)
            elif key == "sample":
                head.sample = build(SAMPLERS, value, "sampler")
            elif key == "loss" and isinstance(head.loss, DenseLoss):
                _change_loss_(head, head.loss, assignments(_unwrapped(value), "loss"))
            else:
                raise ValueError(
                    f"regions: unknown setting {key!r}{near(key, _REGION_PARTS)} (it has "
                    f"{', '.join(_REGION_PARTS)})"
                )


def _change_loss_(
    head: RegionHead | RefinedHead, loss: DenseLoss, changes: Mapping[str, Any]
) -> None:
    """Changes the loss of a head that is made already: it keeps its outputs."""
    had = loss.class_scores.outputs(head.num_classes)
    change_loss_(loss, changes)
    if loss.class_scores.outputs(head.num_classes) != had:
        raise ValueError(
            f"regions: loss: classes={changes['classes']} does not read the outputs of the second "
            "stage, one of every class and one of the background: take softmax"
        )


def _unwrapped(text: str) -> str:
    """A list of settings without the brackets that it needs within others."""
    return text.strip().removeprefix("[").removesuffix("]")
