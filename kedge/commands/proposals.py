"""``kedge proposals``"""

from pathlib import Path
from typing import Literal

from kedge.commands.words import Root, say
from kedge.counted import count


def proposals(
    data: str,
    *,
    source: str = "sliding-window",
    split: str | None = None,
    root: Root = None,
    out: Path | None = None,
    on_bad_box: Literal["error", "drop", "clip"] = "error",
) -> None:
    """Find proposals without learning in a data set, keep them, and print their recall.

    kedge proposals DIR --source selective-search --out proposals.npz

    kedge train --data DIR --detector fast_rcnn --options source=selective-search --proposals
    proposals.npz

    Parameters
    ----------
    data
        Folder or file (COCO JSON, Pascal VOC, YOLO, tables and more), or toy.
    source
        sliding-window, or selective-search, edge-boxes (pip install 'kedge[proposals]'); with
        settings where wanted: selective-search:mode=quality,most=1000.
    split
        One split; by default all.
    out
        Keep what is found in this file, which may hold other images and sources; what it has of
        these is not looked for again.
    on_bad_box
        What to do with a box of the data that cannot be right.
    """
    from rich.console import Console

    from kedge.commands.tables import recall_table
    from kedge.data import read, said
    from kedge.data.sources import choose_split
    from kedge.predict.score import recall_of
    from kedge.proposals.by_name import source_of
    from kedge.proposals.kept import Proposals

    finder, console = Proposals(source_of(source), out), Console()
    first = read(data, choose_split(data, split), on_bad_box, root=root)
    names = [split] if split is not None or not first.splits else list(first.splits)
    for name in names:
        part = first if name == first.split else read(data, name, on_bad_box, root=root)
        say(said(part))
        found = [{"boxes": boxes, "scores": scores} for boxes, scores in finder(part.records)]
        number = sum(len(row["boxes"]) for row in found) / max(1, len(found))
        title = f"{part.source}" + (f", {part.split}" if part.split else "")
        title += f": {count(round(number), 'proposal')} an image"
        console.print(recall_table(recall_of(found, part, (50, 100, 300, 1000)), title=title))
