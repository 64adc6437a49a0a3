"""accelerate: the assigners of an MMDetection model without the table of priors x objects."""

from typing import Any

from mmdet.models.task_modules import assigners  # pyright: ignore[reportMissingImports]
from torch import nn

from kedge.interop.mmdetection.matching import Matching, rule_of
from kedge.interop.undo import Undo

KNOWN = (assigners.MaxIoUAssigner, assigners.ATSSAssigner)
NAMES = ("assigner", "bbox_assigner")  # a head's; a cascade has a list


def accelerate(model: nn.Module) -> Undo:
    """Replaces ``assign`` of every ``MaxIoUAssigner`` and ``ATSSAssigner`` in ``model``; the undo
    restores them exactly.

    Labels and losses stay what they were, but that ATSS takes the lower of anchors at the same
    distance, and that an object that no prior touches gets none. Small tables, crowds that
    ``ignore_iof_thr`` asks for, and ATSS with several anchors in a cell are left to MMDetection.
    ``print(undo)`` names what was replaced and the assigners that were not.

    Errors: ``ValueError`` where no assigner is known, or one is replaced already.
    """
    undo, left = Undo("Kedge assigns for MMDetection's"), []
    for name, module in model.named_modules():
        for assigner in _assigners(module):
            where = f"{name or type(module).__name__}'s {type(assigner).__name__}"
            peer = next((kind for kind in KNOWN if type(assigner) is kind), None)
            if peer is None or rule_of(assigner) is None:
                left.append(where)
                continue
            if "assign" in vars(assigner):
                undo()
                raise ValueError(f"{where} is replaced already: call the undo of the first")
            undo.set(assigner, "assign", Matching(assigner, peer))
            undo.replaced.append(where)
    if not undo.replaced:
        what = f"; left as they are: {', '.join(left)}" if left else ""
        raise ValueError(f"{type(model).__name__} has no assigner that Kedge knows{what}")
    if left:
        undo.replaced.append(f"not {', '.join(left)}")
    return undo


def _assigners(module: nn.Module) -> list[Any]:
    found = []
    for name in NAMES:
        value = vars(module).get(name)
        found += value if isinstance(value, list) else [] if value is None else [value]
    return found
