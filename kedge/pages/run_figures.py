"""What only a run has to show: ``kedge report --run``."""

import numpy as np

from kedge.counted import count
from kedge.doctor.context import Context
from kedge.report import Figure, Section
from kedge.report import figures as draw

_BOXES = 200_000  # more are not drawn


def path_section(context: Context) -> Section | None:
    """The way that the shapes of a run took, as its ``shapes.jsonl`` holds it; None without a run,
    and where the shapes stayed where they were."""
    rows = [] if context.run is None else context.run.shapes
    track = np.array([row["shapes"] for row in rows], np.float64)
    if len(rows) < 2 or np.allclose(track, track[0], rtol=1e-3):
        return None
    seen = context.seen.fair.wh
    rng = np.random.default_rng(context.seed)
    part = seen[rng.permutation(len(seen))[:_BOXES]]
    fits = [row.get("mean_best_iou") for row in (rows[0], rows[-1])]
    fit = "" if None in fits else f" Mean best IoU {fits[0]:.3f} -> {fits[1]:.3f}."
    figure = draw.shape_paths({"shapes": track}, part, epochs=[row["epoch"] for row in rows])
    caption = (
        f"The way of the shapes over {count(rows[-1]['epoch'], 'epoch')} and "
        f"{count(rows[-1]['step'], 'step')}, "
        f"from where they started (hollow) to where they are (filled), over the objects as the "
        f"network sees them.{fit}"
    )
    return Section(title="Path of the shapes", blocks=[Figure(figure=figure, caption=caption)])
