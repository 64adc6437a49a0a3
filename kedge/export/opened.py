"""An exported file, open: images to detections, by whichever runtime the file is for."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from kedge.detectors.pictures import extra
from kedge.export.facts import Facts
from kedge.export.fixed_selection import Padded, select_fixed
from kedge.export.static import picked
from kedge.select import Selection

OPENERS = {
    ".onnx": ("to_onnx", "OnnxSession", "export"),
    ".pt2": ("to_torch", "TorchSession", "export"),
    ".xml": ("to_openvino", "OpenVINOSession", "openvino"),
}
"""Of each suffix the module, the class and the extra that open it."""


class Session(Protocol):
    """A runtime with a file in it."""

    facts: Facts

    def __call__(self, images: Tensor) -> Sequence[Tensor]:
        """The outputs for images (B, 3, H, W)."""
        ...


def is_exported(path: Path) -> bool:
    """Whether a file is one that ``kedge export`` writes, by its name."""
    return path.suffix.lower() in OPENERS


def open_exported(path: Path | str) -> "Exported":
    """The detector in a file of ``kedge export``.

    Raises ``ValueError`` naming the file where it is none, or holds raw maps, which are no
    detections; ``ImportError`` saying what to install where its runtime is missing.
    """
    path = Path(path)
    if not is_exported(path):
        raise ValueError(f"{path}: exported files end in {', '.join(OPENERS)}")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    module, name, needs = OPENERS[path.suffix.lower()]
    with extra(needs, f"running {path.suffix} files"):
        make: Callable[[Path], Session] = getattr(import_module(f"kedge.export.{module}"), name)
    return Exported(make(path), path)


class Exported:
    """A detector in a file: called as a detector in evaluation is, always on the CPU.

    ``class_names``, ``category_ids``, ``num_classes`` and ``input_size`` are the detector's;
    ``facts`` is all that the file says.
    """

    def __init__(self, session: Session, path: Path) -> None:
        self._session, self.facts, self.path = session, session.facts, path
        if self.facts.form == "maps":
            raise ValueError(
                f"{path}: holds raw maps, which are no detections: export it with --form nms or "
                "decoded"
            )
        self._rule = None if self.facts.form == "nms" else _rule(self.facts, path)
        self.class_names = self.facts.classes
        self.category_ids = self.facts.category_ids
        self.num_classes = len(self.facts.classes)
        self.input_size = self.facts.input_size

    def __call__(self, images: Sequence[Tensor] | Tensor) -> list[dict[str, Tensor]]:
        """Of images (3, H, W) in [0, 1] of the file's size: ``boxes``, ``labels``, ``scores``."""
        rows = zip(*self.padded(images), strict=True)
        return [
            {"boxes": boxes[:count], "labels": labels[:count], "scores": scores[:count]}
            for boxes, scores, labels, count in rows
        ]

    def padded(self, images: Sequence[Tensor] | Tensor) -> Padded:
        """The same as the file gives them: padded, with their count."""
        batch = images if isinstance(images, Tensor) else torch.stack(list(images))
        if tuple(batch.shape[1:]) != (3, *self.input_size):
            raise ValueError(
                f"{self.path}: takes images of 3 x {self.input_size[0]} x {self.input_size[1]}, "
                f"got {tuple(batch.shape[1:])}: letterbox them, as predict does"
            )
        columns = self._session(batch.float().contiguous())
        return Padded(*columns) if self._rule is None else self._select(self._rule, *columns)

    def _select(self, rule: Selection, boxes: Tensor, scores: Tensor) -> Padded:
        return select_fixed(
            rule,
            scores,
            lambda rows, labels: picked(boxes, rows),
            levels=self.facts.levels,
            size=self.input_size,
        )


def _rule(facts: Facts, path: Path) -> Selection:
    try:
        return facts.rule()
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: {error}: read its boxes and scores yourself") from None
