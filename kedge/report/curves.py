"""Curves over epochs, and the knee of a score over the number of anchors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kedge.report.style import (
    colour_of,
    empty_figure,
    faint,
    line_of,
    mark_x,
    note,
    numbers,
)


def training_curve(
    runs: Mapping[str, Any], title: str, *, epochs: Any = None, log: bool = False, height: int = 300
) -> go.Figure:
    """One quantity over the epochs, one line a run.

    `runs`: name -> values (E,), or (S, E) for S seeds: then the line is their mean and the band
    their least and most. Lengths may differ; NaN leaves a gap (an epoch without evaluation).
    `epochs` (E,) names the places, 1 .. E by default. `log`: logarithmic axis, for losses.
    """
    figure = empty_figure(height=height)
    figure.update_layout(
        xaxis={"title": {"text": "epoch"}},
        yaxis={"title": {"text": title}} | ({"type": "log", "dtick": "D2"} if log else {}),
        hovermode="x unified",
    )
    drawn = False
    for i, (name, values) in enumerate(runs.items()):
        seeds = np.atleast_2d(numbers(values))
        if not np.isfinite(seeds).any():
            continue
        drawn = True
        x = (
            numbers(epochs)[: seeds.shape[1]]
            if epochs is not None
            else np.arange(1, seeds.shape[1] + 1)
        )
        _line(figure, name, x, seeds, i)
    return figure if drawn else note(figure, "nothing recorded")


def _line(figure: go.Figure, name: str, x: Any, seeds: Any, i: int) -> None:
    kept = np.isfinite(seeds).any(axis=0)
    x, seeds = x[kept], seeds[:, kept]
    colour = colour_of(i)
    if len(seeds) > 1:
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([np.nanmax(seeds, 0), np.nanmin(seeds, 0)[::-1]]),
            fill="toself",
            fillcolor=faint(colour, 0.15),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            legendgroup=name,
            showlegend=False,
        )
    figure.add_scatter(
        x=x,
        y=np.nanmean(seeds, 0),
        name=name,
        legendgroup=name,
        mode="lines" if len(x) > 1 else "markers",
        line=line_of(i),
        hovertemplate="%{y:.4g}",
    )


def knee_curve(
    k: Any, scores: Mapping[str, Any], chosen: int | None = None, *, title: str = "mean best IoU"
) -> go.Figure:
    """A score over the number of anchors `k` (K,); `scores`: name -> (K,). `chosen` marks the
    recommended k.
    """
    figure = empty_figure(height=340)
    counts = numbers(k, np.int64)
    figure.update_layout(
        xaxis={"title": {"text": "anchors (k)"}, "dtick": 1 if len(counts) <= 16 else None},
        yaxis={"title": {"text": title}},
        hovermode="x unified",
    )
    for i, (name, values) in enumerate(scores.items()):
        figure.add_scatter(
            x=counts,
            y=numbers(values),
            name=name,
            mode="lines+markers",
            line=line_of(i),
            hovertemplate="%{y:.4f}",
        )
    if len(scores) == 1:
        figure.update_traces(showlegend=False)
    if chosen is not None:
        mark_x(figure, int(chosen), f"k = {chosen}")
    return figure
