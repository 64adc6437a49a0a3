"""``kedge design``"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kedge.commands.words import PRESETS, Root, Size, say
from kedge.design.settings import DesignSettings


def _flag(field: str) -> str:
    return "for" if field == "framework" else field.replace("_", "-")


_IN_USE = (
    "Your anchors: a preset, a file written by --json, a list such as 10x13,16x30 or 10,13, 16,30, "
    "or lines of YOLOv5's or darknet's configuration. The verdict is then about them. "
    f"{PRESETS}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags(DesignSettings):
    """The settings as they are typed: two of them have a spelling of their own."""

    image_size: Size = None
    in_use: Annotated[str | None, Parameter(help=_IN_USE, allow_leading_hyphen=True)] = None


def design(
    source: str,
    *,
    settings: Annotated[
        Flags | None,
        Parameter(name="*", name_transform=_flag, consume_multiple=True, negative_iterable=()),
    ] = None,
    split: str | None = None,
    root: Root = None,
    json: Annotated[Path | None, Parameter(name=["--json", "--out"])] = None,
    html: Path | None = None,
) -> None:
    """Anchor shapes from data, compared with what you have, ready to paste.

    kedge design DIR --k 9 --image-size 640 --for yolov5

    kedge design DIR --layout pyramid --scales 3 --ratios 3 --for torchvision

    Parameters
    ----------
    source
        A data set (COCO JSON, Pascal VOC, YOLO, or toy), or a table of boxes: .npz, .csv, .parquet
        or .jsonl with x, y, w, h (or x1, y1, x2, y2), width, height and image_id.
    settings
        What is asked for.
    split
        Split of the data set; by default the training split.
    json
        Write the design to this file: levels, offset, input size, and every number about them.
        --anchors and --in-use take it.
    html
        Write a page to this file.
    """
    from rich.console import Console

    from kedge.design import design_command
    from kedge.design.rivals import rivals
    from kedge.design.source import read_boxes
    from kedge.interop.design_snippet import design_snippet

    asked = settings or Flags()
    try:
        rivals(asked, asked.resizing.canvas)
    except ValueError as problem:
        raise ValueError(f"--in-use, --baselines: {problem}") from None
    table = read_boxes(source, split, root)
    say(table.said)
    try:
        report = design_command(table, asked)
    except ValueError as problem:
        raise ValueError(f"{source}: {problem}") from None
    try:
        snippet = design_snippet(report)
    except ValueError as problem:
        raise ValueError(f"--for {problem}") from None
    if json is not None:
        from kedge.files import write_json

        write_json(json, report.to_dict() | {"source": source, "snippet": snippet})
    if html is not None:
        from kedge.pages.design import write_page

        write_page(html, report, snippet, source if split is None else f"{source}, {split}")
    console = Console()
    console.print(report.text(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nFor {asked.framework}:\n")
    console.print(snippet, markup=False, highlight=False, soft_wrap=True)
