"""A design for a data set as the command line asks for it."""

from dataclasses import dataclass, replace
from pathlib import Path

from kedge.anchors.design import (
    RETINANET_STRIDES,
    BoxTable,
    DesignReport,
    DesignSettings,
    as_seen,
    design_command,
    letterbox,
    read_table,
    table_from_records,
)
from kedge.anchors.design.table import TABLES
from kedge.interop.pyramid_snippets import pyramid_snippet
from kedge.interop.snippets import snippet
from kedge.train.shape_text import parse_shapes

_EVEN = ("torchvision", "detectron2", "yolov5")  # heads that need as many shapes on every level


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What ``kedge design`` was asked for; see its help."""

    source: str
    split: str | None = None
    k: int | None = None
    layout: str = "free"
    scales: int | None = None
    ratios: int | None = None
    image_size: tuple[int, int] = (640, 640)
    strides: tuple[float, ...] | None = None
    per_level: tuple[int, ...] | None = None
    objective: str = "mean_iou"
    threshold: float | None = None
    method: str = "best"
    in_use: str | None = None
    framework: str = "kedge"
    offset: float = 0.5
    restarts: int = 64
    curve: bool = True
    compare: bool = True
    seed: int = 0

    def settings(self) -> DesignSettings:
        """The same for ``design_command``. Even levels where the framework's heads need them."""
        return DesignSettings(
            k=self.number,
            objective=self.objective,
            image_size=self.image_size,
            strides=self.levels,
            per_level=self._per_level(),
            pyramid=self._pyramid(),
            in_order=self.framework == "yolov5",  # it compares shapes alone, in the object's cells
            offset=self.offset,
            threshold=self.threshold,
            method=self.method,
            restarts=self.restarts,
            seed=self.seed,
            in_use=in_use_of(self.in_use),
            held_out=0.2 if self.compare else 0.0,
            curve=self.curve,
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """Strides of the levels, the defaults filled in."""
        default = RETINANET_STRIDES if self.layout == "pyramid" else (8.0, 16.0, 32.0)
        return self.strides or default

    @property
    def number(self) -> int:
        """How many shapes."""
        pyramid = self._pyramid()
        if pyramid is not None:
            return len(self.levels) * pyramid[0] * pyramid[1]
        return 9 if self.k is None else self.k

    def _pyramid(self) -> tuple[int, int] | None:
        """Scales and ratios; None for free shapes."""
        if self.layout != "pyramid":
            if self.scales is not None or self.ratios is not None:
                raise ValueError("--scales and --ratios go with --layout pyramid")
            return None
        if self.k is not None or self.per_level is not None or self.method != "best":
            raise ValueError(
                "--layout pyramid: its shapes are strides x scales x ratios, optimised directly; "
                "leave out --k, --per-level and --method"
            )
        return (
            3 if self.scales is None else self.scales,
            3 if self.ratios is None else self.ratios,
        )

    def _per_level(self) -> tuple[int, ...] | None:
        """As many shapes on every level where the framework's heads need that."""
        if self.per_level is not None or self.layout == "pyramid" or self.framework not in _EVEN:
            return self.per_level
        k, levels = self.number, len(self.levels)
        if k % levels:
            raise ValueError(
                f"--k: {self.framework} needs as many shapes on each of the {levels} levels "
                f"({' '.join(f'{s:g}' for s in self.levels)}); {k} is no multiple of "
                f"{levels}: choose --k {levels * max(1, round(k / levels))}, or --strides"
            )
        return (k // levels,) * levels


def in_use_of(text: str | None) -> str | tuple[tuple[float, float], ...] | None:
    """A preset's name as it is, a list such as 10x13,16x30 as shapes (w, h)."""
    if text is None or ("," not in text and not text[:1].isdigit()):
        return text
    return tuple(parse_shapes(text))


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """The design, its ``snippet``, and the boxes it was made for (as the network sees them)."""

    wish: Wish
    report: DesignReport
    snippet: str
    seen: BoxTable
    refused: int
    said: tuple[str, ...] = ()


def make_design(wish: Wish) -> Made:
    """Read, design, compare. ``ValueError`` where there is nothing to read or to design for."""
    settings = wish.settings()
    table, refused = read_boxes(wish.source, wish.split)
    try:
        report = design_command(table, settings)
    except ValueError as problem:
        raise ValueError(f"{wish.source}: {problem}") from None
    try:
        text = _snippet(wish, report)
    except ValueError as problem:
        raise ValueError(f"--for {problem}") from None
    seen = as_seen(table, letterbox(wish.image_size), wish.seed)
    return Made(wish=wish, report=report, snippet=text, seen=seen, refused=refused, said=table.said)


def _snippet(wish: Wish, report: DesignReport) -> str:
    found = report.design.pyramid
    if found is None:
        levels = [(level.stride, level.shapes) for level in report.levels]
        return snippet(wish.framework, levels, wish.image_size, wish.offset)
    return pyramid_snippet(
        wish.framework,
        sorted(wish.levels),
        found.sizes,
        found.scales,
        found.h_over_w,
        wish.image_size,
        wish.offset,
    )


def read_boxes(source: str, split: str | None) -> tuple[BoxTable, int]:
    """Boxes of a data set or of a table, and how many the reader refused."""
    path = Path(source)
    if path.is_file() and path.suffix in (".npz", *TABLES) and path.name != "metadata.jsonl":
        if split is not None:
            raise ValueError(f"{source}: is a single table without splits: leave out --split")
        return read_table(path), 0
    from kedge.data import said
    from kedge.data.readers import npz
    from kedge.doctor.sources import choose_split, read_data

    chosen = choose_split(source, split)
    tables = npz.find(path) if path.is_dir() else {}
    if chosen in tables:
        return read_table(tables[chosen]), 0
    data = read_data(source, chosen, check_images=False)
    refused = sum(finding.box is not None for finding in data.findings)
    return replace(table_from_records(data.records), said=tuple(said(data))), refused
