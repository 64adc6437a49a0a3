"""``kedge demo``"""

from pathlib import Path
from typing import Any

from kedge.commands.words import Root


def demo(
    *,
    data: str = "toy",
    root: Root = None,
    out: Path = Path("demo"),
    epochs: int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Mismatched, k-means and learned anchors side by side, in minutes.

    Trains the same detector four times, scores it, prints a table, and writes report.html.

    Parameters
    ----------
    data
        Data set, or toy.
    out
        Folder for the runs and the report; an earlier demo in it is replaced.
    epochs
        Length of every run; by default what takes about a minute on two cores for the toy data.
    seed
        Seed of all runs.
    quiet
        No progress bars.
    """
    from rich.console import Console

    from kedge.commands.tables import COLUMNS, scores_table, stations_table
    from kedge.demo.run import demo as run

    console = Console()
    result = run(
        data,
        root=root,
        out=out,
        epochs=epochs,
        seed=seed,
        console=None if quiet else Console(stderr=True),
    )
    for title, one in result.runs.items():
        if "after warm-up" in (station.name for station in one.stations):
            console.print(stations_table(one.stations, title=f"Anchor shapes: {title}"))
    rows = [(title, one.scores | _fit(one)) for title, one in result.runs.items()]
    title = f"{data}: the same detector, different anchors"
    console.print(scores_table(rows, title=title, columns=[*COLUMNS[:6], "fit"]))
    console.print("fit: mean best IoU of the training boxes, as the network sees them, at the end")
    console.print(f"{result.seconds:.0f} s; open {result.report}")


def _fit(run: Any) -> dict[str, float | None]:
    return {"fit": run.station("final").mean_best_iou}
