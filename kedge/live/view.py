"""The page in a notebook: Jupyter, VS Code, Colab, marimo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets

from kedge.anchors.grid import Grid
from kedge.assign.by_name import strategy
from kedge.files import finite, write_text
from kedge.live.answers import Question
from kedge.live.api import Api, Refused
from kedge.live.page import page_file
from kedge.live.source import Source, levels_of, record_of, strategy_state
from kedge.live.state import State
from kedge.parts import Spec
from kedge.types import Assigner


class View(anywidget.AnyWidget):
    """Who answers for what, in a cell: one image, its objects, and up to four strategies.

    ``View(image, targets, grid, ["max_iou", "atss:k=5", kedge.TAL(k=10)])``. ``image``: a Pillow
    image, an array (H, W, 3) or a tensor (3, H, W), of bytes or of floats in [0, 1]; ``targets``:
    torchvision's dictionary (``boxes`` xyxy in pixels of the image, ``labels``, ``iscrowd``).
    The image is letterboxed into ``grid.image_size``. ``classes``: names, by label.

    ``view.state`` is what the page shows now, as a dictionary; ``view.save(path)`` writes it as one
    HTML file. Raises ``ValueError`` for an image that is none, and a strategy by a name that does
    not exist.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        image: Any,
        targets: Mapping[str, Any],
        grid: Grid,
        strategies: Sequence[Assigner | Spec] = ("max_iou", "atss"),
        *,
        classes: Sequence[str] = (),
    ) -> None:
        self._api = Api(source_of(image, targets, grid, strategies, classes))
        super().__init__(
            _esm=page_file("live.js"),
            _css=page_file("live.css"),
            state=self._api.source.start.model_dump(mode="json"),
        )
        self.on_msg(self._answer)

    def _answer(self, widget: Any, content: Any, buffers: Any) -> None:
        """A question of the page's, which has a number by which its answer is known."""
        del widget, buffers
        reply = {"id": content.get("id")}
        try:
            reply["answer"] = finite(self._api.ask(content.get("name", ""), content.get("body")))
        except (Refused, ValueError) as problem:
            reply["error"] = str(problem)
        self.send(reply)

    def save(self, path: Path | str) -> Path:
        """Write what the page shows as one HTML file that needs no Python; returns its path."""
        question = Question(state=State.model_validate(self.state))
        written = Path(path)
        write_text(written, self._api.ask("save", question.model_dump(mode="json"))["html"])
        return written


def source_of(
    image: Any,
    targets: Mapping[str, Any],
    grid: Grid,
    strategies: Sequence[Assigner | Spec],
    classes: Sequence[str] = (),
) -> Source:
    """What a page looks at, from things in memory: see ``View``."""
    pixels = _pixels(image)
    record = record_of(pixels, dict(targets), name="image")
    rules = [strategy(item) if isinstance(item, (str, Mapping)) else item for item in strategies]
    states = [strategy_state(rule) for rule in rules]
    unknown = [rule for rule, state in zip(rules, states) if state is None]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of kedge's strategies: kedge.assign lists them")
    highest = int(record.labels.max(initial=-1))
    names = [*classes, *(f"class {i}" for i in range(len(classes), highest + 1))]
    return Source(
        title="this image",
        records=[record],
        classes=tuple(names),
        start=State(
            image="0",
            size=grid.image_size,
            levels=levels_of(grid),
            strategies=tuple(state for state in states if state is not None),
        ),
    )


def _pixels(image: Any) -> np.ndarray:
    """(H, W, 3) uint8."""
    if isinstance(image, torch.Tensor):
        array = image.detach().cpu().permute(1, 2, 0).numpy() if image.ndim == 3 else image.numpy()
    else:
        array = np.asarray(image)
    if array.dtype.kind == "f":
        array = (array.clip(0, 1) * 255).round()
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"an image is (H, W, 3), or a tensor (3, H, W), here {tuple(np.shape(image))}"
        )
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]
    return np.ascontiguousarray(array.astype(np.uint8))
