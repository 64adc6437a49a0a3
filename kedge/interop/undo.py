"""Undo: what was replaced in another library's model, and how to take it back."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Undo:
    """What ``accelerate`` changed. Call it, or leave its ``with`` block, to restore the model.

    ``print(undo)`` says in one line what was replaced. Restoring is exact: attributes that were not
    there are gone again, the others are the same objects as before. A second call does nothing.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.replaced: list[str] = []
        self._steps: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of the instance ``owner``, until the undo."""
        had, old = name in vars(owner), vars(owner).get(name)
        setattr(owner, name, value)
        self.later(lambda: setattr(owner, name, old) if had else delattr(owner, name))

    def later(self, step: Callable[[], Any]) -> None:
        """``step`` is called at the undo, before those that were given earlier."""
        self._steps.append(step)

    def __call__(self) -> None:
        while self._steps:
            self._steps.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self()

    def __repr__(self) -> str:
        what = ", ".join(self.replaced) if self._steps else "nothing (undone)"
        return f"{self.title}: {what}"
