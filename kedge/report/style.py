"""The look shared by all figures: one palette, one layout.

Grey is data, colour is what is compared over it. The series colours stay apart under the three
common kinds of colour blindness (a test measures it); markers and dashes repeat the
distinction for print. Figures carry the light theme's colours; the page swaps each for its partner
in ``DARK`` when the reader's screen is dark.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

INK, MUTED, RULE, CARD = "#1b2127", "#5c6670", "#e2e5e8", "#fffffe"
BLUE, ORANGE, GREEN, PURPLE, AMBER, INDIGO = (
    "#015cb1",
    "#b24c01",
    "#07a678",
    "#8a2e7a",
    "#bc8e01",
    "#7167ce",
)
SERIES = (ORANGE, BLUE, GREEN, PURPLE, AMBER, INDIGO)
GOOD, BAD, NEUTRAL = "#07a679", "#b24c02", "#98a2ab"
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
GREYS = ("#eef0f2", "#d3d9de", "#aeb8c1", "#7f8b97", "#515d69", "#2a333c")
BLUES = ("#edf3f9", "#c9dded", "#94bfde", "#569bc9", "#1f72ab", "#0a4a7d")

DARK = {
    INK: "#e7eaed",
    MUTED: "#a0abb5",
    RULE: "#2d353d",
    CARD: "#181d23",
    BLUE: "#1da0f7",
    ORANGE: "#f48545",
    GREEN: "#3ee3ac",
    PURPLE: "#bf82b1",
    AMBER: "#ffc843",
    INDIGO: "#b0aeff",
    GOOD: "#3ee3ad",
    BAD: "#f48546",
    NEUTRAL: "#6c7781",
    **dict(
        zip(GREYS, ("#232a31", "#333c45", "#4b5661", "#6d7985", "#96a2ad", "#ccd4db"), strict=True)
    ),
    **dict(
        zip(BLUES, ("#1d2a36", "#1f3d57", "#24587f", "#2f7bb0", "#59a8dc", "#b5dcf8"), strict=True)
    ),
}

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def numbers(values: Any, dtype: Any = np.float64) -> NDArray[Any]:
    """A numpy array of a tensor on any device, an array or a list."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values, dtype=dtype)


def scale(colours: tuple[str, ...]) -> list[list[float | str]]:
    """A plotly colour scale with even steps."""
    return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


def faint(colour: str, part: float) -> str:
    """`colour` with an opacity of `part`, in a spelling that the page can swap: ``#rrggbbaa``."""
    return f"{colour}{round(part * 255):02x}"


def colour_of(i: int) -> str:
    """Colour of the i-th series; they repeat after the sixth."""
    return SERIES[i % len(SERIES)]


def line_of(i: int, width: float = 2.2) -> dict[str, Any]:
    """Line of the i-th series: its colour and its dash."""
    return {"color": colour_of(i), "width": width, "dash": DASHES[i % len(DASHES)]}


def marker_of(i: int, size: float = 11) -> dict[str, Any]:
    """Marker of the i-th series: its colour and its symbol, with a seam to part it from its
    neighbours.
    """
    seam = {"color": CARD, "width": 1.5}
    return {"color": colour_of(i), "symbol": SYMBOLS[i % len(SYMBOLS)], "size": size, "line": seam}


def empty_figure(*, height: int = 360, aspect: float | None = None, **layout: Any) -> go.Figure:
    """A figure in the house layout.

    `aspect`: height over width that the page keeps between 300 and 640 pixels; without it
    `height` holds on every screen. `layout` goes to plotly's layout.
    """
    figure = go.Figure()
    figure.update_layout(
        template=_template(),
        height=height,
        meta={"aspect": aspect} if aspect else None,
        margin={"l": 56, "r": 16, "t": 28, "b": 48},
        **layout,
    )
    return figure


def note(figure: go.Figure, text: str) -> go.Figure:
    """Write `text` in the middle of a figure that has nothing to show."""
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    figure.add_annotation(text=text, font={"color": MUTED, "size": 14}, **place)
    return figure


def mark_x(figure: go.Figure, x: float, text: str) -> None:
    """A dotted upright line at `x` with `text` beside its top."""
    figure.add_vline(x=x, line={"color": MUTED, "width": 1.5, "dash": "dot"})
    place = {"x": x, "xshift": 4, "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "top"}
    figure.add_annotation(text=text, font={"color": INK, "size": 11}, showarrow=False, **place)


def percent(figure: go.Figure, axis: str = "y") -> None:
    """Write an axis in percent, from 0 to 100."""
    figure.update_layout({f"{axis}axis": {"tickformat": ".0%", "range": [0, 1.02]}})


def _template() -> go.layout.Template:
    axis = {
        "gridcolor": RULE,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": RULE,
        "ticklen": 4,
        "title": {"standoff": 10, "font": {"size": 13, "color": MUTED}},
        "automargin": True,
    }
    legend = {
        "orientation": "h",
        "x": 0,
        "y": 1.02,
        "yanchor": "bottom",
        "bgcolor": "rgba(0,0,0,0)",
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": INK},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(SERIES),
            "xaxis": axis,
            "yaxis": axis,
            "legend": legend,
            "hoverlabel": {"bgcolor": CARD, "bordercolor": RULE, "font": {"color": INK}},
            "hovermode": "closest",
            "bargap": 0.18,
        }
    )
