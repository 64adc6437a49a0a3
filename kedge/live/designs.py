"""Anchor shapes designed for the data, over its objects' distribution, beside those in use."""

from typing import Annotated, Any, Literal, TypedDict

import numpy as np
from pydantic import Field

from kedge.data.seen import as_seen
from kedge.design import DesignSettings, design_command, table_from_records
from kedge.design.frameworks import FrameworkName
from kedge.design.report import row_dict
from kedge.interop.design_snippet import design_snippet
from kedge.live.jobs import Job
from kedge.live.packed import Packed, packed
from kedge.live.source import Source
from kedge.live.state import Asked, State

SHOWN = 20_000  # boxes of the distribution; of more, every second, third ... is sent


class DesignRequest(Asked):
    """``k`` shapes, or a pyramid of ``scales`` x ``ratios``, on the levels of the state."""

    state: State
    layout: Literal["free", "pyramid"] = "free"
    k: Annotated[int, Field(ge=1, le=64)] = 9
    scales: Annotated[int, Field(ge=1, le=6)] = 3
    ratios: Annotated[int, Field(ge=1, le=6)] = 3
    objective: Literal["mean_iou", "recall", "bpr", "fitness", "placed"] = "mean_iou"
    framework: FrameworkName = "kedge"


class Designed(TypedDict):
    """``levels``: stride and shapes of each; ``rows``: numbers on held-out images, those in use
    among them; ``verdict`` and ``snippet`` are texts."""

    levels: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    verdict: str
    snippet: str
    text: str


class SizesRequest(Asked):
    """Of which objects, as the network sees them, the sizes are asked for."""

    state: State


class Sizes(TypedDict):
    """(n, 2) width and height of objects on the network's input; ``shown`` of ``total``."""

    wh: Packed
    shown: int
    total: int


def sizes(source: Source, asked: SizesRequest) -> Sizes:
    """The distribution that the plane shows: every object of the data set, crowds aside."""
    table = table_from_records(source.records)
    usable = (table.xyxy[:, 2:] > table.xyxy[:, :2]).all(1)
    xyxy, size = table.xyxy[usable], table.size[usable]
    step = max(1, -(-len(xyxy) // SHOWN))
    seen, _ = as_seen(xyxy[::step], size[::step], asked.state.place)
    wh = np.asarray(seen[:, 2:] - seen[:, :2])
    return {"wh": packed(wh), "shown": len(wh), "total": len(xyxy)}


def design(source: Source, asked: DesignRequest, job: Job) -> None:
    """Design shapes, and compare them with those of the state; ``job`` gets a ``Designed``."""
    state = asked.state
    if any(level.stride[0] != level.stride[1] for level in state.levels):
        raise ValueError("a design needs levels with one stride along both axes")
    shapes = tuple(shape for level in state.levels for shape in level.shapes or ())
    pyramid = asked.layout == "pyramid"
    settings = DesignSettings(
        k=None if pyramid else asked.k,
        layout=asked.layout,
        scales=asked.scales if pyramid else None,
        ratios=asked.ratios if pyramid else None,
        image_size=state.size,
        resize=state.resize,
        strides=tuple(level.stride[0] for level in state.levels),
        objective=asked.objective,
        in_use=shapes or None,
        baselines=(),
        framework=asked.framework,
        offset=state.levels[0].offset,
        restarts=16,
        curve=False,
    )
    job.tell(0, 1, None)
    report = design_command(table_from_records(source.records), settings)
    rows = [] if report.verdict is None else [row_dict(row) for row in report.verdict.rows]
    found: Designed = {
        "levels": [{"stride": s, "shapes": [list(x) for x in m]} for s, m in report.levels],
        "rows": rows,
        "verdict": report.verdict_text,
        "snippet": design_snippet(report),
        "text": report.text(),
    }
    job.tell(1, 1, found)
