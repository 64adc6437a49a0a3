"""The next image in which an object goes without an anchor."""

from typing import TypedDict

import torch

from kedge.assign.by_name import strategy
from kedge.assign.predictions_read import needs_predictions
from kedge.live.batches import by_size
from kedge.live.source import Source
from kedge.live.state import Asked, State
from kedge.parts import text_of
from kedge.types import Assigner

MOST_IMAGES = 400


class FindRequest(Asked):
    """From the state's image on, around the end of the data set."""

    state: State


class Found(TypedDict):
    """``image``: the next one, None where none of the ``looked`` at has such an object.

    ``left_out``: strategies, with their settings, that read predictions, which are not asked.
    """

    image: str | None
    looked: int
    left_out: list[str]


def next_without(source: Source, asked: FindRequest) -> Found:
    """Look at ``MOST_IMAGES`` at most, one after the other."""
    state, total = asked.state, len(source.records)
    grid = state.grid(state.size)
    left_out, geometric = list[str](), list[Assigner]()
    for item in state.strategies:
        rule = strategy(item.spec())
        if needs_predictions(rule, grid):
            left_out.append(text_of(item.spec()))
        else:
            geometric.append(rule)
    here = int(state.image) if state.image.isdecimal() else -1
    looked = 0
    for looked in range(1, min(total, MOST_IMAGES) + 1):
        image = str((here + looked) % total)
        ((there, targets),) = by_size(source, state, [image])
        for rule in geometric:
            has = torch.bincount(rule(there, targets).target, minlength=len(targets)) > 0
            if bool((~has & ~targets.ignore).any()):
                return {"image": image, "looked": looked, "left_out": left_out}
    return {"image": None, "looked": looked, "left_out": left_out}
