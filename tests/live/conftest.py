"""A source of a page over the toy data: small, and with objects that go without."""

import pytest

from kedge.live.api import Api
from kedge.live.opening import open_source
from kedge.live.source import Source


@pytest.fixture(scope="session")
def source() -> Source:
    """The toy data on RetinaNet's anchors, in an input of its own size."""
    return open_source("toy", image_size=(256, 320))[0]


@pytest.fixture(scope="session")
def api(source: Source) -> Api:
    """What answers for it."""
    return Api(source)


@pytest.fixture
def strict(source: Source) -> dict:
    """A state in which MaxIoU leaves objects without an anchor, beside ATSS."""
    state = source.start.model_dump(mode="json")
    rules = [
        {"name": "max_iou", "settings": {"positive": 0.7, "low_quality": "none"}},
        {"name": "atss", "settings": {}},
    ]
    return state | {"image": "2", "strategies": rules}
