"""Clustering on one thread, whoever else clusters at the same time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Entries(threading.local):
    """How deep this thread is inside ``one_thread``."""

    depth = 0


_lock = threading.Lock()
_here = _Entries()
_inside = 0  # entries of all threads
_before = 1  # torch's number of threads when the first of them came in


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside (also a decorator).

    Clustering is thousands of operations on pieces that fit the cache: a second thread gains little
    on an idle machine, and on a busy one waiting for it costs ten times the work.

    torch keeps its number of threads for each thread that calls it, and a new thread begins with
    the last number that any of them set. So entries are counted, and whoever leaves gets back the
    number from before the first of those that overlap.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _before
    with _lock:
        own = torch.get_num_threads()  # a thread takes over torch's last number when first asked
        if _inside == 0:
            _before = own
        _inside += 1
        _here.depth += 1
        torch.set_num_threads(1)


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        _here.depth -= 1
        if _here.depth == 0:
            torch.set_num_threads(_before)
