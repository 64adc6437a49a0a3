"""Plain bars, with or without an error."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from kedge.report.style import BLUE, CARD, INK, colour_of, empty_figure, note, numbers


def bars(
    labels: Sequence[str],
    values: Mapping[str, Any],
    *,
    title: str,
    errors: Mapping[str, Any] | None = None,
    share: bool = False,
    horizontal: bool = False,
) -> go.Figure:
    """Bars of one or more series.

    `labels` (m,); `values`: series -> (m,); `errors`: series -> (m,), one standard deviation either
    side. `share`: numbers are parts of one, written in percent. `horizontal`: for long names.
    """
    rows = len(labels)
    height = 90 + max(rows, 3) * (14 + 14 * len(values)) if horizontal else 340
    figure = empty_figure(height=height)
    if not rows or not values:
        return note(figure, "nothing to show")
    names = [str(label) for label in labels]
    form = ".1%" if share else ".4~g"
    hover = f"%{{y}}: %{{x:{form}}}" if horizontal else f"%{{x}}: %{{y:{form}}}"
    for i, (name, series) in enumerate(values.items()):
        spread = (errors or {}).get(name)
        bar = (
            {"array": numbers(spread), "color": INK, "thickness": 1.2}
            if spread is not None
            else None
        )
        lengths = (
            {"x": numbers(series), "y": names} if horizontal else {"x": names, "y": numbers(series)}
        )
        figure.add_bar(
            **lengths,
            name=name,
            orientation="h" if horizontal else "v",
            error_x=bar if horizontal else None,
            error_y=None if horizontal else bar,
            marker={"color": colour_of(i) if len(values) > 1 else BLUE},
            showlegend=len(values) > 1,
            texttemplate=f"%{{{'x' if horizontal else 'y'}:{form}}}" if rows <= 24 else None,
            textposition="inside" if bar else "auto",
            insidetextanchor="start",
            textangle=0,
            insidetextfont={"color": CARD},
            hovertemplate=hover,
        )
    length, group = ("xaxis", "yaxis") if horizontal else ("yaxis", "xaxis")
    figure.update_layout(
        {
            length: {"title": {"text": title}, "tickformat": ".0%" if share else None},
            group: {"type": "category", "autorange": "reversed" if horizontal else True},
        }
    )
    return figure
