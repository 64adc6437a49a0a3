"""What thresholds do to an assignment: sweeps, the map of pairs, and positives per object."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from kedge.report.style import (
    BAD,
    BLUE,
    BLUES,
    CARD,
    INK,
    NEUTRAL,
    ORANGE,
    colour_of,
    empty_figure,
    mark_x,
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
    values = np.concatenate([numbers(v) for v in lines.values()] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    percent(figure)
    if len(values) and values.max() < 0.5:
        figure.update_yaxes(range=[0, max(0.05, 1.25 * float(values.max()))])
    figure.update_layout(
        hovermode="x unified", xaxis={"title": {"text": x_title}}, yaxis={"title": {"text": title}}
    )
    if log:
        ticks = [10.0**-k for k in range(7)]
        text = [f"{100 * t:g} %" for t in ticks]
        least = max(1e-7, float(values[values > 0].min(initial=1.0)))
        span = [np.log10(least) - 0.3, 0.6]  # room for the name of the chosen threshold
        figure.update_yaxes(type="log", range=span, tickvals=ticks, ticktext=text)
    if chosen is not None:
        mark_x(figure, chosen, f"in use: {chosen:g}")
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
    figure = empty_figure(height=420, aspect=0.55)
    figure.add_heatmap(
        x=numbers(positive),
        y=numbers(negative),
        z=numbers(values).astype(np.float32),
        colorscale=scale(BLUES),
        colorbar={"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate=f"%{{x:.2f}} / %{{y:.2f}}<br>{title}: %{{z:.4g}}<extra></extra>",
    )
    marks = (("in use", chosen, "circle", INK), ("recommended", recommended, "star", ORANGE))
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


def positives_per_object(counts: Mapping[str, Any], *, most: int | None = None) -> go.Figure:
    """How many anchors answer for an object. `counts`: anchor set or assigner -> (n,) positives of
    each object. The bar at 0 is objects that the detector never learns from; the last bar holds
    `most` and more (by default what holds nine tenths of the objects: 6, or 20 to 60).
    """
    figure = empty_figure(height=320)
    series = {name: numbers(values, np.int64).reshape(-1) for name, values in counts.items()}
    series = {name: values for name, values in series.items() if len(values)}
    if not series:
        return note(figure, "no objects")
    if most is None:
        usual = max(float(np.quantile(values, 0.9)) for values in series.values())
        most = 6 if usual < 5 else int(np.clip(10 * np.ceil(usual / 10), 20, 60))
    ticks = [*range(0, most, 1 if most <= 12 else 5 if most <= 30 else 10), most]
    for i, (name, values) in enumerate(series.items()):
        share = np.bincount(np.clip(values, 0, most), minlength=most + 1) / len(values)
        if len(series) > 1:
            _bar(figure, 0, share, f"{name} (none: {share[0]:.1%})", colour_of(i))
        else:  # alone, a series shows what is missing in its own colour
            _bar(figure, 0, share[:1], f"no positive ({share[0]:.1%})", BAD)
            _bar(figure, 1, share[1:], name, BLUE)
    figure.update_layout(
        xaxis={
            "title": {"text": "positives per object"},
            "tickvals": ticks,
            "ticktext": [*map(str, ticks[:-1]), f"{most}+"],
            "showgrid": False,
        },
        yaxis={"title": {"text": "share of objects"}, "tickformat": ".0%"},
        showlegend=True,
        barmode="overlay" if len(series) == 1 else "group",
    )
    return figure


def _bar(figure: go.Figure, start: int, share: NDArray[np.float64], name: str, colour: str) -> None:
    figure.add_bar(
        x=np.arange(start, start + len(share)),
        y=share,
        name=name,
        marker={"color": colour},
        hovertemplate="%{x} positives: %{y:.1%}<extra>%{fullData.name}</extra>",
    )
