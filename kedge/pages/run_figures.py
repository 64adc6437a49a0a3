"""What only a run has to show: ``kedge report --run``."""

import numpy as np

from kedge.counted import count
from kedge.doctor.context import Context
from kedge.doctor.scene import sight_of_run
from kedge.report import Figure, Image, Section, draw_heat
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


def maps_section(context: Context) -> Section | None:
    """What the detector of a run sees in an image of the data: heat maps, and where they are points
    of objects the boxes that it makes of them; None without a run that has such maps, or pixels."""
    drawable = [r for r in context.data.records if (r.file or r.draw) and (~r.crowd).any()]
    if context.run is None or not context.run.has_weights or not drawable:
        return None
    try:
        sight = sight_of_run(context.run.folder, drawable[0])
    except ValueError:  # a file that is missing or broken: reported by the checks
        return None
    if sight is None:
        return None
    found = None if sight.assigns else sight.found
    caption = f"{drawable[0].name}: objects dashed, warm where the detector sees something."
    image = draw_heat(sight.pixels, sight.heat, sight.objects, found, columns=3)
    return Section(title="Maps", blocks=[Image(image=image, caption=caption, alt=caption)])
