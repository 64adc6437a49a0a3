"""What thresholds do to an assignment: sweeps, the map of pairs, and positives per object."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from kedge.report.style import (
    BAD,
    BLUE,
    BLUES,
    CARD,
    INK,
    MUTED,
    NEUTRAL,
    ORANGE,
    colour_of,
    empty_figure,
    note,
    numbers,
    percent,
    scale,
)

_PARTS = {"positive": ORANGE, "ignored": NEUTRAL, "negative": BLUE}


def threshold_sweep(
    thresholds: Any,
    lines: Mapping[str, Any],
    *,
    chosen: float | None = None,
    title: str = "share",
    log: bool = False,
    x_title: str = "threshold (IoU)",
) -> go.Figure:
    """Any quantities over a threshold.

    `thresholds` (T,); `lines`: name -> (T,), for instance ``positive``, ``negative``, ``ignored``
    (drawn in their own colours) or the share of objects without a positive. `chosen` marks the
    threshold in use. `log`: for shares that span orders of magnitude, as anchors do.
    """
    figure = empty_figure(height=340)
    x = numbers(thresholds)
    if not len(x):
        return note(figure, "no thresholds")
    for i, (name, values) in enumerate(lines.items()):
        line = {"color": _PARTS.get(name, colour_of(i)), "width": 2.2}
        figure.add_scatter(
            x=x,
            y=numbers(values),
            name=name,
            mode="lines+markers",
            marker={"size": 4},
            line=line,
            hovertemplate="%{y:.3~%}",
        )
    percent(figure)
    figure.update_layout(
        hovermode="x unified", xaxis={"title": {"text": x_title}}, yaxis={"title": {"text": title}}
    )
    if log:
        ticks = [10.0**-k for k in range(7)]
        text = [f"{100 * t:g} %" for t in ticks]
        figure.update_yaxes(type="log", range=None, autorange=True, tickvals=ticks, ticktext=text)
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": MUTED, "width": 1.5, "dash": "dot"})
        place = {"x": chosen, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
        figure.add_annotation(text=f"in use: {chosen:g}", font={"color": INK, "size": 11}, **place)
    return figure


def threshold_map(
    positive: Any,
    negative: Any,
    values: Any,
    *,
    title: str,
    chosen: tuple[float, float] | None = None,
    recommended: tuple[float, float] | None = None,
) -> go.Figure:
    """A value for every pair of thresholds: `positive` (P,), `negative` (Q,), `values` (Q, P), NaN
    where negative exceeds positive. `chosen` and `recommended` are (positive, negative) pairs to
    mark.
    """
    figure = empty_figure(height=420, aspect=0.75)
    figure.add_heatmap(
        x=numbers(positive),
        y=numbers(negative),
        z=numbers(values).astype(np.float32),
        colorscale=scale(BLUES),
        colorbar={"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate=f"positive %{{x:.2f}}, negative %{{y:.2f}}<br>{title}: %{{z:.4g}}<extra></extra>",
    )
    marks = (("in use", chosen, "circle", ORANGE), ("recommended", recommended, "star", BAD))
    for name, place, symbol, colour in marks:
        if place is not None:
            mark = {
                "symbol": symbol,
                "size": 14,
                "color": colour,
                "line": {"color": CARD, "width": 2},
            }
            figure.add_scatter(
                x=[place[0]], y=[place[1]], name=name, mode="markers", marker=mark, showlegend=True
            )
    figure.update_layout(
        xaxis={"title": {"text": "positive threshold"}, "showgrid": False},
        yaxis={"title": {"text": "negative threshold"}, "showgrid": False},
    )
    return figure


def positives_per_object(counts: Mapping[str, Any], *, most: int = 20) -> go.Figure:
    """How many anchors answer for an object. `counts`: anchor set or assigner -> (n,) positives of
    each object. The bar at 0 is objects that the detector never learns from; the last bar holds
    `most` and more.
    """
    figure = empty_figure(height=320)
    series = {name: numbers(values, np.int64).reshape(-1) for name, values in counts.items()}
    series = {name: values for name, values in series.items() if len(values)}
    if not series:
        return note(figure, "no objects")
    ticks = [str(k) for k in range(most)] + [f"{most}+"]
    for i, (name, values) in enumerate(series.items()):
        share = np.bincount(np.clip(values, 0, most), minlength=most + 1) / len(values)
        # alone, a series shows its uncovered objects in the colour of what is missing
        colour = [BAD] + [BLUE] * most if len(series) == 1 else colour_of(i)
        figure.add_bar(
            x=ticks,
            y=share,
            name=f"{name} (none: {share[0]:.1%})",
            marker={"color": colour},
            hovertemplate="%{x} positives: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": "positives per object"}, "type": "category"},
        yaxis={"title": {"text": "share of objects"}, "tickformat": ".0%"},
        showlegend=True,
    )
    return figure
