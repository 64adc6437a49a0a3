"""See who answers for what: ``kedge live``, and ``View`` in a notebook."""

from typing import TYPE_CHECKING

from kedge.lazy import lazily

if TYPE_CHECKING:
    from kedge.live.opening import open_source
    from kedge.live.server import make_app
    from kedge.live.view import View

__all__ = ["View", "make_app", "open_source"]

# imported when first asked for: a page needs no notebook, a notebook no server
_HOMES = {"View": "view", "make_app": "server", "open_source": "opening"}

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
