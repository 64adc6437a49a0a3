"""``kedge data``"""

from collections import Counter
from typing import Literal

from kedge.commands.words import Root


def data(
    path: str,
    *,
    split: str | None = None,
    on_bad_box: Literal["error", "drop", "clip"] = "drop",
    show: int = 10,
    root: Root = None,
) -> None:
    """Read a data set and say what is in it (sizes, aspect ratios, classes) and what is wrong.

    Parameters
    ----------
    path
        Folder or file (COCO JSON, Pascal VOC, YOLO, tables and more), or toy.
    split
        One split; by default all.
    on_bad_box
        drop and clip tell of every defect; error stops at the first.
    show
        Print this many defects.
    """
    from kedge.data import read
    from kedge.data.overview import overview
    from kedge.data.problems import stop_if_no_box_is_left
    from kedge.data.sources import choose_split

    first = read(path, choose_split(path, split), on_bad_box, root=root)
    names = [split] if split is not None or not first.splits else list(first.splits)
    parts = [first if n == first.split else read(path, n, on_bad_box, root=root) for n in names]
    stop_if_no_box_is_left(parts)
    for found in parts:
        print(found.summary())
        for line in overview(found):
            print(f"  {line}")
        kinds = Counter(finding.kind for finding in found.findings)
        several = [f for f in found.findings if kinds[f.kind] > 1]  # the others are said above
        for finding in several[:show]:
            print(f"    {finding}")
        if len(several) > show:
            print(f"    ... and {len(several) - show} more (--show)")
    print("classes: " + ", ".join(first.classes))
