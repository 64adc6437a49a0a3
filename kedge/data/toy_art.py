"""How the toy data is drawn: textured backgrounds and five shapes with soft edges."""

import colorsys
from dataclasses import dataclass

import numpy as np

CLASSES = ("bar", "disc", "ring", "cross", "wedge")
_HUE = dict(zip(CLASSES, (0.02, 0.14, 0.36, 0.58, 0.80), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object (or a crowd of small ones) with the box that it fills exactly."""

    label: int
    box: tuple[float, float, float, float]
    crowd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an image shows, in drawing order. `key` seeds its textures and colours."""

    key: tuple[int, int, int]
    size: tuple[int, int]
    things: tuple[Thing, ...]


def draw(scene: Scene) -> np.ndarray:
    """Paint a scene: (H, W, 3) uint8, the same for the same scene."""
    rng = np.random.default_rng((*scene.key, 1))  # not the numbers that composed it
    canvas = _background(rng, scene.size)
    grain = rng.integers(-9, 10, scene.size, dtype=np.int8)
    for thing in scene.things:
        if thing.crowd:
            _swarm(rng, canvas, thing)
        else:
            _paint(canvas, CLASSES[thing.label], thing.box, _colour(rng, thing.label))
    canvas += grain[:, :, None]
    return np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32: clouds of dull colour, a mottle, stripes and a few stray strokes."""
    height, width = size
    base = np.array(colorsys.hsv_to_rgb(rng.random(), 0.25 * rng.random(), rng.uniform(0.3, 0.8)))
    clouds = _noise(rng, (4, 5), size, channels=3) * np.float32(26)
    texture = _noise(rng, (height // 8, width // 8), size, channels=1)[:, :, 0]
    texture *= np.float32(rng.uniform(6, 16))
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    angle, period, swing = rng.uniform(0, np.pi), rng.uniform(9, 40), rng.uniform(0, 12)
    turn = np.float32(2 * np.pi / period)
    across, along = x * (turn * np.float32(np.cos(angle))), y * (turn * np.float32(np.sin(angle)))
    texture += np.float32(swing) * np.sin(across) * np.cos(along)  # sin(across + along) in two
    texture += np.float32(swing) * np.cos(across) * np.sin(along)  # separable, cheap products
    for _ in range(int(rng.integers(0, 4))):  # strokes across the image that are no object
        angle, offset = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8) * width
        away = (x - np.float32(offset)) * np.float32(np.cos(angle))
        away = np.abs(away + (y - np.float32(height / 2)) * np.float32(np.sin(angle)))
        texture += np.clip(2 - away, 0, 1) * np.float32(rng.uniform(-45, 45))
    return clouds + texture[:, :, None] + (255 * base).astype(np.float32)


def _noise(
    rng: np.random.Generator, grid: tuple[int, int], size: tuple[int, int], channels: int
) -> np.ndarray:
    """(H, W, channels) smooth noise of about unit variance, `grid` bumps high and wide."""
    from PIL import Image

    coarse = rng.standard_normal((channels, *grid)).astype(np.float32)
    width_height = (size[1], size[0])
    fine = [
        np.asarray(Image.fromarray(layer).resize(width_height, Image.Resampling.BICUBIC))
        for layer in coarse
    ]
    return np.stack(fine, axis=-1)


def _colour(rng: np.random.Generator, label: int) -> np.ndarray:
    """A colour near the class's own; neighbouring classes can look alike in colour."""
    hue = (_HUE[CLASSES[label]] + rng.uniform(-0.09, 0.09)) % 1.0
    return 255 * np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.5, 1), rng.uniform(0.5, 1)))


def _swarm(rng: np.random.Generator, canvas: np.ndarray, thing: Thing) -> None:
    x1, y1, x2, y2 = thing.box
    name = CLASSES[thing.label]
    for _ in range(int((x2 - x1) * (y2 - y1) / 55)):
        side = rng.uniform(5, 10)
        x, y = rng.uniform(x1, x2 - side), rng.uniform(y1, y2 - side)
        _paint(canvas, name, (x, y, x + side, y + side), _colour(rng, thing.label))


def _paint(
    canvas: np.ndarray, name: str, box: tuple[float, float, float, float], colour: np.ndarray
) -> None:
    """Blend a shape into the canvas; a little light falls from above."""
    x1, y1, x2, y2 = box
    rows = slice(int(y1), min(canvas.shape[0], int(np.ceil(y2))))
    columns = slice(int(x1), min(canvas.shape[1], int(np.ceil(x2))))
    y, x = np.ogrid[rows, columns]
    dx, dy = x + 0.5 - (x1 + x2) / 2, y + 0.5 - (y1 + y2) / 2  # from the centre, in pixels
    cover = _cover(name, dx, dy, (x2 - x1) / 2, (y2 - y1) / 2)[:, :, None]
    light = 1.1 - 0.2 * (y + 0.5 - y1)[:, :, None] / (y2 - y1)
    part = canvas[rows, columns]
    part += (cover * (colour * light - part)).astype(np.float32)


def _cover(name: str, dx: np.ndarray, dy: np.ndarray, a: float, b: float) -> np.ndarray:
    """The share of each pixel that a shape of half width `a` and half height `b` covers."""
    thin = min(a, b)
    if name == "disc":
        return _ellipse(dx, dy, a, b)
    if name == "ring":
        wall = max(1.5, 0.38 * thin)
        return _ellipse(dx, dy, a, b) - _ellipse(dx, dy, a - wall, b - wall)
    if name == "cross":
        arm = max(1.0, 0.36 * thin)
        return np.maximum(_rectangle(dx, dy, a, arm), _rectangle(dx, dy, arm, b))
    if name == "wedge":  # a triangle that stands on its base
        slope = np.hypot(1.0, a / (2 * b))
        beside = (np.abs(dx) - a * (dy + b) / (2 * b)) / slope
        return np.clip(0.5 - beside, 0, 1) * _rectangle(dx, dy, a, b)
    assert name == "bar", name
    return _rectangle(dx, dy, a, b)


def _rectangle(dx: np.ndarray, dy: np.ndarray, a: float, b: float) -> np.ndarray:
    return _interval(dx, a) * _interval(dy, b)


def _interval(d: np.ndarray, half: float) -> np.ndarray:
    """The share of a pixel centred at `d` that lies between -half and half."""
    return np.clip(np.minimum(d + 0.5, half) - np.maximum(d - 0.5, -half), 0, 1)


def _ellipse(dx: np.ndarray, dy: np.ndarray, a: float, b: float) -> np.ndarray:
    if min(a, b) <= 0:
        return np.zeros(np.broadcast_shapes(dx.shape, dy.shape))
    radius = np.sqrt((dx / a) ** 2 + (dy / b) ** 2)
    slope = np.sqrt((dx / a**2) ** 2 + (dy / b**2) ** 2)  # of the radius, times the radius
    away = (radius - 1) * radius / np.maximum(slope, 1e-9)  # pixels, to first order
    return np.clip(0.5 - away, 0, 1)
