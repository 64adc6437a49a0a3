"""Work that takes longer than a request: in the background, one piece at a time, and stoppable."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any, TypedDict

_KEPT = 8


class Progress(TypedDict):
    """``done`` of ``total`` parts; ``result`` is what these say, complete when ``state`` is
    "done"."""

    id: int
    state: str
    done: int
    total: int
    result: Any
    error: str


class Job:
    """A piece of work; it looks at ``stopped`` between its parts, and tells how far it is."""

    def __init__(self, number: int) -> None:
        self.number, self.state, self.error = number, "running", ""
        self.done, self.total, self.result = 0, 0, None
        self._stop = Event()

    @property
    def stopped(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to end; what it has found so far stays."""
        self._stop.set()

    def tell(self, done: int, total: int, result: Any) -> None:
        """How far it is, and what it knows so far."""
        self.done, self.total, self.result = done, total, result

    def progress(self) -> Progress:
        """What the page is told."""
        return {
            "id": self.number,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "result": self.result,
            "error": self.error,
        }


class Jobs:
    """The jobs of a server. A new one ends the one before it."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._lock = Lock()
        self._last = 0

    def start(self, work: Callable[[Job], None], explain: Callable[[Exception], str]) -> Job:
        """Run ``work`` in a thread of its own; ``explain`` says what is wrong where it fails."""
        with self._lock:
            for job in self._jobs.values():
                job.stop()
            self._last += 1
            job = self._jobs[self._last] = Job(self._last)
            for old in list(self._jobs)[:-_KEPT]:
                del self._jobs[old]

        def run() -> None:
            try:
                work(job)
                job.state = "cancelled" if job.stopped else "done"
            except Exception as problem:
                job.error, job.state = explain(problem), "failed"

        Thread(target=run, daemon=True).start()
        return job

    def find(self, number: int) -> Job:
        """The job of that number; ``ValueError`` where there is none."""
        job = self._jobs.get(number)
        if job is None:
            raise ValueError(f"there is no job {number}")
        return job
