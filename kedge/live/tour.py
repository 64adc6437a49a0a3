"""A tour of ten steps through the ideas: each a live state of the page and two sentences."""

from functools import cache
from typing import Any

from kedge.data import Record, toy
from kedge.live.state import LevelState, State, StrategyState

EXAMPLE = "example"  # the image of the tour: a drawn one, at hand without any data
_AT = 50
_PYRAMID = (8, 16, 32, 64)
# what `kedge.design.fit` finds for placed recall in the drawn data, two for each level
_FITTED = (((15, 16), (16, 46)), ((42, 29), (81, 27)), ((28, 79), (84, 77)), ((65, 19), (44, 69)))


@cache
def example() -> Record:
    """The image that the tour looks at."""
    return toy.data("train", images=_AT + 1).records[_AT]


def _levels(*shapes: tuple[int, tuple[tuple[float, float], ...]]) -> tuple[LevelState, ...]:
    return tuple(LevelState(stride=(stride, stride), shapes=sizes) for stride, sizes in shapes)


def _squares(cells: float, *strides: int) -> tuple[LevelState, ...]:
    return _levels(*((s, ((cells * s, cells * s),)) for s in strides))


def _state(
    levels: tuple[LevelState, ...], *rules: tuple[str, dict[str, Any]], sampler: str | None = None
) -> State:
    return State(
        image=EXAMPLE,
        size=toy.SIZE,
        levels=levels,
        strategies=tuple(StrategyState(name=name, settings=given) for name, given in rules),
        sampler=sampler,
    )


_HALF = {"positive": 0.5, "negative": 0.4}
_STRICT = ("max_iou", {**_HALF, "low_quality": "none"})
_USUAL = ("max_iou", _HALF)

STEPS: tuple[tuple[str, str, State, tuple[str, ...]], ...] = (
    (
        "What an anchor is",
        "An anchor is a place on a feature map that may answer for an object; each dot is the "
        "centre of one, a cell of stride 32 apart. A detector says something at every one of them, "
        "so somebody has to decide which of them should have said what.",
        _state(_squares(2, 32), _STRICT),
        ("negative",),
    ),
    (
        "Shapes",
        "An anchor box also has a width and a height: here each cell holds a square, a lying and a "
        "standing one of the same area. Objects of other proportions now find an anchor that "
        "overlaps them well.",
        _state(_levels((32, ((64, 64), (91, 45), (45, 91)))), _STRICT),
        (),
    ),
    (
        "Levels",
        "A feature pyramid has several maps: fine ones for small objects, coarse ones for large. "
        "The larger a dot, the coarser the level on which the anchor stands.",
        _state(_squares(3, *_PYRAMID), _STRICT),
        (),
    ),
    (
        "A threshold",
        "The oldest rule: an anchor answers for the object that it overlaps most, if their IoU is "
        "at least 0.5. Drag 'positive' down and red objects, which no anchor answers for, come "
        "back, with anchors that fit them worse.",
        _state(_squares(3, *_PYRAMID), _STRICT),
        (),
    ),
    (
        "Nobody left alone",
        "So Faster R-CNN gives every object its best anchor, whatever the IoU: the right panel. "
        "The box then has to be stretched far, which is why fitting shapes still matters.",
        _state(_squares(3, *_PYRAMID), _STRICT, _USUAL),
        (),
    ),
    (
        "Neither yes nor no",
        "Anchors with an IoU between 'negative' and 'positive' are too good to be called "
        "background and too bad to be called an object: they are ignored, drawn hollow and grey. "
        "Raise 'negative' to 0.5 and none is left.",
        _state(_squares(3, *_PYRAMID), ("max_iou", {"positive": 0.5, "negative": 0.3})),
        ("ignored",),
    ),
    (
        "Encoding",
        "What a head learns is not the box but the step from the anchor to it: the shift of the "
        "centre in anchor sides, and the logarithms of the ratios of the sides. Choose an object "
        "to read its four numbers below: the better the anchor fits, the nearer they are to 0.",
        _state(_squares(3, *_PYRAMID), _USUAL),
        (),
    ),
    (
        "Sampling",
        "Nearly all anchors are background, so a two-stage detector lets only some enter the loss: "
        "here 256 of the image, a half of them positive if there are so many. The small dots are "
        "the ones drawn.",
        _state(_squares(3, *_PYRAMID), _USUAL, sampler="random"),
        ("sampled",),
    ),
    (
        "Fixed or adaptive",
        "ATSS, right, asks each object for a threshold of its own: mean plus standard deviation of "
        "the IoU of the anchors nearest to it, so that small objects are not held to what only "
        "large ones reach. Rules such as TAL and SimOTA go further and look at what the detector "
        "predicts; they need a run (kedge live --run).",
        _state(_squares(3, *_PYRAMID), _USUAL, ("atss", {})),
        (),
    ),
    (
        "Shapes that fit",
        "The same two rules with shapes that were fitted to this data: more anchors for each "
        "object, and fewer in red. Kedge finds them before training (kedge design), or learns them "
        "in the course of it (--learn-anchors); 'Design' and 'Watch' show both.",
        _state(_levels(*zip(_PYRAMID, _FITTED)), _STRICT, ("atss", {})),
        (),
    ),
)


def steps() -> list[dict[str, Any]]:
    """The steps as the page takes them."""
    return [
        {
            "title": title,
            "text": text,
            "state": state.model_dump(mode="json"),
            "layers": list(layers),
        }
        for title, text, state, layers in STEPS
    ]
