"""``kedge data``"""

from typing import Literal


def data(
    path: str,
    *,
    split: str | None = None,
    on_bad_box: Literal["error", "drop", "clip"] = "drop",
    show: int = 10,
) -> None:
    """Read a data set and say what is in it and what is wrong with it.

    Parameters
    ----------
    path
        Folder or file (COCO JSON, Pascal VOC, YOLO), or toy.
    split
        One split; by default all.
    on_bad_box
        drop and clip tell of every defect; error stops at the first.
    show
        Print this many defects.
    """
    from kedge.data import read

    first = read(path, split, on_bad_box)
    names = [split] if split is not None or not first.splits else list(first.splits)
    sets = [first if name == first.split else read(path, name, on_bad_box) for name in names]
    for found in sets:
        print(found.summary())
        for finding in found.findings[:show]:
            print(f"    {finding}")
        if len(found.findings) > show:
            print(f"    ... and {len(found.findings) - show} more (--show)")
    print("classes: " + ", ".join(first.classes))
