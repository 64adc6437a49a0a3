"""``kedge demo``"""

from pathlib import Path


def demo(
    *,
    data: str = "toy",
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

    from kedge.commands.tables import scores_table, stations_table
    from kedge.demo import demo as run

    console = Console()
    result = run(
        data, out=out, epochs=epochs, seed=seed, console=None if quiet else Console(stderr=True)
    )
    for title, one in result.runs.items():
        console.print(stations_table(one.stations, title=f"Anchor shapes: {title}"))
    rows = [(title, one.scores) for title, one in result.runs.items()]
    console.print(scores_table(rows, title=f"{data}: the same detector, different anchors"))
    console.print(f"{result.seconds:.0f} s; open {result.report}")
