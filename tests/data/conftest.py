"""Tiny data sets, written into tmp_path."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Picture = Callable[..., Path]
Coco = Callable[..., Path]


@pytest.fixture
def picture() -> Picture:
    """picture(path, width, height): write an image of noise, with its folders."""

    def write(path: Path, width: int = 40, height: int = 30, **options: Any) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


@pytest.fixture
def coco(tmp_path: Path, picture: Picture) -> Coco:
    """coco(bbox, ...): a folder with train.json and one 40 x 30 image, a.jpg, with these boxes.

    Keyword arguments replace whole lists of the JSON file. Returns the JSON file.
    """

    def write(*boxes: Any, **lists: Any) -> Path:
        folder = tmp_path / "set"
        picture(folder / "images" / "a.jpg")
        whole = {
            "images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}],
            "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
            "annotations": [
                {"id": 100 + i, "image_id": 7, "category_id": 18, "bbox": box}
                for i, box in enumerate(boxes)
            ],
        } | lists
        file = folder / "train.json"
        file.write_text(json.dumps(whole))
        return file

    return write
