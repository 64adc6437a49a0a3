"""accelerate: Ultralytics' YOLO assigns as it did, without the table of objects x points."""

import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from kedge.interop.ultralytics.assigner import SparseAssigner
from kedge.interop.undo import Undo
from kedge.types import Assigner

TESTED = ((8, 4, 100), (8, 5, 0))
ARGUMENTS = ("pd_scores", "pd_bboxes", "anc_points", "gt_labels", "gt_bboxes", "mask_gt", "extra")
PARTS = ("one2many", "one2one", "vp_criterion")  # criteria inside a criterion


def accelerate(model: Any, *, strategy: Assigner | None = None) -> Undo:
    """Replaces the task-aligned assigner of an Ultralytics detector; the undo restores it exactly.

    ``model``: a ``YOLO``, its ``DetectionModel``, or a trainer that has one; compiled and wrapped
    models too. YOLOv8, 11, 12 and 26, where the one-to-many and the one-to-one head are both
    replaced. Losses and gradients stay what they were, bit for bit, but where two alignments are
    equal. Batches of few objects are left to Ultralytics' own assigner, which is as fast there.
    ``YOLO.train`` makes a model of its own: give it ``callbacks()``.

    ``strategy`` takes the place of the rule of the one-to-many head; its ``quality`` becomes the
    soft label. What Ultralytics' loss has no place for (ignored anchors, weights, anchors of
    several objects, losses of its own) is refused when a batch comes.

    Errors: ``ValueError`` for a version outside those tested (8.4.100 up to 8.5), an assigner whose
    overlap is not that of boxes (OBB, YOLO26's poses and masks), a model without an assigner, and
    one that is replaced already. Nothing is replaced then.
    """
    inner = detector_of(model)
    undo = Undo("Kedge assigns for Ultralytics'")
    try:
        if getattr(inner, "criterion", None) is None:
            undo.set(inner, "criterion", inner.init_criterion())
        found = list(criteria(inner.criterion))
        for name, part in found:
            check(name, part.assigner)
        if not found:
            raise ValueError(f"{type(inner.criterion).__name__} has no task-aligned assigner")
        for name, part in found:
            rule = None if name == "one2one" else strategy
            undo.set(part, "assigner", SparseAssigner(part.assigner, rule))
            text = f"top {part.assigner.topk}" if rule is None else type(rule).__name__
            undo.replaced.append(f"{type(inner).__name__}'s {name} assigner ({text})")
    except Exception:
        undo()
        raise
    return undo


def callbacks(strategy: Assigner | None = None) -> dict[str, Callable[[Any], None]]:
    """Functions for ``model.add_callback(event, function)``: Ultralytics' trainer then assigns with
    Kedge, in its model and in its moving average, until the training ends, whatever ends it.

    ``for event, function in callbacks().items(): model.add_callback(event, function)``.
    """
    undone: list[Undo] = []

    def start(trainer: Any) -> None:
        undone.append(accelerate(trainer.model, strategy=strategy))
        average = getattr(getattr(trainer, "ema", None), "ema", None)
        if average is not None:
            undone.append(accelerate(average, strategy=strategy))
        print(undone[0])

    def end(trainer: Any) -> None:
        while undone:
            undone.pop()()

    return {"on_pretrain_routine_end": start, "on_train_end": end, "teardown": end}


def detector_of(model: Any) -> Any:
    """The model that makes the criterion, inside whatever holds it."""
    inner = model
    for _ in range(8):
        if hasattr(type(inner), "init_criterion"):  # wrappers pass their model's attributes on
            return inner
        held = (getattr(inner, name, None) for name in ("_orig_mod", "module", "model"))
        inner = next((part for part in held if isinstance(part, nn.Module)), None)
    raise ValueError(f"{type(model).__name__} holds no model of Ultralytics that makes a criterion")


def criteria(criterion: Any) -> Iterator[tuple[str, Any]]:
    """The criteria with an assigner, by name."""
    if hasattr(criterion, "assigner"):
        yield "own", criterion
    for name in PARTS:
        part = getattr(criterion, name, None)
        if part is not None and hasattr(part, "assigner"):
            yield name, part


def check(name: str, assigner: Any) -> None:
    """``ValueError`` unless this is Ultralytics' assigner of boxes, as it is known here."""
    kind = type(assigner)
    if isinstance(assigner, SparseAssigner):
        raise ValueError("this model is replaced already: call the undo of the first accelerate")
    if kind.__name__ != "TaskAlignedAssigner":
        raise ValueError(f"{name}: {kind.__name__} is not known: its overlap is not that of boxes")
    library = sys.modules.get(kind.__module__.split(".")[0])
    version = getattr(library, "__version__", "unknown")
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if not TESTED[0] <= numbers < TESTED[1]:
        low, high = (".".join(map(str, v)) for v in TESTED)
        raise ValueError(
            f"Ultralytics {version} is not known here: {low} <= version < {high} are tested"
        )
    if tuple(inspect.signature(kind.forward).parameters)[1:] != ARGUMENTS:
        raise ValueError(f"{kind.__name__}.forward does not take {', '.join(ARGUMENTS)}")
