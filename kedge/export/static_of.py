"""Which static form a detector has, or why it has none."""

from collections.abc import Callable

from kedge.detectors.cornernet import CornerNet
from kedge.detectors.denet import DeNet
from kedge.detectors.dense import Dense
from kedge.detectors.detector import Detector
from kedge.detectors.ga_faster_rcnn import GAFasterRCNN
from kedge.detectors.ga_retinanet import GARetinaNet
from kedge.detectors.ga_rpn import GARPN
from kedge.detectors.keypoint import Keypoint
from kedge.detectors.metaanchor import MetaAnchor
from kedge.detectors.on_proposals import OnProposals
from kedge.detectors.refinement import Refining
from kedge.detectors.two_stage import TwoStage
from kedge.export.static import Static, StaticDense, StaticRefining
from kedge.export.static_guided import StaticGAFasterRCNN, StaticGARetinaNet, StaticGARPN
from kedge.export.static_points import StaticCornerNet, StaticDeNet, StaticKeypoint
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
    if own is not None:
        raise ValueError(f"{type(detector).__name__} cannot be exported: {own}")
    make = next(form for base, (form, _) in _FORMS.items() if isinstance(detector, base))
    return make(detector, size).eval()


_NO_GRAPH = "it finds boxes in a way of its own, for which there is no graph"


def _own_way(detector: Detector) -> str | None:
    """Why the forms here are not this detector's; None where nothing speaks against them."""
    if isinstance(detector, OnProposals):
        return "its boxes come from a source outside the network, which a graph cannot hold"
    pool = getattr(getattr(detector, "regions", None), "pool", None)
    if isinstance(pool, PositionMaps):
        return "ONNX has no position-sensitive pooling"
    for base, (_, methods) in _FORMS.items():
        if isinstance(detector, base):
            same = all(getattr(type(detector), m) is getattr(base, m) for m in methods)
            return None if same else _NO_GRAPH
    return _NO_GRAPH


_DENSE = ("detect", "head", "select", "grid", "anchors_of")
_TWO_STAGE = ("detect", "propose", "grid")
_FORMS: dict[type[Detector], tuple[Callable[..., Static], tuple[str, ...]]] = {
    GARetinaNet: (StaticGARetinaNet, (*_DENSE, "scores")),
    MetaAnchor: (StaticDense, _DENSE),
    Dense: (StaticDense, _DENSE),
    Refining: (StaticRefining, ("detect", "refined", "easy", "grid")),
    GARPN: (StaticGARPN, _TWO_STAGE),
    GAFasterRCNN: (StaticGAFasterRCNN, _TWO_STAGE),
    TwoStage: (StaticTwoStage, _TWO_STAGE),
    CornerNet: (StaticCornerNet, ("detect", "find", "pairs", "predict_maps")),
    Keypoint: (StaticKeypoint, ()),
    DeNet: (StaticDeNet, ("corner_maps",)),
}
"""By kind, the first that fits: the static form, and what a detector must not do in a way of its
own for that to be the same."""
