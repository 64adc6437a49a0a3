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
    extremes: bool = False,
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
    extremes
        Say how many objects have a polygon that gives extreme points, which ExtremeNet learns.
    """
    from kedge.data import Data, read
    from kedge.data.extremes import with_extremes
    from kedge.data.overview import overview
    from kedge.data.problems import stop_if_no_box_is_left
    from kedge.data.sources import choose_split

    def part(name: str | None) -> Data:
        return read(path, name, on_bad_box, root=root, extremes=extremes)

    first = part(choose_split(path, split))
    names = [split] if split is not None or not first.splits else list(first.splits)
    parts = [first if n == first.split else part(n) for n in names]
    stop_if_no_box_is_left(parts)
    for found in parts:
        print(found.summary())
        for line in overview(found) + [with_extremes(found)] * extremes:
            print(f"  {line}")
        kinds = Counter(finding.kind for finding in found.findings)
        several = [f for f in found.findings if kinds[f.kind] > 1]  # the others are said above
        for finding in several[:show]:
            print(f"    {finding}")
        if len(several) > show:
            print(f"    ... and {len(several) - show} more (--show)")
    print("classes: " + ", ".join(first.classes))
