"""The palette: readable for all, and complete in the dark."""

import itertools
import json

import numpy as np
import pytest

from kedge.report import figures, style

# Machado, Oliveira & Fernandes (2009), severity 1.0, on linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    m = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    n = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(n) @ np.cbrt(np.array(m) @ np.clip(rgb, 0, 1))


def contrast(a, b):
    light = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] + 0.05 for c in (a, b))
    return light[1] / light[0]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("eye", BLINDNESS)
def test_series_stay_apart_for_every_eye(eye, dark):
    """0.1 in OKLab is about five times what an eye can just tell apart (0.02)."""
    colours = [style.DARK[c] if dark else c for c in style.SERIES]
    seen = [oklab(BLINDNESS[eye] @ linear(c)) for c in colours]
    gaps = {
        (i, j): float(np.linalg.norm(seen[i] - seen[j]))
        for i, j in itertools.combinations(range(6), 2)
    }
    # further ones also differ by marker and dash
    assert min(g for (_, j), g in gaps.items() if j < 4) > 0.1, gaps
    assert min(gaps.values()) > 0.06, gaps


def test_series_and_text_stand_out_from_the_ground():
    for colour in (*style.SERIES, style.GOOD, style.BAD):
        assert contrast(colour, style.CARD) > 2.6
        assert contrast(style.DARK[colour], style.DARK[style.CARD]) > 4.5
    for text in (style.INK, style.MUTED):
        assert contrast(text, style.CARD) > 5
        assert contrast(style.DARK[text], style.DARK[style.CARD]) > 5


def test_every_colour_of_every_figure_has_a_partner_in_the_dark():
    wh = np.random.default_rng(0).uniform(8, 200, (50, 2))
    best = {"a": np.linspace(0, 1, 50), "b": np.linspace(0, 1, 50)}
    every = [
        figures.shape_plane(wh, {"a": wh[:3], "b": wh[3:6]}),
        figures.shape_paths({"a": wh[:6].reshape(2, 3, 2)}, wh),
        figures.training_curve({"a": [[1, 2], [2, 3]]}, "loss", log=True),
        figures.best_iou_histogram(best, threshold=0.5),
        figures.coverage_by_size(wh[:, 0], best),
        figures.coverage_by_group(["x", "y"], {"a": [0.1, 0.2], "b": [0.3, 0.2]}),
        figures.threshold_sweep([0.1, 0.2], {"positive": [0.1, 0.2]}, chosen=0.1),
        figures.threshold_map(
            [0.1], [0.1], [[1]], title="t", chosen=(0.1, 0.1), recommended=(0.1, 0.1)
        ),
        figures.positives_per_object({"a": [0, 1, 2]}),
        figures.bars(["x"], {"a": [1]}, title="t", errors={"a": [0.1]}),
        figures.knee_curve([1, 2], {"a": [0.1, 0.2]}, chosen=2),
    ]
    for figure in every:
        for text in strings(json.loads(figure.to_json())):
            if text.startswith("#"):
                assert text[:7] in style.DARK, (text, figure)


def strings(tree):
    if isinstance(tree, str):
        yield tree
    for branch in (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    ):
        yield from strings(branch)


def test_light_colours_are_distinct_so_that_the_swap_is_a_map():
    assert len({c.lower() for c in style.DARK}) == len(style.DARK) >= 25
    assert not set(style.DARK) & set(style.DARK.values())
