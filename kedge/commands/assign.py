"""``kedge assign``"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kedge.commands.shards import all_sources, one_source
from kedge.commands.words import Anchors, Root, Sides, height_and_width, say
from kedge.counted import count
from kedge.detectors import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from kedge.doctor.scene import Scene, Sight
    from kedge.types import Assigner

GEOMETRIC = "max_iou,ssd,yolov3,yolov5,fcos,centre_region,atss,rfla"


def assign(
    *sources: str,
    data: str | None = None,
    strategy: str | None = None,
    detector: Literal[*DETECTORS] = "retinanet",  # pyright: ignore[reportInvalidTypeForm]
    anchors: Anchors = None,
    run: Path | None = None,
    split: str | None = None,
    root: Root = None,
    image_size: Sides = None,
    images: int = 1000,
    batch_size: int = 16,
    json: Annotated[Path | None, Parameter(name="--json")] = None,
    cache: Path | None = None,
    draw: Path | None = None,
    image: str | None = None,
    on: Literal["stream", "ray"] | None = None,
    address: str | None = None,
) -> int:
    """Compare what assignment strategies choose on a data set.

    Parameters
    ----------
    sources
        Data sets, in place of --data; several, and globs of files or folders, go with --on.
    data
        Folder or file (COCO JSON, Pascal VOC, YOLO, npz of boxes), or toy.
    strategy
        Names with commas between, with settings where wanted: atss,tal:k=10,beta=4; by default the
        rules of geometry, with --run all.
    detector
        Whose published anchors are used, where no --run says.
    run
        A folder of `kedge train`: its anchors, and its predictions for the strategies that read
        them.
    split
        One split; by default the training split.
    image_size
        Side, or height and width, of the network's input, where no --run says; by default
        the square that the anchors were published for, else 640.
    images
        Look at this many images at most, spread over the data.
    batch_size
        Images assigned at once.
    json
        Write the table here too.
    cache
        Folder that keeps the answers of rules that read no predictions, and gives them where
        nothing has changed.
    draw
        Draw what each strategy selects in one image, side by side, into this PNG; with --run also
        the heat maps of a detector of points, and what it finds, or where anchors are wanted.
    image
        The image for --draw, by its name, among --images or not; by default the first with an
        object.
    on
        Look at every source by itself, --images of each, and add up: stream, on this machine, one
        after another; ray, by the workers of a Ray cluster, with the same numbers. One that cannot
        be read is named, the others go on, and the exit status is 1.
    address
        Of the Ray cluster; by default one is started on this machine.
    """
    from kedge.data import read, said
    from kedge.data.sources import choose_split
    from kedge.design.saved import not_as_designed
    from kedge.doctor.chosen import measure
    from kedge.doctor.scene import find_image, scene_of_detector, scene_of_run, sight_of_run
    from kedge.doctor.setups import usual_size
    from kedge.parts import listed

    if images < 1 or batch_size < 1:
        raise ValueError(f"--images {images}, --batch-size {batch_size}: both must be at least 1")
    if run is not None and (anchors is not None or image_size is not None):
        raise ValueError("--anchors, --image-size: a run says its own; leave them out, or --run")
    if image is not None and draw is None:
        raise ValueError("--image goes with --draw: say where the picture is to go")
    size = height_and_width(image_size) or usual_size(detector, anchors)
    if on is not None:
        without = {"--run": run, "--cache": cache, "--draw": draw, "--root": root}
        how = {"detector": detector, "anchors": anchors, "image_size": size, "split": split}
        how |= {"strategies": listed(strategy or GEOMETRIC), "images": images}
        named = all_sources(sources, data, without)
        return _over_shards(named, on, address, how | {"batch_size": batch_size}, json)
    data = one_source(sources, data, address)
    if data is None:
        raise ValueError("say which data set to look at: a folder, a file, or toy")
    pictures = run is not None or draw is not None
    found = read(data, choose_split(data, split), "drop", check_images=pictures, root=root)
    say([*said(found), *not_as_designed(anchors, size)])
    step = max(1, -(-len(found) // images))
    records = found.records[::step]
    drawn = None if draw is None else find_image(found.records, image)
    sight = None if run is None or drawn is None else sight_of_run(run, drawn)
    if draw is not None and sight is not None and not sight.assigns:
        say([f"{run}: no anchors to assign; {draw} shows its maps and what it finds"])
        _save(draw, _heat(sight))
        return 0
    scene = (
        scene_of_run(run, records)
        if run is not None
        else scene_of_detector(detector, anchors, size, records)
    )
    if len(scene.objects.fair) == 0:
        raise ValueError(f"{found.source}: holds no object: nothing to assign")
    strategies = _asked(strategy, run)
    if cache is not None:
        strategies = _kept(strategies, cache, scene)
    rows = [
        {"strategy": name} | measure(rule, scene, batch_size) for name, rule in strategies.items()
    ]
    if json is not None:
        from kedge.files import write_json

        write_json(json, {"title": scene.title, "images": len(records), "rows": rows})
    if draw is not None and drawn is not None:
        _draw(draw, strategies, scene.of([drawn]), sight)
    console = _console()
    objects = count(len(scene.objects.fair), "object")
    console.print(f"{found.source}: {len(records):,} of {count(len(found), 'image')}, {objects}")
    _show(console, rows, scene.title)
    if cache is not None:
        say(_of_the_cache(strategies, rows))
    return 0


def _asked(strategy: str | None, run: Path | None) -> dict[str, "Assigner"]:
    """The strategies by name."""
    from kedge.assign.by_name import STRATEGIES
    from kedge.assign.by_name import strategy as by_name
    from kedge.parts import listed

    chosen = strategy or (GEOMETRIC if run is None else ",".join(STRATEGIES))
    return {name: by_name(name) for name in listed(chosen)}


def _kept(strategies: dict[str, "Assigner"], cache: Path, scene: "Scene") -> dict[str, "Assigner"]:
    """The strategies, of which those that choose by geometry alone keep their answers."""
    from kedge.batches import Cached

    return {
        name: Cached(rule, cache) if _is_geometry(rule, scene) else rule
        for name, rule in strategies.items()
    }


def _is_geometry(rule: "Assigner", scene: "Scene") -> bool:
    """Whether ``rule`` reads no predictions here; False, too, where it does not run."""
    from kedge.assign.predictions_read import needs_predictions, reads_predictions

    reads = needs_predictions if scene.detector is None else reads_predictions
    try:
        return not reads(rule, scene.grid)
    except ValueError:
        return False  # the table says why


def _of_the_cache(strategies: dict[str, "Assigner"], rows: list[dict[str, Any]]) -> "Iterator[str]":
    """What the cache had of every strategy that ran."""
    from kedge.batches import Cached

    for row in rows:
        rule = strategies[row["strategy"]]
        if isinstance(rule, Cached):
            yield f"{row['strategy']}: {rule.summary()}"
        elif "note" not in row:
            yield f"{row['strategy']}: reads predictions, so nothing of it is kept"


def _over_shards(
    sources: list[str], on: str, address: str | None, how: dict[str, Any], json: Path | None
) -> int:
    """The strategies over all shards; the exit status."""
    from kedge.assign.by_name import strategy
    from kedge.commands.shards import progress, say_of_shards
    from kedge.doctor.assigned_shards import added, assign_shard
    from kedge.doctor.chosen import Chosen
    from kedge.shards import counter_of, over_shards, shards_of

    for name in how["strategies"]:
        strategy(name)  # a wrong name is told before anything is read
    counter = counter_of(on, address)
    with progress() as tell:
        shards, failed = over_shards(
            shards_of(*sources), partial(assign_shard, **how), counter, tell
        )
    say_of_shards({shard: found.said for shard, found in shards.items()}, failed)
    total = added(shards)
    rows = [
        {"strategy": name} | (one.row() if isinstance(one, Chosen) else {"note": one})
        for name, one in total.chosen.items()
    ]
    worst = {name: one.worst for name, one in total.chosen.items() if isinstance(one, Chosen)}
    if json is not None:
        from kedge.files import write_json

        each = {shard: found.to_dict() for shard, found in shards.items()}
        values = {"title": total.title, "images": total.images, "rows": rows}
        write_json(json, values | {"worst_images": worst, "shards": each, "failed": failed})
    console = _console()
    objects = count(total.objects, "object")
    console.print(
        f"{count(len(shards), 'shard')}, {count(total.images, 'image')}, {objects}", soft_wrap=True
    )
    _show(console, rows, total.title)
    for name, images in worst.items():
        if images:
            most = "; ".join(f"{image} ({number})" for number, image in images[:3])
            console.print(f"{name}: most without in {most}", soft_wrap=True, markup=False)
    return int(bool(failed))


def _draw(
    path: Path,
    strategies: dict[str, Any],
    scene: "Scene",
    sight: "Sight | None",
) -> None:
    """The sheet of ``draw_strategies`` of the scene's one image; strategies that lack predictions
    are left out. Below it the maps of a detector that has such."""
    from kedge.report import draw_strategies
    from kedge.report.selection import below

    targets, predictions = scene.batch(0, 1)
    anchors, selected = scene.anchors(predictions), {}
    for title, rule in strategies.items():
        try:
            selected[title] = rule(anchors, targets, predictions)
        except ValueError:
            continue  # the table has said why
    try:
        pixels = scene.pixels(0)
    except ValueError as error:
        raise ValueError(f"--draw: {error}") from None
    sheet = draw_strategies(pixels, anchors, selected)
    _save(path, sheet if sight is None else below([sheet, _heat(sight)]))


def _heat(sight: "Sight") -> Any:
    from kedge.report import draw_heat

    found = None if sight.assigns else sight.found
    return draw_heat(sight.pixels, sight.heat, sight.objects, found)


def _save(path: Path, sheet: Any) -> None:
    from kedge.files import replacing

    with replacing(path) as part:
        sheet.save(part, format="PNG", optimize=True)


def _console() -> "Console":
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # where nothing bounds the width of the table
        console = Console(width=160)
    return console


def _show(console: "Console", rows: list[dict[str, Any]], title: str) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    console.print(f"on {title}")
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
            more = "; --run gives it a detector's" if "needs predictions" in row["note"] else ""
            console.print(f"{row['strategy']}: {row['note']}{more}")
