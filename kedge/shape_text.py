"""Anchor shapes, sizes of images and files of designs, as people type and paste them."""

import re

SHAPE = re.compile(r"^\s*([0-9.]+)\s*x\s*([0-9.]+)\s*$")
_NUMBER = r"\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_SIZE = re.compile(r"\s*(\d{1,6})(?:\s*(?:[xX×,]|\s)\s*(\d{1,6}))?\s*")
_LISTED = re.compile(rf"(?:{_NUMBER}|[\s,x×()\[\]-])+", re.IGNORECASE)
_CELLS = re.compile(r"anchors in cells of ([0-9.]+) px")  # as the darknet snippet says it
_OTHER_KEYS = re.compile(r"^\s*(?:num|mask)\s*=.*$", re.MULTILINE)  # lines of a darknet layer


def parse_size(text: str) -> tuple[int, int]:
    """(H, W) of ``640`` (a square), ``480 640``, ``480x640`` or ``480,640``: height first.

    Errors: ``ValueError`` for other text and for a side of 0.
    """
    match = _SIZE.fullmatch(text)
    size = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
    if min(size) < 1:
        raise ValueError(
            f"expected a side, or height and width (640, 480 640 or 480x640), got {text!r}"
        )
    return size


def parse_shapes(text: str) -> list[tuple[float, float]]:
    """Shapes (w, h) in pixels, in the order given.

    Read are ``10x13,16x30``; numbers in pairs, with or without brackets: ``10,13, 16,30`` and
    ``[10,13, 16,30]`` and ``[(10, 13), (16, 30)]``; and what ``kedge design`` prints for YOLOv5
    and darknet, whole or a line of it: ``anchors:`` with a list per level, ``anchors = 10,13,
    16,30``. Comments after ``#`` are passed over, but for the stride of a darknet [region] layer,
    whose anchors are counted in cells.

    Errors: ``ValueError`` for other text, an odd count of numbers, and sides that are not positive.
    """
    body = _body(text)
    if not is_shapes(text):
        wrong = next((w for w in _words(body) if not _LISTED.fullmatch(w)), text.strip())
        raise ValueError(
            f"{_short(wrong)} is not a shape such as 10x13 (w x h, pixels); a list is 10x13,16x30 "
            "or 10,13, 16,30"
        )
    pairs = _crossed(body) if re.search("[x×]", body, re.IGNORECASE) else _in_pairs(body, text)
    cells = _CELLS.search(text)
    unit = float(cells[1]) if cells else 1.0
    shapes = [(float(w) * unit, float(h) * unit) for w, h in pairs]
    for w, h in shapes:
        if not (0 < w < float("inf") and 0 < h < float("inf")):
            raise ValueError(f"shape '{w:g}x{h:g}' has no area: sides must be positive")
    return shapes


def is_shapes(text: str) -> bool:
    """Whether the text lists shapes (right or wrong), rather than naming a preset or a file."""
    body = _body(text)
    return _LISTED.fullmatch(body) is not None and re.search(r"\d", body) is not None


def _body(text: str) -> str:
    """The text without comments and the keys around the numbers."""
    bare = _OTHER_KEYS.sub("", re.sub(r"#.*", "", text))
    return re.sub(r"^\s*anchors\s*[:=]", "", bare, count=1, flags=re.MULTILINE)


def _crossed(body: str) -> list[tuple[str, str]]:
    """10x13 16x30"""
    pairs = []
    for word in _words(re.sub(r"\s*[x×]\s*", "x", body, flags=re.IGNORECASE)):
        match = re.fullmatch(f"({_NUMBER})x({_NUMBER})", word, re.IGNORECASE)
        if match is None:
            raise ValueError(f"{word!r} is not a shape such as 10x13 (w x h, pixels)")
        pairs.append((match[1], match[2]))
    return pairs


def _in_pairs(body: str, text: str) -> list[tuple[str, str]]:
    """10,13, 16,30"""
    sides = _words(body)
    for side in sides:
        if not re.fullmatch(_NUMBER, side, re.IGNORECASE):
            raise ValueError(f"{side!r} is not a width or height in pixels")
    if len(sides) % 2:
        raise ValueError(
            f"{_short(text)}: {len(sides)} numbers, and a shape has two: width and height"
        )
    return list(zip(sides[::2], sides[1::2], strict=True))


def _words(body: str) -> list[str]:
    return [word for word in re.split(r"[\s,()\[\]]+", body) if word not in ("", "-")]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def is_design_file(name: str) -> bool:
    """Whether the words name a file of a design, rather than a preset or shapes."""
    return name.endswith(".json")
