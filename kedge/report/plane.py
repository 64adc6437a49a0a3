"""The log w - log h plane: boxes as a grey density, anchor shapes over it in colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from kedge.report.style import (
    CARD,
    GREYS,
    INK,
    MUTED,
    NEUTRAL,
    colour_of,
    empty_figure,
    faint,
    marker_of,
    note,
    numbers,
    scale,
)

_MANY = 20  # shapes of a set, beyond which their marks would hide each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Boxes counted in a grid of width x height: ``counts`` (W, H), edges (W + 1,), (H + 1,) in
    pixels.
    """

    counts: NDArray[np.float64]
    width_edges: NDArray[np.float64]
    height_edges: NDArray[np.float64]


def density(wh: Any, bins: int = 56) -> Density:
    """Count boxes of `wh` (n, 2) pixels in bins of even size in log w and log h.

    Rows that are not positive and finite are left out.
    """
    sizes = numbers(wh).reshape(-1, 2)
    sizes = sizes[(np.isfinite(sizes) & (sizes > 0)).all(axis=1)]
    low = sizes.min(axis=0) * 0.8 if len(sizes) else np.array([8.0, 8.0])
    high = sizes.max(axis=0) * 1.25 if len(sizes) else np.array([512.0, 512.0])
    edges = [np.geomspace(low[i], high[i], bins + 1) for i in range(2)]
    counts, *_ = np.histogram2d(sizes[:, 0], sizes[:, 1], bins=edges)
    return Density(counts=counts, width_edges=edges[0], height_edges=edges[1])


def shape_plane(
    boxes: Any | Density, anchors: Mapping[str, Any] | None = None, *, size_limits: bool = True
) -> go.Figure:
    """Distribution of box sizes with its marginals, and any number of anchor sets over it.

    Grey is denser the more boxes there are (on a logarithmic scale): darker on the light page,
    brighter on the dark one, so captions should say "denser".

    `boxes`: (n, 2) widths and heights in pixels, or a ``Density`` counted elsewhere. `anchors`:
    name -> (k, 2) shapes. `size_limits` draws where COCO's small, medium and large meet (areas 32^2
    and 96^2).

    Source: Zhong et al., arXiv:1812.00469, figures 2 and 3.
    """
    counted = boxes if isinstance(boxes, Density) else density(boxes)
    sets = {name: numbers(shapes).reshape(-1, 2) for name, shapes in (anchors or {}).items()}
    figure = _plane(counted, list(sets.values()), size_limits=size_limits)
    if not counted.counts.any() and not sets:
        return note(figure, "no boxes")
    for i, (name, shapes) in enumerate(sets.items()):
        figure.add_scatter(
            x=shapes[:, 0],
            y=shapes[:, 1],
            name=name,
            mode="markers",
            marker=_smaller(marker_of(i)) if len(shapes) > _MANY else marker_of(i),
            hovertemplate=f"{name}<br>%{{x:.1f}} × %{{y:.1f}} px<extra></extra>",
        )
        _ticks(figure, shapes, colour_of(i), counted, (i + 0.75) / (len(sets) + 0.5))
    return figure


def _smaller(marker: dict[str, Any]) -> dict[str, Any]:
    return marker | {"size": 0.7 * marker["size"]}


def shape_paths(
    paths: Mapping[str, Any], boxes: Any | Density | None = None, *, epochs: Any = None
) -> go.Figure:
    """The way that learned shapes took over the epochs, in the same plane.

    `paths`: run -> (E, k, 2) shapes in pixels after each epoch (first row: where they started).
    `boxes` as in ``shape_plane``, drawn beneath. `epochs` (E,) names the rows, 0 .. E - 1 by
    default.
    """
    tracks = {name: numbers(path) for name, path in paths.items()}
    for name, track in tracks.items():
        if track.ndim != 3 or track.shape[2] != 2:
            raise ValueError(
                f"paths[{name!r}] must have the shape (epochs, k, 2), not {track.shape}"
            )
    empty = np.zeros((0, 2)) if boxes is None else boxes
    counted = empty if isinstance(empty, Density) else density(empty)
    figure = _plane(counted, [t.reshape(-1, 2) for t in tracks.values()], size_limits=False)
    if not tracks and not counted.counts.any():
        return note(figure, "no shapes were recorded")
    for i, (name, track) in enumerate(tracks.items()):
        _add_track(figure, name, track, i, epochs)
    return figure


def _add_track(
    figure: go.Figure, name: str, track: NDArray[np.float64], i: int, epochs: Any
) -> None:
    """One line for all shapes (with gaps between them), hollow where they start, filled where they
    end.
    """
    colour = colour_of(i)
    steps, k = track.shape[:2]
    when = numbers(range(steps) if epochs is None else epochs)
    gap = np.full((1, k, 2), np.nan)
    line = np.concatenate([track, gap]).transpose(1, 0, 2).reshape(-1, 2)
    label = np.tile(np.append(when, np.nan), k)
    figure.add_scatter(
        x=line[:, 0],
        y=line[:, 1],
        customdata=label,
        mode="lines",
        name=name,
        legendgroup=name,
        showlegend=False,
        line={"color": faint(colour, 0.75), "width": 2},
        hovertemplate=f"{name}, epoch %{{customdata}}<br>%{{x:.1f}} × %{{y:.1f}} px<extra></extra>",
    )
    hollow_marker = {"size": 8, "color": CARD, "line": {"color": colour, "width": 2}}
    for row, hollow, place in ((0, True, "start"), (-1, False, "end")):
        figure.add_scatter(
            x=track[row, :, 0] if steps else [],
            y=track[row, :, 1] if steps else [],
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=not hollow,
            marker=marker_of(i) | (hollow_marker if hollow else {}),
            hovertemplate=f"{name}, {place}" + "<br>%{x:.1f} × %{y:.1f} px<extra></extra>",
        )


def _plane(counted: Density, shapes: list[NDArray[np.float64]], *, size_limits: bool) -> go.Figure:
    """Axes, density and marginals."""
    figure = empty_figure(height=560, aspect=0.92)
    x_range = _range(counted.width_edges, [s[:, 0] for s in shapes])
    y_range = _range(counted.height_edges, [s[:, 1] for s in shapes])
    big = {"type": "log", "domain": [0, 0.84]}
    side = {"domain": [0.86, 1], "showgrid": False, "showticklabels": False, "ticks": ""}
    side |= {"rangemode": "tozero", "fixedrange": True, "showline": False}
    figure.update_layout(
        xaxis=big
        | _powers(x_range)
        | {"title": {"text": "width (px)"}, "range": np.log10(x_range)},
        yaxis=big
        | _powers(y_range)
        | {"title": {"text": "height (px)"}, "range": np.log10(y_range)},
        xaxis2=side | {"anchor": "y"},
        yaxis2=side | {"anchor": "x"},
    )
    _guides(figure, x_range, y_range, size_limits)
    if counted.counts.any():
        _add_density(figure, counted)
    return figure


def _add_density(figure: go.Figure, counted: Density) -> None:
    counts = counted.counts
    shown = np.where(counts > 0, np.log10(np.maximum(counts, 1e-9)), np.nan)
    figure.add_heatmap(
        x=counted.width_edges,
        y=counted.height_edges,
        z=shown.T.astype(np.float32),
        customdata=counts.T.astype(np.float32),
        colorscale=scale(GREYS),
        zmin=min(0.0, float(np.nanmin(shown))),
        zmax=max(float(np.nanmax(shown)), 0.5),
        showscale=False,
        hovertemplate="%{customdata:,} boxes near %{x:.0f} × %{y:.0f} px<extra></extra>",
    )
    fill = {"fill": "tozerox", "mode": "lines", "showlegend": False, "hoverinfo": "skip"}
    fill |= {"line": {"color": NEUTRAL, "width": 1}, "fillcolor": faint(NEUTRAL, 0.35)}
    wide, tall = (
        _steps(counted.width_edges, counts.sum(1)),
        _steps(counted.height_edges, counts.sum(0)),
    )
    figure.add_scatter(x=wide[0], y=wide[1], yaxis="y2", **(fill | {"fill": "tozeroy"}))
    figure.add_scatter(x=tall[1], y=tall[0], xaxis="x2", **fill)


def _ticks(
    figure: go.Figure, shapes: NDArray[np.float64], colour: str, counted: Density, part: float
) -> None:
    """The widths and heights of a set as ticks on the marginals, at `part` of their height."""
    for across in (True, False):
        peak = float(counted.counts.sum(1 if across else 0).max(initial=0)) or 1.0
        height = np.full(len(shapes), peak * part)
        symbol = "line-ns" if across else "line-ew"
        mark = {"symbol": symbol, "size": 9, "line": {"color": colour, "width": 2}}
        axes = {"yaxis": "y2"} if across else {"xaxis": "x2"}
        x, y = (shapes[:, 0], height) if across else (height, shapes[:, 1])
        figure.add_scatter(
            x=x, y=y, mode="markers", marker=mark, showlegend=False, hoverinfo="skip", **axes
        )


def _guides(
    figure: go.Figure, x_range: NDArray[np.float64], y_range: NDArray[np.float64], limits: bool
) -> None:
    """Diagonals of equal aspect ratio, and of equal area where COCO's sizes meet."""
    x = np.geomspace(x_range[0], x_range[1], 2)
    quiet = {"showlegend": False, "hoverinfo": "skip", "cliponaxis": True}
    figure.add_scatter(
        x=x, y=x, mode="lines", line={"color": faint(MUTED, 0.5), "width": 1}, **quiet
    )
    for side, name in ((32, "small ↙"), (96, "large ↗")) if limits else ():
        dotted = {"color": faint(MUTED, 0.8), "width": 1.2, "dash": "dot"}
        figure.add_scatter(x=x, y=side**2 / x, mode="lines", line=dotted, **quiet)
        top = y_range[1] / (y_range[1] / y_range[0]) ** 0.05  # the line falls: its name is above it
        at = np.clip(side**2 / top, x_range[0], x_range[1] / 1.3)
        place = {"x": np.log10(at), "y": np.log10(min(side**2 / at, top)), "showarrow": False}
        place |= {"xanchor": "left", "yanchor": "bottom", "xshift": 5}
        figure.add_annotation(text=name, font={"color": MUTED, "size": 11}, **place)


def _range(edges: NDArray[np.float64], extra: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    values = np.concatenate([edges, *extra])
    values = values[np.isfinite(values) & (values > 0)]
    return np.array([values.min() / 1.08, values.max() * 1.08])


def _powers(limits: NDArray[np.float64]) -> dict[str, Any]:
    low, high = np.floor(np.log2(limits)).astype(int)
    every = 1 if high - low < 9 else 2
    values = [2.0**k for k in range(low, high + 2, every)]
    return {"tickvals": values, "ticktext": [f"{v:g}" for v in values], "tickcolor": INK}


def _steps(
    edges: NDArray[np.float64], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The outline of a histogram, from zero to zero."""
    return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(counts, 2), [0.0]])
