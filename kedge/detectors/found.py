"""Found: the detections of one image, with what people do with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from kedge.detectors.pictures import extra
from kedge.types import Detections


@dataclass(frozen=True, kw_only=True, eq=False)
class Found(Detections):
    """The detections of one image, on the CPU, in pixels of that image; best first.

    Attributes:
        picture: (3, H, W) uint8, the image itself, upright.
        class_names: of the labels, or None. category_ids: the labels' ids in the data that the
            detector was trained on, or None.
    """

    picture: Tensor
    class_names: tuple[str, ...] | None = None
    category_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size != 1:
            raise ValueError(f"Found is of one image, got batch_size {self.batch_size}")

    @property
    def names(self) -> list[str]:
        """The class of every detection, by name; "class 3" where there are no names."""
        labels = self.labels.tolist()
        return [self.class_names[i] if self.class_names else f"class {i}" for i in labels]

    def plot(self) -> Any:
        """A Pillow image: this one with every detection drawn, enlarged where it is small."""
        with extra("report", "drawing"):
            from kedge.report.draw import draw_detections
        row = {"boxes": self.boxes, "labels": self.labels, "scores": self.scores}
        return draw_detections(self.picture, row, names=self.class_names, min_score=-float("inf"))

    def save(self, path: str | Path) -> None:
        """Writes ``plot()`` atomically; the format follows the ending (.png, .jpg ...)."""
        picture = self.plot()
        from kedge.report.strokes import save_image

        save_image(picture, Path(path))

    def to_coco(
        self, image_id: int, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file: ``image_id``, ``category_id``, ``bbox`` (x, y, w, h) and
        ``score``.

        ``category_ids``: the id of each label; by default those of the detector's training data,
        and where it does not know them the labels themselves, from 0.
        """
        ids = self.category_ids if category_ids is None else category_ids
        entries = []
        for box, label, score in zip(
            self.boxes.tolist(), self.labels.tolist(), self.scores.tolist(), strict=True
        ):
            if ids is not None and label >= len(ids):
                raise ValueError(f"category_ids: label {label} has none among {len(ids)} ids")
            entries.append(
                {
                    "image_id": image_id,
                    "category_id": label if ids is None else int(ids[label]),
                    "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    "score": score,
                }
            )
        return entries

    def to_supervision(self) -> Any:
        """``supervision.Detections`` with ``class_name`` in its data.

        Raises ``ImportError`` where the package is not installed: Kedge does not need it.
        """
        try:
            import supervision  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise ImportError(
                f"to_supervision needs {error.name}, which is not installed: "
                "pip install supervision"
            ) from error
        import numpy as np

        return supervision.Detections(
            xyxy=self.boxes.numpy().astype(np.float32),
            confidence=self.scores.numpy().astype(np.float32),
            class_id=self.labels.numpy().astype(np.int64),
            data={"class_name": np.array(self.names, dtype=np.str_)},
        )
