"""The page in a notebook: the same answers over the widget's messages."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget")

from kedge import ATSS, Grid, Level, MaxIoU
from kedge.live import View
from kedge.live.page import page_file

IMAGE = np.arange(64 * 96 * 3, dtype=np.uint8).reshape(64, 96, 3)
TARGETS = {"boxes": torch.tensor([[10.0, 10, 50, 40]]), "labels": torch.tensor([1])}
GRID = Grid(image_size=(64, 96), levels=[Level(stride=16, shapes=[(32, 32)]), Level(stride=32)])


def view(**more):
    return View(IMAGE, TARGETS, GRID, [MaxIoU(positive=0.4), "atss:k=3"], **more)


def asked(widget, name, body=None):
    """What the kernel sends back for a message of the page's."""
    sent = []
    widget.send = sent.append
    widget._answer(widget, {"id": 7, "name": name, "body": body or {}}, [])
    (reply,) = sent
    assert reply["id"] == 7
    return json.loads(json.dumps(reply))


def test_it_shows_what_it_was_given():
    widget = view(classes=["cat", "dog"])
    assert widget._esm == page_file("live.js")
    assert widget._css == page_file("live.css")
    state = widget.state
    assert state["strategies"] == [
        {"name": "max_iou", "settings": {"positive": 0.4}},
        {"name": "atss", "settings": {"k": 3}},
    ]
    assert asked(widget, "open")["answer"]["classes"] == ["cat", "dog"]
    panels = asked(widget, "answer", {"state": state})["answer"]["panels"]
    image = asked(widget, "image", {"image": "0"})["answer"]
    assert image["full"] == [96, 64]
    targets = widget._api.source.targets(widget._api.source.start)
    for panel, rule in zip(panels, (MaxIoU(positive=0.4), ATSS(k=3))):
        assert panel["positives"] == len(rule(GRID, targets)) > 0


def test_a_mistake_is_answered_too():
    assert "nothing called" in asked(view(), "everything")["error"]
    assert "no image" in asked(view(), "image", {"image": "9"})["error"]


def test_it_is_saved_as_one_file(tmp_path):
    widget = view()
    widget.state = widget.state | {"strategies": [{"name": "fcos", "settings": {}}]}
    path = widget.save(tmp_path / "view.html")
    text = path.read_text()
    assert '"name": "fcos"' in text
    assert "data:image/webp" in text
    assert "src=" not in text.partition("<script")[0]


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 64, 96),
        torch.zeros(3, 64, 96, dtype=torch.uint8),
        np.zeros((64, 96)),
        np.zeros((64, 96, 4), np.uint8),
    ],
)
def test_images_of_every_kind(image):
    widget = View(image, TARGETS, GRID)
    assert asked(widget, "image", {"image": "0"})["answer"]["full"] == [96, 64]


def test_what_cannot_be_shown():
    with pytest.raises(ValueError, match="an image is"):
        View(np.zeros(5), TARGETS, GRID)
    with pytest.raises(ValueError, match="no strategy"):
        View(IMAGE, TARGETS, GRID, ["nothing"])
    with pytest.raises(ValueError, match="none of kedge's strategies"):
        View(IMAGE, TARGETS, GRID, [lambda *_: None])
