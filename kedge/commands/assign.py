"""``kedge assign``"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kedge.detectors import DETECTORS

if TYPE_CHECKING:
    from kedge.data import Data, Record
    from kedge.types import Anchors, Predictions, Targets

GEOMETRIC = "max_iou,ssd,yolov3,yolov5,fcos,centre_region,atss,rfla"


def assign(
    *,
    data: str,
    strategy: str | None = None,
    detector: Literal[*DETECTORS] = "retinanet",  # pyright: ignore[reportInvalidTypeForm]
    anchors: str | None = None,
    run: Path | None = None,
    split: str | None = None,
    image_size: tuple[int, int] = (640, 640),
    images: int = 1000,
    batch_size: int = 16,
    json: Annotated[Path | None, Parameter(name="--json")] = None,
    draw: Path | None = None,
    image: str | None = None,
) -> None:
    """Compare what assignment strategies choose on a data set.

    Parameters
    ----------
    data
        Folder or file (COCO JSON, Pascal VOC, YOLO, npz of boxes), or toy.
    strategy
        Names with commas between, with settings where wanted: atss,tal:k=10,beta=4; by default the
        rules of geometry, with --run all.
    detector
        Whose published anchors are used, where no --run says.
    anchors
        Other anchors: a preset, or a list such as 10x13,16x30.
    run
        A folder of `kedge train`: its anchors, and its predictions for the strategies that read
        them.
    split
        One split; by default the training split.
    image_size
        Height and width of the network's input, where no --run says.
    images
        Look at this many images at most, spread over the data.
    batch_size
        Images assigned at once.
    json
        Write the table here too.
    draw
        Draw what each strategy selects in one image, side by side, into this PNG.
    image
        The image for --draw, by its name; by default the first with an object.
    """
    from kedge.assign.by_name import STRATEGIES
    from kedge.assign.by_name import strategy as by_name
    from kedge.commands.words import say
    from kedge.data import read, said
    from kedge.doctor.sources import choose_split
    from kedge.parts import listed

    if images < 1 or batch_size < 1:
        raise ValueError(f"--images {images}, --batch-size {batch_size}: both must be at least 1")
    pictures = run is not None or draw is not None
    found = read(data, choose_split(data, split), "drop", check_images=pictures)
    if not len(found):
        raise ValueError(f"{found.source}: has no images")
    say(said(found))
    step = max(1, -(-len(found) // images))
    records = found.records[::step]
    scene = (
        _of_run(run, records)
        if run is not None
        else _of_detector(detector, anchors, image_size, records)
    )
    chosen = strategy or (GEOMETRIC if run is None else ",".join(STRATEGIES))
    strategies = {name: by_name(name) for name in listed(chosen)}
    rows = [
        {"strategy": name} | measure(rule, scene, batch_size) for name, rule in strategies.items()
    ]
    _show(rows, scene, len(records), found)
    if json is not None:
        from kedge.files import write_json

        write_json(json, {"title": scene.title, "images": len(records), "rows": rows})
    if draw is not None:
        _draw(draw, strategies, scene, image)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the strategies work on: anchors, the objects of every image, and a model or None."""

    title: str
    image_size: tuple[int, int]
    grid: "Anchors"
    objects: list[dict[str, Any]]
    records: "list[Record]"
    model: Any = None

    def batch(self, start: int, stop: int) -> "tuple[Targets, Predictions | None]":
        """The targets of some images, and the model's predictions of them where there is one."""
        import torch

        from kedge.types import Targets

        targets = Targets.from_list(self.objects[start:stop])
        if self.model is None:
            return targets, None
        from kedge.data.transforms import Fit

        fit = Fit(self.image_size)
        pixels = [fit.pixels(_pixels(record)) for record in self.records[start:stop]]
        with torch.no_grad():
            return targets, self.model.detector.head(torch.stack(pixels).float() / 255)

    def find(self, name: str | None) -> int:
        """Row of the image called ``name``; without a name the first that has an object."""
        for i, record in enumerate(self.records):
            known = name is None and len(record.boxes)
            if known or (name is not None and name in (record.name, Path(record.name).name)):
                return i
        raise ValueError(
            "--draw: no image has an object"
            if name is None
            else f"--image: no image is called {name!r}; there is {self.records[0].name!r}"
        )


def _pixels(record: "Record"):
    import torch

    from kedge.data.images import decode

    return torch.from_numpy(decode(record)).permute(2, 0, 1)


def _as_seen(records: "list[Record]", image_size: tuple[int, int]) -> list[dict[str, Any]]:
    """The targets of every image, letterboxed; no pixel is read."""
    import torch

    from kedge.data.dataset import target_of
    from kedge.data.transforms import Fit

    fit = Fit(image_size)
    seen = [fit.target(target_of(record), record.height, record.width) for record in records]
    return [t | {"boxes": t["boxes"].as_subclass(torch.Tensor)} for t in seen]


def _of_detector(
    detector: str, anchors: str | None, image_size: tuple[int, int], records: "list[Record]"
) -> Scene:
    from kedge.doctor.setup import of_detector

    setup = of_detector(detector, image_size, anchors)
    objects = _as_seen(records, image_size)
    return Scene(
        title=setup.title,
        image_size=image_size,
        grid=setup.grid,
        objects=objects,
        records=records,
    )


def _of_run(folder: Path, records: "list[Record]") -> Scene:
    from kedge.train.result import load_run

    run = load_run(folder)
    size = run.result.image_size
    return Scene(
        title=f"the anchors and predictions of {folder}",
        image_size=size,
        grid=_grid_of(run, size),
        objects=_as_seen(records, size),
        records=records,
        model=run,
    )


def _grid_of(run: Any, size: tuple[int, int]) -> Any:
    grid = run.detector.grid(size)
    if grid is None:
        raise ValueError(f"{run.result.out}: {run.result.detector} has no anchors to assign")
    return grid.detach()


def measure(rule: Any, scene: Scene, batch_size: int) -> dict[str, Any]:
    """What one strategy chooses, in numbers; ``note`` where it cannot run here."""
    import torch

    from kedge.assign import report

    total = dict.fromkeys(("objects", "positives", "without", "ignored", "shared"), 0)
    levels: torch.Tensor | None = None
    seconds = 0.0
    for start in range(0, len(scene.objects), batch_size):
        targets, predictions = scene.batch(start, start + batch_size)
        begin = time.perf_counter()
        try:
            assignment = rule(scene.grid, targets, predictions)
        except ValueError as error:
            return {"note": str(error)}
        seconds += time.perf_counter() - begin
        found = report(assignment)
        for key in total:
            value = getattr(found, key)
            total[key] += len(value) if key == "without" else value
        levels = found.per_level if levels is None else levels + found.per_level
    objects = max(total["objects"], 1)
    share = [] if levels is None else (levels / levels.sum().clamp(min=1)).tolist()
    return total | {
        "without share": total["without"] / objects,
        "positives per object": total["positives"] / objects,
        "levels": [round(value, 4) for value in share],
        "ms per image": 1000 * seconds / max(len(scene.objects), 1),
    }


def _draw(path: Path, strategies: dict[str, Any], scene: Scene, name: str | None) -> None:
    """The sheet of ``draw_strategies``; strategies that lack predictions are left out."""
    from kedge.data.transforms import Fit
    from kedge.files import replacing
    from kedge.report import draw_strategies

    at = scene.find(name)
    targets, predictions = scene.batch(at, at + 1)
    selected = {}
    for title, rule in strategies.items():
        try:
            selected[title] = rule(scene.grid, targets, predictions)
        except ValueError:
            continue  # the table has said why
    try:
        image = _pixels(scene.records[at])
    except ValueError as error:
        raise ValueError(f"--draw: {error}") from None
    pixels = Fit(scene.image_size).pixels(image)
    sheet = draw_strategies(pixels, scene.grid, selected)
    with replacing(path) as part:
        sheet.save(part, format="PNG", optimize=True)


def _show(rows: list[dict[str, Any]], scene: Scene, images: int, data: "Data") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console()
    objects = sum(int((~o["iscrowd"]).sum()) for o in scene.objects)
    console.print(f"{data.source}: {images} of {len(data)} images, {objects} objects")
    console.print(f"on {scene.title}")
    table = Table(title="What each strategy chooses", title_justify="left", box=SIMPLE)
    names = ("positives", "per object", "without", "ignored", "ms")
    table.add_column("strategy", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("% per level", no_wrap=True)
    for row in rows:
        if "note" in row:
            continue
        table.add_row(
            row["strategy"],
            str(row["positives"]),
            f"{row['positives per object']:.2f}",
            f"{row['without']} ({row['without share']:.0%})",
            str(row["ignored"]),
            f"{row['ms per image']:.1f}",
            " ".join(f"{100 * share:.0f}" for share in row["levels"]),
        )
    console.print(table)
    console.print("without: objects that no anchor answers for; ms: of assigning one image")
    for row in rows:
        if "note" in row:
            console.print(f"{row['strategy']}: {row['note']}; --run gives it a detector's")
