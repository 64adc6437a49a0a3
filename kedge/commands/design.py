"""``kedge design``"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from kedge.commands.words import PRESETS, Root, Size, say
from kedge.design.settings import DesignSettings

if TYPE_CHECKING:
    from kedge.design.statistics import By, Counted


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
    on: Literal["stream", "ray"] | None = None,
    address: str | None = None,
    by: Literal["class", "source"] | None = None,
    json: Annotated[Path | None, Parameter(name=["--json", "--out"])] = None,
    html: Path | None = None,
) -> int:
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
    on
        Design from statistics that are merged from shards, in constant memory: SOURCE is then a
        glob of tables or data sets, or an s3:// or gs:// table. stream: counted on this machine,
        one after another. ray: by the workers of a Ray cluster; the same result, bit for bit.
    address
        Of the Ray cluster; by default one is started on this machine.
    by
        With --on: also how well the shapes fit each class, or each shard.
    json
        Write the design to this file: levels, offset, input size, and every number about them.
        --anchors and --in-use take it.
    html
        Write a page to this file.
    """
    from rich.console import Console

    from kedge.design import design_command, design_statistics
    from kedge.design.rivals import rivals
    from kedge.design.source import read_boxes
    from kedge.interop.design_snippet import design_snippet

    asked = settings or Flags()
    try:
        rivals(asked, asked.resizing.canvas)
    except ValueError as problem:
        raise ValueError(f"--in-use, --baselines: {problem}") from None
    failed = {}
    if on is None:
        if address is not None:
            raise ValueError("--address goes with --on ray")
        if by is not None:
            raise ValueError("--by goes with --on stream or --on ray")
        table = read_boxes(source, split, root)
        say(table.said)
        make = partial(design_command, table, asked)
    else:
        if html is not None or root is not None:
            raise ValueError("--html, --root: leave them out with --on: there are no single boxes")
        if asked.in_use is not None or asked.baselines != Flags().baselines:
            raise ValueError(
                "--in-use, --baselines: leave them out with --on: anchors are compared on images "
                "held out, and there are no single boxes"
            )
        if asked.balance == "classes" and by != "class":
            raise ValueError("--balance classes: with --on say --by class, which tells them apart")
        counted = _counted(source, split, asked, on, address, by)
        failed, make = counted.failed, partial(design_statistics, counted, asked)
    try:
        report = make()
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
    return 1 if failed else 0


def _counted(
    source: str,
    split: str | None,
    asked: DesignSettings,
    on: str,
    address: str | None,
    by: "By | None",
) -> "Counted":
    """All shards counted; those that failed are said, and the exit status will tell."""
    from kedge.commands.shards import progress, say_of_shards
    from kedge.design.statistics import count_shard, count_shards
    from kedge.shards import counter_of, shards_of

    counter = counter_of(on, address)
    recipe = asked.resizing.recipe
    count = partial(count_shard, recipe=recipe, split=split, by_class=by == "class")
    with progress() as tell:
        counted = count_shards(shards_of(source), count, counter, tell, by)
    say_of_shards(counted.said, counted.failed, "not counted")
    return counted
