"""What ``fit`` returns."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from kedge.anchors.presets import PresetLevel
from kedge.design.measure import Metrics
from kedge.design.placed import Placed
from kedge.design.pyramid import Pyramid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Anchor shapes and what they are worth.

    ``shapes`` (k, 2) float32, w and h in pixels, sorted by area. ``score``: the objective's value.
    The metrics are those of ``Metrics``. ``levels``: the shapes by feature map, when strides were
    given. ``pyramid``: sizes, scales and ratios, where the shapes are made of these. ``distinct``:
    different boxes found (where there are thousands: bins of 1/32 octave). ``notes``: what a user
    should know. ``seconds``: time taken.
    """

    shapes: Tensor
    objective: str
    method: str
    score: float
    metrics: Metrics
    levels: tuple[PresetLevel, ...] | None
    placed: Placed | None
    boxes: float
    dropped: int
    distinct: int
    notes: tuple[str, ...]
    seed: int
    seconds: float
    pyramid: Pyramid | None = None

    @property
    def mean_best_iou(self) -> float:
        """Mean over boxes of the best centre-aligned IoU."""
        return self.metrics.mean_best_iou

    @property
    def bpr(self) -> float:
        """Best possible recall by YOLOv5's ratio metric at threshold 4."""
        return self.metrics.bpr

    @property
    def aat(self) -> float:
        """Anchors above threshold per box, same metric."""
        return self.metrics.aat

    @property
    def placed_recall(self) -> float | None:
        """Share of objects with a positive on the real grid; None without strides."""
        return self.metrics.placed_recall

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` writes: plain numbers and lists."""
        levels = None
        if self.levels is not None:
            levels = [{"stride": s, "shapes": [list(x) for x in m]} for s, m in self.levels]
        return {
            "shapes": self.shapes.tolist(),
            **self.metrics.to_dict(),
            "levels": levels,
            "pyramid": None if self.pyramid is None else asdict(self.pyramid),
            "objective": self.objective,
            "score": self.score,
            "method": self.method,
            "boxes": self.boxes,
            "dropped": self.dropped,
            "distinct": self.distinct,
            "notes": list(self.notes),
            "seed": self.seed,
            "seconds": self.seconds,
        }
