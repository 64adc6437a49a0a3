"""Everything that a page can ask, wherever it runs: a server, a notebook, a test."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import PIL.Image
from pydantic import BaseModel, Field, ValidationError

from kedge.anchors.presets import preset, preset_names
from kedge.data.images import decode
from kedge.interop.snippets import snippet
from kedge.live.answers import Answer, Question, Why, WhyQuestion, answer, why
from kedge.live.code import Code, CodeRequest, code
from kedge.live.designs import DesignRequest, Sizes, SizesRequest, design, sizes
from kedge.live.epochs import Epochs, EpochsRequest, epochs
from kedge.live.fields import strategy_forms
from kedge.live.find import FindRequest, Found, next_without
from kedge.live.jobs import Jobs, Progress
from kedge.live.save import saved_page
from kedge.live.source import Source
from kedge.live.state import Asked, State
from kedge.live.sweep import SweepRequest, sweep
from kedge.live.tour import steps
from kedge.live.watch import Watched, WatchRequest, watch
from kedge.report.page import encode_image
from kedge.sample.by_name import SAMPLERS

LONGEST = 1600  # side of a picture on the page; a larger image is sent smaller
LISTED = 200  # names of images in one answer


class Nothing(Asked):
    """A request that says nothing."""


class ImageRequest(Asked):
    """An image by its number or name."""

    image: Annotated[str, Field(max_length=40)]


class ListRequest(Asked):
    """Images from ``first`` on, or those whose name holds ``text``."""

    first: Annotated[int, Field(ge=0)] = 0
    text: Annotated[str, Field(max_length=200)] = ""


class JobRequest(Asked):
    """A job by its number."""

    id: int


class SnippetRequest(Asked):
    """The anchors of a state in the syntax of a framework."""

    state: State
    framework: Annotated[str, Field(max_length=20)] = "kedge"


class Refused(ValueError):
    """A request that is not understood: the page's mistake, or somebody else's."""


class Api:
    """Answers requests by name. ``names``: what can be asked."""

    def __init__(self, source: Source) -> None:
        self.source, self.jobs = source, Jobs()
        self._known: dict[str, tuple[type[BaseModel], Callable[[Any], Any]]] = {
            "open": (Nothing, self._open),
            "list": (ListRequest, self._list),
            "find": (FindRequest, self._find),
            "image": (ImageRequest, self._image),
            "answer": (Question, self._answer),
            "why": (WhyQuestion, self._why),
            "code": (CodeRequest, self._code),
            "snippet": (SnippetRequest, self._snippet),
            "sizes": (SizesRequest, self._sizes),
            "sweep": (SweepRequest, self._sweep),
            "design": (DesignRequest, self._design),
            "progress": (JobRequest, self._progress),
            "cancel": (JobRequest, self._cancel),
            "watch": (WatchRequest, self._watch),
            "epochs": (EpochsRequest, self._epochs),
            "tour": (Nothing, self._tour),
            "save": (Question, self._save),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked."""
        return tuple(self._known)

    def ask(self, name: str, body: Any) -> Any:
        """The answer to a request, made of what JSON can hold.

        ``Refused`` for a request that is not understood, ``ValueError`` for one that has no answer;
        neither says where anything lies on the disk.
        """
        if name not in self._known:
            raise Refused(f"there is nothing called {name!r} to ask for")
        kind, handle = self._known[name]
        try:
            request = kind.model_validate(body)
        except ValidationError as problem:
            raise Refused(_first(problem)) from None
        try:
            return handle(request)
        except (ValueError, OSError) as problem:
            raise ValueError(self.explain(problem)) from None

    def upload(self, content: bytes) -> dict[str, Any]:
        """Keep an image that was dropped on the page; its name."""
        return {"image": self.source.upload(content)}

    def explain(self, problem: Exception) -> str:
        """What went wrong, without any place on the disk."""
        if not isinstance(problem, (ValueError, OSError)):
            return f"an error of the program's own ({type(problem).__name__})"
        run = self.source.run
        return without_places(str(problem), [] if run is None else [run, run.resolve()])

    # -- one method a request

    def _open(self, asked: Nothing) -> dict[str, Any]:
        del asked
        source = self.source
        return {
            "title": source.title,
            "classes": list(source.classes),
            "images": len(source.records),
            "objects": sum(int((~record.crowd).sum()) for record in source.records),
            "start": source.start.model_dump(mode="json"),
            "strategies": strategy_forms(),
            "samplers": [name for name, make in SAMPLERS.items() if not getattr(make, "needs", 0)],
            "presets": {name: _levels_of_preset(name) for name in preset_names()},
            "run": None if source.run is None else source.run.name,
        }

    def _list(self, asked: ListRequest) -> dict[str, Any]:
        names = [Path(record.name).name for record in self.source.records]
        wanted = asked.text.lower()
        rows = [i for i, name in enumerate(names) if wanted in name.lower()]
        rows = [i for i in rows if i >= asked.first]
        counts = [int((~self.source.records[i].crowd).sum()) for i in rows[:LISTED]]
        return {
            "images": [
                {"image": str(i), "name": names[i] or f"image {i + 1}", "objects": n}
                for i, n in zip(rows, counts)
            ],
            "total": len(rows),
        }

    def _find(self, asked: FindRequest) -> Found:
        return next_without(self.source, asked)

    def _image(self, asked: ImageRequest) -> dict[str, Any]:
        record = self.source.record(asked.image)
        try:
            picture = PIL.Image.fromarray(decode(record))
        except ValueError:
            name = Path(record.name).name or f"image {asked.image}"
            raise ValueError(f"{name}: there are no pixels that can be read") from None
        return {
            **encode_image(picture, side=LONGEST, quality=85),
            "full": [record.width, record.height],
            "name": Path(record.name).name,
        }

    def _answer(self, asked: Question) -> Answer:
        return answer(self.source, asked)

    def _why(self, asked: WhyQuestion) -> Why:
        return why(self.source, asked)

    def _code(self, asked: CodeRequest) -> Code:
        return code(self.source, asked)

    def _snippet(self, asked: SnippetRequest) -> dict[str, str]:
        state = asked.state
        if any(level.shapes is None for level in state.levels):
            raise ValueError("these anchors are points: there is no shape to paste")
        levels = [(level.stride[0], level.shapes or ()) for level in state.levels]
        return {"text": snippet(asked.framework, levels, state.size, state.levels[0].offset)}

    def _sizes(self, asked: SizesRequest) -> Sizes:
        return sizes(self.source, asked)

    def _sweep(self, asked: SweepRequest) -> Progress:
        return self.jobs.start(lambda job: sweep(self.source, asked, job), self.explain).progress()

    def _design(self, asked: DesignRequest) -> Progress:
        return self.jobs.start(lambda job: design(self.source, asked, job), self.explain).progress()

    def _progress(self, asked: JobRequest) -> Progress:
        return self.jobs.find(asked.id).progress()

    def _cancel(self, asked: JobRequest) -> Progress:
        job = self.jobs.find(asked.id)
        job.stop()
        return job.progress()

    def _watch(self, asked: WatchRequest) -> Watched:
        return watch(self.source.run, asked)

    def _epochs(self, asked: EpochsRequest) -> Epochs:
        return epochs(self.source, self.source.run, asked)

    def _tour(self, asked: Nothing) -> dict[str, Any]:
        del asked
        return {"steps": steps()}

    def _save(self, asked: Question) -> dict[str, str]:
        given = {
            "open": self._open(Nothing()) | {"run": None},
            "image": self._image(ImageRequest(image=asked.state.image)),
            "answer": self._answer(asked.model_copy(update={"reasons": True})),
            "state": asked.state.model_dump(mode="json"),
            "layers": sorted(asked.layers),
        }
        return {"html": saved_page(given, title=self.source.title)}


def _levels_of_preset(name: str) -> list[dict[str, Any]]:
    found = preset(name)
    return [
        {
            "stride": [stride, stride],
            "shapes": [list(shape) for shape in shapes],
            "offset": found.offset,
            "cells": None,
            "measured": False,
        }
        for stride, shapes in found.levels
    ]


def _first(problem: ValidationError) -> str:
    error = problem.errors()[0]
    where = ".".join(map(str, error["loc"]))
    return f"{where or 'request'}: {error['msg']}"


def without_places(text: str, known: Iterable[Path] = ()) -> str:
    """A message in which every path is its last name alone."""
    for place in known:
        text = text.replace(str(place), place.name)
    return re.sub(r"(?<![\w/])(?:[A-Za-z]:|~|\.{1,2})?(?:[\\/][^\s\\/:,'\"()]+){2,}", _last, text)


def _last(match: re.Match[str]) -> str:
    return re.split(r"[\\/]", match[0])[-1]
