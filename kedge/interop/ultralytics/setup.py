"""The points, the rule and the coder of an Ultralytics detector, for the doctor.

Ultralytics is AGPL-3.0: it is asked for a model where the user names one of its files, and never
imported at top level.
"""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from kedge.anchors.grid import Grid
from kedge.anchors.level import Level
from kedge.coders import Coder, DistributionCoder, LTRBCoder
from kedge.doctor.setup import Setup
from kedge.interop.ultralytics.accelerate import check, criteria, detector_of
from kedge.interop.ultralytics.assigner import rule_of
from kedge.interop.undo import Undo


def setup_of_yaml(name: str, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in the model that Ultralytics makes of a yaml of its own, such as
    ``yolo11n.yaml``: a file, or a name that it knows.

    Errors: ``ValueError`` without Ultralytics, where it makes no model of it, and as ``setup_of``.
    """
    try:
        library = import_module("ultralytics")
    except ImportError as error:
        raise ValueError(f"{name}: Ultralytics, which makes its model, is missing") from error
    try:
        model = library.YOLO(name, verbose=False)
    except Exception as error:
        raise ValueError(f"{name}: Ultralytics makes no model of it: {error}") from error
    found = setup_of(model, image_size, flags=flags)
    return replace(found, title=f"{found.title} ({name})")


def setup_of(model: Any, image_size: tuple[int, int], *, flags: str = "") -> Setup:
    """What meets the objects in an Ultralytics detector; of YOLOv10 and YOLO26 in the one-to-many
    head.

    ``model``: as ``accelerate`` takes it; it is left as it was. ``image_size`` (H, W): the
    network's input. ``flags``: the words of a command line that mean the model.

    Errors: ``ValueError`` as ``accelerate``.
    """
    inner = detector_of(model)
    criterion = getattr(inner, "criterion", None) or _criterion(inner)
    name, part = next(criteria(criterion), ("", None))
    if part is None:
        raise ValueError(f"{type(criterion).__name__} has no task-aligned assigner")
    assigner, head = getattr(part.assigner, "peer", part.assigner), inner.model[-1]
    check(name, assigner)
    return Setup(
        title=f"Ultralytics' {type(inner).__name__}",
        grid=Grid(image_size, [Level(stride=float(stride)) for stride in assigner.stride]),
        assign=rule_of(assigner),
        coder=_coder(head.reg_max),
        flags=flags,
        most=head.max_det,
    )


def _criterion(inner: Any) -> Any:
    """The criterion that the model makes for its training."""
    settings = getattr(inner, "args", {})
    with Undo("Kedge reads Ultralytics'") as undo:
        if isinstance(settings, Mapping):  # as before a training, where names are attributes
            undo.set(inner, "args", SimpleNamespace(**settings))
        try:
            return inner.init_criterion()
        except AttributeError as error:
            raise ValueError(f"{type(inner).__name__} makes no criterion: {error}") from error


def _coder(bins: int) -> Coder:
    """Distances in strides: the mean over so many bins, or of one bin as they are."""
    return DistributionCoder(reg_max=bins - 1) if bins > 1 else LTRBCoder(activation="none")
