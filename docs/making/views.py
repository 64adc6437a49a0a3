"""Live views for the site: pages of ``kedge live`` saved as one HTML file each.

All look at one image of the drawn toy data. Predictions come from a small detector that is trained
on that data when it is not there yet (minutes); its run is kept in ``runs/docs``.
"""

from functools import cache
from pathlib import Path
from typing import Any

from kedge.assign.by_name import STRATEGIES
from kedge.cli import run
from kedge.detectors import DETECTORS, detector_class
from kedge.live.api import Api
from kedge.live.opening import open_source
from kedge.live.source import Source
from kedge.live.state import State, StrategyState
from kedge.live.tour import EXAMPLE, STEPS

RUN = Path(__file__).resolve().parents[2] / "runs" / "docs"
SIZE = (256, 320)
SQUARES = ",".join(f"{4 * stride}x{4 * stride}" for stride in (8, 16, 32, 64, 128))
TRAIN = ["train", "--data", "toy", "--detector", "retinanet", "--anchors", SQUARES]
TRAIN += ["--image-size", *map(str, SIZE), "--assign", "atss", "--options", "width=32,depth=1"]
TRAIN += ["--epochs", "6", "--lr", "4e-3", "--batch-size", "8"]


def step_name(title: str) -> str:
    """The name of the view of a step of the tour."""
    return f"tour-{title.lower().replace(' ', '-')}"


@cache
def _with_predictions() -> Source:
    if not (RUN / "model.safetensors").is_file():
        RUN.parent.mkdir(exist_ok=True)
        if run([*TRAIN, "--out", str(RUN)]) != 0:
            raise RuntimeError(f"no predictions for the views: delete {RUN} and try again")
    return open_source(run=RUN)[0]


def _saved(source: Source, state: State, layers: tuple[str, ...] = ()) -> tuple[str, dict]:
    """The page, and what its first panel says."""
    question: dict[str, Any] = {"state": state.model_dump(mode="json"), "layers": list(layers)}
    api = Api(source)
    panel = api.ask("answer", question)["panels"][0]
    return api.ask("save", question)["html"], panel


@cache
def tour_views() -> dict[str, str]:
    """The steps of the tour, by name."""
    source = open_source("toy", image_size=SIZE)[0]
    return {step_name(title): _saved(source, state, layers)[0] for title, _, state, layers in STEPS}


@cache
def strategy_views() -> dict[str, tuple[str, str]]:
    """Every strategy: the page and a caption."""
    return {f"strategy-{name}": _strategy(name) for name in STRATEGIES}


def _strategy(name: str) -> tuple[str, str]:
    source = _with_predictions()
    state = source.start.model_copy(
        update={"image": EXAMPLE, "strategies": (StrategyState(name=name),)}
    )
    html, panel = _saved(source, state)
    if "error" in panel:
        raise RuntimeError(f"{name}: {panel['error']}")
    by = ", with the predictions of a small detector trained on these data"
    where = "An image of the toy data, one square a cell on five levels"
    return html, f"{where}{by if panel['predicted'] else ''}."


@cache
def detector_views() -> dict[str, tuple[str, str]]:
    """Every detector with anchors: the page and a caption."""
    found = {f"detector-{name}": _detector(name) for name in DETECTORS}
    return {name: view for name, view in found.items() if view is not None}


def _detector(name: str) -> tuple[str, str] | None:
    try:
        source = open_source("toy", detector=name, image_size=SIZE)[0]
    except ValueError:  # it has no anchors to show
        return None
    first = source.start.strategies[0]
    state = source.start.model_copy(update={"image": EXAMPLE, "strategies": (first,)})
    html, panel = _saved(source, state)
    if "error" in panel:
        return None
    guided = getattr(detector_class(name), "predicts_anchors", False)
    what = "The shapes that teach its anchors" if guided else "Its anchors"
    return html, f"{what}, on an image of the toy data, assigned by `{first.name}`."
