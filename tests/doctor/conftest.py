"""Small data sets and runs, sound or broken on purpose."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kedge.data import Data, Record, toy
from kedge.doctor import Context
from kedge.doctor.records import RunRecords
from kedge.train.config import make_config


@pytest.fixture(scope="session")
def toys() -> Data:
    """Eighty drawn images of 256 x 320."""
    return toy.data("train", images=80)


@pytest.fixture
def make_data() -> Any:
    """Data of boxes alone: a list of (n, 4) boxes per image of 200 x 300 (H, W)."""

    def make(
        images: list[Any],
        labels: list[Any] | None = None,
        size: tuple[int, int] = (200, 300),
        classes: tuple[str, ...] = ("cat", "dog"),
        form: str = "COCO JSON",
        findings: Any = (),
    ) -> Data:
        records = []
        for i, boxes in enumerate(images):
            box = np.array(boxes, np.float32).reshape(-1, 4)
            label = np.zeros(len(box), np.int64) if labels is None else np.array(labels[i])
            records.append(
                Record(
                    file=None,
                    width=size[1],
                    height=size[0],
                    boxes=box,
                    labels=label,
                    crowd=np.zeros(len(box), bool),
                    image_id=i,
                    name=f"{i}.jpg",
                )
            )
        return Data(
            source="made",
            format=form,
            split=None,
            splits=(),
            classes=classes,
            category_ids=tuple(range(len(classes))),
            records=records,
            findings=list(findings),
        )

    return make


@pytest.fixture
def coco_folder(tmp_path: Path) -> Any:
    """Writes a COCO folder without checks: ``boxes`` per image exactly as given."""

    def write(boxes: list[Any], size: tuple[int, int] = (200, 300)) -> Path:
        from PIL import Image

        (tmp_path / "images").mkdir()
        images, annotations = [], []
        for i, rows in enumerate(boxes):
            name = f"{i:03d}.png"
            Image.new("RGB", size[::-1]).save(tmp_path / "images" / name)
            images.append({"id": i, "file_name": name, "height": size[0], "width": size[1]})
            for row in rows:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": i,
                        "category_id": 1,
                        "bbox": list(map(float, row)),
                        "area": 1.0,
                        "iscrowd": 0,
                    }
                )
        page = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "thing"}],
        }
        (tmp_path / "train.json").write_text(json.dumps(page))
        return tmp_path

    return write


@pytest.fixture
def make_run() -> Any:
    """The records of a run that never was; ``losses``: name -> values, a row every ten steps."""

    def make(losses: dict[str, list[float | None]], **more: Any) -> RunRecords:
        settings = {"data": "toy"} | more.pop("settings", {})
        length = min(map(len, losses.values()), default=0)
        rows = []
        for i in range(length):
            row: dict[str, Any] = {"step": 10 * (i + 1), "epoch": i // 5, "lr": 1e-3}
            row |= {f"loss_{name}": values[i] for name, values in losses.items()}
            parts = [values[i] for values in losses.values()]
            known = [part for part in parts if part is not None]
            row["loss"] = sum(known) if len(known) == len(parts) else None
            rows.append(row)
        config = make_config(settings)
        return RunRecords(folder=Path("runs/a"), config=config, metrics=rows, **more)

    return make


@pytest.fixture
def one() -> Any:
    """The single finding called ``name`` of a check; None where there is none."""

    def find(check: Any, context: Context, name: str) -> Any:
        found = [f for f in check(context) if f.check == name]
        assert len(found) <= 1
        for finding in found:
            json.dumps(finding.to_dict(), allow_nan=False)
            assert finding.symptom
            assert finding.cause
            assert finding.cure
            assert finding.predicted or finding.unpredicted
        return found[0] if found else None

    return find
