"""Whether published weights are downloaded: a detector of a run has its own at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_wanted: ContextVar[bool] = ContextVar("downloads", default=True)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Within, ``pretrained`` layers are made as ever, but with random weights."""
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def downloads(pretrained: bool) -> bool:
    """Whether layers that are ``pretrained`` or not are to download their weights."""
    return pretrained and _wanted.get()
