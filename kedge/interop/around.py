"""Around: a stand-in for another library's object."""

from typing import Any


class Around:
    """What stands in the place of a peer's object: some methods of its own, all else the peer's."""

    def __init__(self, peer: Any) -> None:
        self.peer = peer

    def __getattr__(self, name: str) -> Any:
        if name == "peer":  # not yet there while a copy is made
            raise AttributeError(name)
        return getattr(self.peer, name)
