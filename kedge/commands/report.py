"""``kedge report``"""

from pathlib import Path
from typing import Literal

from kedge.commands.words import Anchors, Root, Sides, height_and_width, say
from kedge.detectors import DETECTORS


def report(
    *,
    data: str | None = None,
    split: str | None = None,
    root: Root = None,
    detector: Literal[*DETECTORS] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    anchors: Anchors = None,
    config: Path | None = None,
    run: Path | None = None,
    image_size: Sides = None,
    out: Path = Path("report.html"),
    seed: int = 0,
) -> None:
    """A page of how anchors meet the objects: plane, coverage, sweeps, images.

    kedge report --data DIR --detector retinanet --out report.html

    Parameters
    ----------
    data
        Data set; by default the one of --config or --run.
    split
        Split to look at; by default the training split.
    detector
        Draw the published anchors of this detector; retinanet, where nothing else is named.
    config
        Draw the anchors that kedge train would start from with these settings.
    run
        Draw the anchors of a run.
    image_size
        Side, or height and width, of the network's input; by default that of --config or --run,
        else the square that the anchors were published for, or 640.
    out
        The page, one self-contained file.
    seed
        Seed of the samples taken of large data sets.
    """
    from rich.console import Console

    from kedge.data import said
    from kedge.data.problems import stop_if_no_box_is_left
    from kedge.design.saved import not_as_designed
    from kedge.doctor import open_context
    from kedge.pages.doctor import write_overview

    named = detector if detector or config or run else "retinanet"
    context = open_context(
        data,
        split=split,
        root=root,
        detector=named,
        config=config,
        anchors=anchors,
        run=run,
        image_size=height_and_width(image_size),
        seed=seed,
    )
    stop_if_no_box_is_left([context.data])
    say([*said(context.data), *not_as_designed(anchors, context.image_size)])
    path = write_overview(out, context)
    what = "" if context.setup is None else f" of {context.setup.title}"
    written = f"{path}: {path.stat().st_size / 1e6:.1f} MB, a page{what}"
    Console().print(written, highlight=False, markup=False, soft_wrap=True)
