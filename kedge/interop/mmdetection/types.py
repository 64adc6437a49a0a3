"""Assigners for MMDetection's configurations, registered under the scope ``kedge``."""

from typing import Any, Literal

from mmdet.models.task_modules import assigners  # pyright: ignore[reportMissingImports]
from mmdet.registry import TASK_UTILS  # pyright: ignore[reportMissingImports]
from mmengine.registry import Registry  # pyright: ignore[reportMissingImports]

from kedge.anchors.recognise import GridReader
from kedge.assign.by_name import strategy as by_name
from kedge.interop.mmdetection.matching import Matching, by_strategy, instances_of, rule_of
from kedge.types import Assigner

KEDGE = Registry("task util", parent=TASK_UTILS, scope="kedge")


def _require_known(assigner: Any) -> None:
    if rule_of(assigner) is None:
        raise ValueError(
            f"kedge.{type(assigner).__name__}: other IoU calculators, alpha, pairs of neg_iou_thr, "
            "gt_max_assign_all=False (unless all is as in SSD) and perm_repeat_gt_cfg are "
            "MMDetection's alone: take its type"
        )


@KEDGE.register_module()
class MaxIoUAssigner(assigners.MaxIoUAssigner):
    """MMDetection's own, with its arguments, matched by Kedge."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _require_known(self)
        self.matching = Matching(self, assigners.MaxIoUAssigner)

    def assign(self, *given: Any, **named: Any) -> Any:
        """See MMDetection."""
        return self.matching(*given, **named)


@KEDGE.register_module()
class ATSSAssigner(assigners.ATSSAssigner):
    """MMDetection's own, with its arguments, matched by Kedge where a cell has one anchor.

    Of equal distances MMDetection takes any, Kedge the lower anchor.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        _require_known(self)
        self.matching = Matching(self, assigners.ATSSAssigner)

    def assign(self, *given: Any, **named: Any) -> Any:
        """See MMDetection."""
        return self.matching(*given, **named)


@KEDGE.register_module(name="Assigner")
class StrategyAssigner(assigners.BaseAssigner):
    """Any strategy of Kedge, by name: ``dict(type='kedge.Assigner', strategy='atss:k=9')``.

    ``priors``: "boxes", or "points" for heads whose priors are (x, y, stride w, stride h), such as
    YOLOX and RTMDet. Strategies that read predictions need a head that hands them over (an
    ``AnchorHead`` does not). What MMDetection's losses cannot carry (weights, soft labels, anchors
    of several objects) is refused when a batch comes.
    """

    def __init__(
        self, strategy: str | dict[str, Any], priors: Literal["boxes", "points"] = "boxes"
    ) -> None:
        if priors not in ("boxes", "points"):
            raise ValueError(f"kedge.Assigner: priors are 'boxes' or 'points', got {priors!r}")
        self.rule: Assigner = by_name(strategy)
        self.points, self.reader = priors == "points", GridReader()

    def assign(self, pred_instances: Any, *given: Any, **named: Any) -> Any:
        """See MMDetection."""
        objects, ignore = instances_of(given, named)
        return by_strategy(self.rule, self.reader, self.points, pred_instances, objects, ignore)
