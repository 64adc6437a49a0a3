"""One run in a folder at a time."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
_held: set[int] = set()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds `folder`, which is made if need be, for this run alone; then leaves nothing behind.

    ``ValueError`` where another run, of this process or any other, holds it. The system itself
    drops the lock of a process that ends, even by ``kill -9``: what is left of its file is in
    nobody's way. Without locks in the system (Windows) nothing is held; without them on the disk a
    warning says so.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with nullcontext() if fcntl is None else _locked(folder / LOCK):
            yield
    finally:
        for place in made:  # a run that wrote nothing leaves no folder either
            with suppress(OSError):
                place.rmdir()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = _take(path)
    _held.add(handle)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock goes: a newcomer's file is never taken away
        _held.discard(handle)
        os.close(handle)


def _take(path: Path) -> int:
    """An open, locked file at `path`."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle, path)
            if _is_still(handle, path):
                os.truncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its owner took the file away in between


def _lock(handle: int, path: Path) -> None:
    assert fcntl is not None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process = os.read(handle, 20).decode(errors="replace")
        raise ValueError(
            f"{path.parent}: another run is at work in this folder (process {process or '?'}); "
            "wait for it or stop it, or choose another --out"
        ) from None
    except OSError as error:
        said = f"{path.parent}: this disk knows no locks ({error.strerror}); start one run only"
        warnings.warn(said, stacklevel=4)


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """In a forked child (a process that loads images): it must not outlive its parent's lock."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_let_go)
