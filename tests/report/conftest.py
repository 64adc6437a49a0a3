"""A report with every kind of block, from random numbers."""

import numpy as np
import pytest

from kedge.report import (
    Code,
    Figure,
    Finding,
    Grid,
    Image,
    Numbers,
    Section,
    Table,
    Text,
    draw_boxes,
    figures,
)


@pytest.fixture
def sections():
    rng = np.random.default_rng(0)
    wh = np.exp(rng.normal(4, 0.6, (500, 2)))
    losses = figures.training_curve({"a": [1, 2], "</script>": [2, 1]}, "loss")
    paths = {
        f"a run with a long name {i}": wh[8 * i : 8 * i + 8].reshape(2, 4, 2) for i in range(4)
    }
    anchors = {"fixed": wh[:5], "learned": wh[5:10]}
    pictures = [
        Image(
            image=draw_boxes(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8), [[9, 9, 60, 60]]),
            alt=f"noise {i}",
        )
        for i in range(3)
    ]
    return [
        Section(
            title="In short",
            blocks=[
                Numbers(items=[("0.86", "AP50", "of 1"), ("3 s", "time", "")]),
                Text(text="First `code` and **bold**.\n\nSecond <script>alert(1)</script> & more."),
                Table(
                    columns=["run", "AP", "seeds"],
                    rows=[["a </td>", 0.25, 3], ["b", float("nan"), 1000], ["c", 0.5, None]],
                    caption="A table.",
                    best=["AP"],
                ),
            ],
        ),
        Section(
            title="Anchors & boxes",
            blocks=[
                Figure(figure=figures.shape_plane(wh, anchors), caption="The plane."),
                Grid(
                    blocks=[
                        Figure(figure=losses),
                        Figure(figure=figures.positives_per_object({"a": [0, 1, 2]})),
                    ],
                    caption="Two.",
                ),
                Figure(figure=figures.shape_paths(paths, wh)),
            ],
        ),
        Section(
            title="Pictures",
            blocks=[
                pictures[0],
                Grid(blocks=pictures[1:], caption="More."),
                Code(code="a <= b", caption="Copy me."),
                Finding(severity="error", title="Bad", facts={"Cure": "one\ntwo"}),
                Finding(severity="good", title="Fine"),
            ],
        ),
    ]
