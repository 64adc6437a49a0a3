"""How well anchors cover objects: best IoU as a distribution, by size, by class, by level."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from kedge.report.style import (
    BAD,
    MUTED,
    NEUTRAL,
    colour_of,
    empty_figure,
    faint,
    line_of,
    marker_of,
    note,
    numbers,
    percent,
)


def best_iou_histogram(
    best: Mapping[str, Any], *, threshold: float | None = None, bins: int = 40
) -> go.Figure:
    """Distribution of each object's best IoU. `best`: anchor set -> (n,). `threshold` shades what
    falls short.
    """
    figure = empty_figure(height=360)
    figure.update_layout(
        xaxis={"title": {"text": "best IoU with any anchor"}, "range": [0, 1]},
        yaxis={"title": {"text": "share of objects"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    edges = np.linspace(0, 1, bins + 1)
    drawn = False
    for i, (name, values) in enumerate(best.items()):
        values = numbers(values).reshape(-1)
        if not len(values):
            continue
        drawn = True
        share = np.histogram(np.clip(values, 0, 1), edges)[0] / len(values)
        figure.add_scatter(
            x=np.repeat(edges, 2),
            y=np.concatenate([[0], np.repeat(share, 2), [0]]),
            name=f"{name} (mean {values.mean():.3f})",
            mode="lines",
            fill="tozeroy",
            fillcolor=faint(colour_of(i), 0.12),
            line=line_of(i, 2),
            hovertemplate="IoU %{x:.2f}: %{y:.1%}",
        )
    if not drawn:
        return note(figure, "no objects")
    if threshold is not None:
        _below(figure, threshold)
    return figure


def _below(figure: go.Figure, threshold: float) -> None:
    figure.add_vrect(x0=0, x1=threshold, fillcolor=faint(BAD, 0.08), line_width=0, layer="below")
    place = {"x": threshold, "y": 1, "yref": "paper", "xanchor": "right", "yanchor": "top"}
    words = f"below {threshold:g}: not covered "
    figure.add_annotation(text=words, font={"color": MUTED, "size": 11}, showarrow=False, **place)


def coverage_by_size(
    sizes: Any, best: Mapping[str, Any], *, bins: int = 24, threshold: float | None = None
) -> go.Figure:
    """Coverage over object size, above the number of objects of that size.

    `sizes` (n,): square root of each object's area, pixels. `best`: anchor set -> best IoU (n,).
    With `threshold` the curve is the share of objects at or above it, otherwise the mean.
    """
    figure = empty_figure(height=360)
    side = numbers(sizes).reshape(-1)
    good = np.isfinite(side) & (side > 0)
    if not good.any():
        return note(figure, "no objects")
    edges = np.geomspace(side[good].min() * 0.999, side[good].max() * 1.001, bins + 1)
    place = np.digitize(side[good], edges) - 1
    count = np.bincount(place, minlength=bins)[:bins]
    centre = np.sqrt(edges[1:] * edges[:-1])
    powers = [2.0**k for k in range(int(np.log2(edges[0])), int(np.log2(edges[-1])) + 2)]
    title = "mean best IoU" if threshold is None else f"share with IoU ≥ {threshold:g}"
    figure.update_layout(
        xaxis={"type": "log", "tickvals": powers, "title": {"text": "√area (px)"}, "anchor": "y2"},
        yaxis={"title": {"text": title}, "domain": [0.3, 1], "range": [0, 1.02]},
        yaxis2={"title": {"text": "objects"}, "domain": [0, 0.22], "nticks": 3},
    )
    for i, (name, values) in enumerate(best.items()):
        values = numbers(values).reshape(-1)[good]
        score = values if threshold is None else (values >= threshold).astype(float)
        mean = np.bincount(place, score, minlength=bins)[:bins] / np.maximum(count, 1)
        figure.add_scatter(
            x=centre[count > 0],
            y=mean[count > 0],
            name=name,
            mode="lines+markers",
            line=line_of(i),
            marker={"size": 5},
            hovertemplate="%{x:.0f} px: %{y:.3f}",
        )
    figure.add_bar(
        x=centre,
        y=count,
        width=np.diff(edges),
        yaxis="y2",
        marker={"color": NEUTRAL, "line": {"width": 0}},
        showlegend=False,
        hovertemplate="%{x:.0f} px: %{y:,} objects<extra></extra>",
    )
    return figure


def coverage_by_group(
    groups: Sequence[str],
    scores: Mapping[str, Any],
    *,
    counts: Sequence[int] | None = None,
    title: str = "share of objects with a positive",
    sort: bool = False,
) -> go.Figure:
    """One score a group (class, level, size band) and anchor set, as a dot plot.

    `groups`: names (m,). `scores`: anchor set -> (m,) in 0..1, NaN where a group has no object.
    `counts` (m,) stands beside the names. `sort`: the worst group of the first set on top;
    otherwise the given order.
    """
    rows = len(groups)
    figure = empty_figure(height=110 + 30 * max(rows, 3))
    if not rows or not scores:
        return note(figure, "no groups")
    table = np.stack([numbers(values).reshape(-1) for values in scores.values()])
    first = np.where(np.isnan(table[0]), np.inf, table[0])
    order = np.argsort(first, kind="stable").tolist() if sort else list(range(rows))
    names = [str(groups[j]) for j in order]
    table = table[:, order]
    _spans(figure, table)
    dodge = np.linspace(-0.2, 0.2, len(scores)) if len(scores) > 1 else [0.0]
    for i, name in enumerate(scores):
        figure.add_scatter(
            x=table[i],
            y=np.arange(rows) + dodge[i],
            cliponaxis=False,
            name=name,
            mode="markers",
            marker=marker_of(i),
            text=names,
            hovertemplate="%{text}: %{x:.1%}<extra>%{fullData.name}</extra>",
        )
    percent(figure, "x")
    figure.update_xaxes(range=[-0.01, 1.01])
    ticks = [
        f"{names[y]}  <i>{counts[j]:,}</i>" if counts else names[y] for y, j in enumerate(order)
    ]
    figure.update_layout(
        xaxis={"title": {"text": title}},
        yaxis={"tickvals": list(range(rows)), "ticktext": ticks, "range": [rows - 0.4, -0.6]},
    )
    return figure


def _spans(figure: go.Figure, table: NDArray[np.float64]) -> None:
    """A thin line from the least to the most of every row."""
    rows = np.flatnonzero(np.isfinite(table).sum(axis=0) > 1)
    ends = (
        np.stack([np.nanmin(table[:, rows], 0), np.nanmax(table[:, rows], 0)])
        if len(rows)
        else rows
    )
    gap = np.full((1, len(rows)), np.nan)
    figure.add_scatter(
        x=np.concatenate([ends, gap]).T.reshape(-1) if len(rows) else [],
        y=np.repeat(rows, 3),
        mode="lines",
        line={"color": faint(NEUTRAL, 0.6), "width": 2},
        showlegend=False,
        hoverinfo="skip",
    )
