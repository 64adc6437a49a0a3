"""Are the numbers what the format says? xyxy, xywh, cxcywh, pixels and shares of the image get
mixed up, and most of the boxes may still look right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedge.counted import count
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, percent

FORMATS = ("xyxy", "xywh", "cxcywh")
_DECLARED = {"COCO JSON": "xywh", "boxes without images": "xywh", "YOLO": "cxcywh"}
_SLACK = 1.5  # pixels by which a sound box may leave its image
_LEAST = 5
_SURE = 0.99

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """Boxes as the files say them, read as ``declared``, in xyxy ``pixels`` (n, 4); the image's
    ``size`` (n, 2) and ``name`` (n,)."""

    declared: str
    pixels: Array
    size: Array
    name: NDArray[np.str_]


def check(context: Context) -> list[Finding]:
    """The format of all boxes, or of a part of the images, is another one than declared."""
    raw = raw_boxes(context)
    if len(raw.pixels) < _LEAST:
        return []
    share = _normalised(raw)
    if share is not None:
        return [share]
    sound = plausible(raw.pixels, raw.size)
    bad = int((~sound).sum())
    if bad < _LEAST or bad / len(sound) < 0.005:
        return []
    return _pixels_for_shares(context, raw, sound) or _another(context, raw, sound)


def raw_boxes(context: Context) -> Raw:
    """Every finite box of the files, those that the reader refused too."""
    objects = context.objects
    refused = [f for f in context.data.findings if f.box is not None and f.size is not None]
    boxes = np.array([f.box for f in refused], np.float64).reshape(-1, 4)
    size = np.array([f.size for f in refused], np.float64).reshape(-1, 2)
    names = np.array(context.names, np.str_)[objects.image] if len(objects) else np.zeros(0, "U1")
    pixels = np.concatenate([objects.xyxy.astype(np.float64), boxes])
    keep = np.isfinite(pixels).all(axis=1)
    return Raw(
        declared=declared_format(context.data.format),
        pixels=pixels[keep],
        size=np.concatenate([objects.size[objects.image], size])[keep],
        name=np.concatenate([names, np.array([f.image for f in refused], np.str_)])[keep],
    )


def declared_format(name: str) -> str:
    """The box format that a file format prescribes."""
    for start, form in _DECLARED.items():
        if name.startswith(start):
            return form
    return "xyxy"


def written(pixels: Array, form: str) -> Array:
    """The four numbers that a file of format ``form`` holds for xyxy ``pixels`` (n, 4)."""
    side = pixels[:, 2:] - pixels[:, :2]
    if form == "xywh":
        return np.concatenate([pixels[:, :2], side], axis=1)
    if form == "cxcywh":
        return np.concatenate([(pixels[:, :2] + pixels[:, 2:]) / 2, side], axis=1)
    return pixels


def read_as(values: Array, form: str) -> Array:
    """xyxy (n, 4) of four numbers in format ``form``."""
    first, second = values[:, :2], values[:, 2:]
    if form == "xywh":
        return np.concatenate([first, first + second], axis=1)
    if form == "cxcywh":
        return np.concatenate([first - second / 2, first + second / 2], axis=1)
    return values


def plausible(xyxy: Array, size: Array) -> NDArray[np.bool_]:
    """(n,) boxes with positive sides that lie in their image of ``size`` (n, 2)."""
    limit = np.where(size > 0, size, np.inf)
    positive = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    inside = (xyxy >= -_SLACK).all(axis=1) & (xyxy[:, 2:] <= limit + _SLACK).all(axis=1)
    return np.asarray(positive & inside)


def _normalised(raw: Raw) -> Finding | None:
    """Shares of the image where pixels are declared: every number lies in 0..1."""
    if raw.declared == "cxcywh":
        return None
    values = written(raw.pixels, raw.declared)
    tiny = (np.abs(values) <= 1.001).all(axis=1) & (raw.size.max(axis=1) > 4)
    share = float(tiny.mean())
    if tiny.sum() < _LEAST or share < 0.02:
        return None
    values, size = values[tiny], raw.size[tiny]
    likely = max(FORMATS, key=lambda form: _fits(read_as(values, form) * np.tile(size, 2), size))
    fits = _fits(read_as(values, likely) * np.tile(size, 2), size)
    return Finding(
        check="box_format",
        severity="error",
        symptom=f"{percent(share)} of the boxes have all coordinates between 0 and 1",
        evidence={
            "declared": f"{raw.declared} in pixels",
            "looks_like": f"{likely}, normalised",
            "mixed": share < 0.9,
            "boxes": int(tiny.sum()),
            "of": len(raw.pixels),
            "median_of_largest_coordinate": float(np.median(np.abs(values).max(axis=1))),
            "worst_images": _worst(raw, tiny),
        },
        cause=f"Normalised boxes (shares of the image, {likely}) in a file that holds pixels.",
        cure=_snippet(raw.declared, likely, "normalised", _SHARES if share < 0.9 else ""),
        predicted={
            "text": f"{percent(fits)} of these boxes then lie in their image",
            "plausible_before": 0.0,
            "plausible_after": fits,
        },
    )


def _pixels_for_shares(context: Context, raw: Raw, sound: NDArray[np.bool_]) -> list[Finding]:
    """Pixels where shares are declared (YOLO): numbers far above 1."""
    if raw.declared != "cxcywh":
        return []
    values = written(raw.pixels / np.tile(raw.size, 2), "cxcywh")
    huge = np.asarray((values > 1.5).any(axis=1))
    if huge.mean() < 0.02 or huge.sum() < _LEAST:
        return []
    part = bool(huge.mean() < 0.9)
    values, size = values[huge], raw.size[huge]
    likely = max(FORMATS, key=lambda form: _fits(read_as(values, form), size))
    fits = _fits(read_as(values, likely), size)
    return [
        Finding(
            check="box_format",
            severity="error",
            symptom=f"{percent(float(huge.mean()))} of the boxes have coordinates far above 1, "
            "where YOLO files hold shares of the image",
            evidence={
                "declared": "cxcywh, normalised",
                "looks_like": f"{likely} in pixels",
                "mixed": part,
                "boxes": int(huge.sum()),
                "of": len(sound),
                "worst_images": _worst(raw, huge),
            },
            cause=f"Pixels ({likely}) in a file of normalised boxes.",
            cure=_snippet("cxcywh, normalised", likely, "pixels", _PIXELS if part else ""),
            predicted={
                "text": f"{percent(fits)} of these boxes then lie in their image",
                "plausible_before": 0.0,
                "plausible_after": fits,
            },
        )
    ]


def _another(context: Context, raw: Raw, sound: NDArray[np.bool_]) -> list[Finding]:
    """All boxes, or those of some images, in another of the three formats."""
    scale = np.tile(raw.size, 2) if raw.declared == "cxcywh" else np.ones(4)
    values = written(raw.pixels / scale, raw.declared)
    others = {
        form: plausible(read_as(values, form) * scale, raw.size)
        for form in FORMATS
        if form != raw.declared
    }
    before = float(sound.mean())
    whole = max(others, key=lambda form: float(others[form].mean()))
    after = float(others[whole].mean())
    if after >= _SURE and (1 - after) < 0.2 * (1 - before):
        return [_finding(raw, whole, ~sound, before, after, part=False)]
    _, image = np.unique(raw.name, return_inverse=True)
    bad_image = np.bincount(image[~sound], minlength=image.max() + 1) > 0
    hit = bad_image[image]
    for form in ("xyxy", "xywh"):  # a shift by half a box explains any overhang: not cxcywh
        if form not in others:
            continue
        explained = float(others[form][~sound].mean())
        if explained >= 0.8 and float(others[form][hit].mean()) >= 0.8:
            mended = float(np.where(hit, others[form], sound).mean())
            return [_finding(raw, form, hit, before, mended, part=True)]
    return []


def _finding(
    raw: Raw, form: str, bad: NDArray[np.bool_], before: float, after: float, part: bool
) -> Finding:
    images = len(np.unique(raw.name[bad]))
    total = len(np.unique(raw.name))
    scope = f"the boxes of about {images} of {count(total, 'image')}" if part else "all boxes"
    symptom = f"{percent(1 - before)} of the boxes read as {raw.declared} are flipped or leave "
    return Finding(
        check="box_format",
        severity="error",
        symptom=symptom + "their image",
        evidence={
            "declared": raw.declared,
            "looks_like": form,
            "mixed": part,
            "plausible_as": {raw.declared: before, form: after},
            "boxes": len(raw.pixels),
            "images_hit": images,
            "worst_images": _worst(raw, bad),
        },
        cause=f"{scope[0].upper()}{scope[1:]} are {form}, written where {raw.declared} belongs.",
        cure=_snippet(raw.declared, form, "", _IMAGES if part else ""),
        predicted={
            "text": f"boxes that lie in their image: {percent(before)} -> {percent(after)}",
            "plausible_before": before,
            "plausible_after": after,
        },
    )


def _fits(xyxy: Array, size: Array) -> float:
    return float(plausible(xyxy, size).mean())


def _worst(raw: Raw, bad: NDArray[np.bool_]) -> list[dict[str, object]]:
    names, number = np.unique(raw.name[bad], return_counts=True)
    order = np.argsort(-number, kind="stable")[:5]
    return [{"image": str(names[i]), "boxes": int(number[i])} for i in order]


_TO_XYXY = {
    "xyxy": "x1, y1, x2, y2 = a, b, c, d",
    "xywh": "x1, y1, x2, y2 = a, b, a + c, b + d",
    "cxcywh": "x1, y1, x2, y2 = a - c / 2, b - d / 2, a + c / 2, b + d / 2",
}
_FROM_XYXY = {
    "xyxy": "x1, y1, x2, y2",
    "xywh": "x1, y1, x2 - x1, y2 - y1",
    "cxcywh": "(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1",
}


_SHARES = "# only boxes with all four numbers between 0 and 1: the others are right"
_PIXELS = "# only boxes with a number above 1.5: the others are right"
_IMAGES = "# only in the images that are hit: see the evidence, look at them first"


def _snippet(declared: str, form: str, unit: str, part: str) -> str:
    """Python that rewrites the four numbers a, b, c, d of a box; W, H are the image's sides.
    ``part``: which boxes it is for, where it is not all."""
    lines = ["# a, b, c, d: the four numbers as they stand; W, H: the image's size"]
    lines += [part] if part else []
    lines.append(_TO_XYXY[form])
    if unit == "normalised":
        lines.append("x1, y1, x2, y2 = x1 * W, y1 * H, x2 * W, y2 * H")
    if unit == "pixels":
        lines.append("x1, y1, x2, y2 = x1 / W, y1 / H, x2 / W, y2 / H")
    lines.append(f"box = {_FROM_XYXY[declared.split(',')[0]]}  # what belongs in the file")
    return "\n".join(lines)
