"""Which static form a detector has, or why it has none."""

from kedge.detectors.dense import Dense
from kedge.detectors.detector import Detector
from kedge.detectors.guided_proposals import GuidedProposals
from kedge.detectors.metaanchor import MetaAnchor
from kedge.detectors.on_proposals import OnProposals
from kedge.detectors.refinement import Refining
from kedge.detectors.two_stage import TwoStage
from kedge.export.static import Static, StaticDense, StaticRefining
from kedge.export.static_two_stage import StaticTwoStage
from kedge.nn import PositionMaps


def static(detector: Detector, size: tuple[int, int]) -> Static:
    """The static form of a detector for images of ``size`` (H, W), in evaluation mode.

    Raises ``ValueError`` for a detector that has none, with the reason.
    """
    if min(size) < detector.smallest:
        raise ValueError(
            f"image_size {size[0]} x {size[1]}: less than one cell of the detector's finest level "
            f"({detector.smallest} px)"
        )
    own = _own_way(detector)
    if own is None and isinstance(detector, Dense):
        return StaticDense(detector, size).eval()
    if own is None and isinstance(detector, Refining):
        return StaticRefining(detector, size).eval()
    if own is None and isinstance(detector, TwoStage):
        return StaticTwoStage(detector, size).eval()
    raise ValueError(f"{type(detector).__name__} cannot be exported: {own or _NO_GRAPH}")


_NO_GRAPH = "it finds boxes in a way of its own, for which there is no graph"


def _own_way(detector: Detector) -> str | None:
    """Why the forms here are not this detector's; None where nothing speaks against them."""
    if isinstance(detector, OnProposals):
        return "its boxes come from a source outside the network, which a graph cannot hold"
    if isinstance(getattr(detector, "proposals", None), GuidedProposals) or (
        isinstance(detector, Dense)
        and type(detector).anchors_of not in (Dense.anchors_of, MetaAnchor.anchors_of)
    ):
        return "its anchors are predicted in every image; the forms here are of a grid"
    pool = getattr(getattr(detector, "regions", None), "pool", None)
    if isinstance(pool, PositionMaps):
        return "ONNX has no position-sensitive pooling"
    for base, methods in _METHODS.items():
        if isinstance(detector, base):
            same = all(getattr(type(detector), m) is getattr(base, m) for m in methods)
            return None if same else _NO_GRAPH
    return _NO_GRAPH


_METHODS: dict[type[Detector], tuple[str, ...]] = {
    Dense: ("detect", "head", "select", "grid"),
    Refining: ("detect", "refined", "easy", "grid"),
    TwoStage: ("detect", "propose", "grid"),
}
"""What a detector must not do in a way of its own for the static form to be the same."""
