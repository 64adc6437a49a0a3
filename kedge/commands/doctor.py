"""``kedge doctor``"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from kedge.commands.shards import all_sources, one_source, progress, say_of_shards
from kedge.commands.words import Anchors, Root, Sides, height_and_width, say
from kedge.detectors import DETECTORS


def doctor(
    *sources: str,
    data: str | None = None,
    split: str | None = None,
    root: Root = None,
    detector: Literal[*DETECTORS] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    anchors: Anchors = None,
    config: Path | None = None,
    run: Path | None = None,
    model: str | None = None,
    image_size: Sides = None,
    deploy: Sides = None,
    strict: bool = False,
    verbose: bool = False,
    json: Annotated[Path | None, Parameter(name="--json")] = None,
    html: Path | None = None,
    seed: int = 0,
    on: Literal["stream", "ray"] | None = None,
    address: str | None = None,
) -> int:
    """Say what is wrong with data, anchors or a run: symptom, evidence, cause, cure, effect.

    kedge doctor --data DIR

    kedge doctor --data DIR --detector retinanet --image-size 640 640

    kedge doctor --data DIR --model my_model:make --image-size 800 1333

    kedge doctor --data DIR --model yolo11n.yaml

    kedge doctor --run runs/a --html doctor.html

    kedge doctor --run runs/a --deploy 256x320

    kedge doctor 'shards/*' --on ray

    Parameters
    ----------
    sources
        Data sets, in place of --data; several, and globs of files or folders, go with --on.
    data
        Data set; by default the one of --config or --run.
    split
        Split to look at; by default the training split.
    detector
        Look at the published anchors of this detector.
    config
        Look at the anchors that kedge train would start from with these settings.
    run
        Look at the records of a run, and at its anchors.
    model
        Look at the anchors of another library's model: module:function, where the function makes a
        detector of torchvision, MMDetection, Detectron2 or Ultralytics; or a configuration of
        MMDetection (.py) or Detectron2 (.yaml), or a yaml of Ultralytics (yolo11n.yaml). Those of
        Detectron2, and of YOLOv3 and YOLOv5 with anchors, are read without their library.
    image_size
        Side, or height and width, of the network's input, into which images are letterboxed; by
        default that of --config or --run, else the square that the anchors were published for, or
        640.
    deploy
        Side, or height and width (256x320), of the input where the detector is to work: how many
        cells the objects have there, and what size or stride they need; with --run also its recall
        by size, AP and latency there.
    strict
        Exit with status 1 where there is an error. Warnings and notes do not count.
    verbose
        Print notes in full, too.
    json
        Write the findings to this file.
    html
        Write a page to this file.
    seed
        Seed of the samples taken of large data sets.
    on
        Look at every source by itself and put the findings together: stream, on this machine, one
        after another; ray, by the workers of a Ray cluster, with the same findings. One that
        cannot be read is named, the others go on, and the exit status is 1.
    address
        Of the Ray cluster; by default one is started on this machine.
    """
    from rich.console import Console

    from kedge.data import said
    from kedge.design.saved import not_as_designed
    from kedge.doctor import examine, open_context
    from kedge.doctor.finding import by_severity
    from kedge.doctor.show import print_findings, to_json

    if on is not None:
        without = {
            "--root": root, "--config": config, "--run": run, "--model": model, "--deploy": deploy,
            "--html": html,
        }  # fmt: skip
        size = height_and_width(image_size)
        how = {"split": split, "detector": detector, "anchors": anchors, "seed": seed}
        return _over_shards(
            all_sources(sources, data, without), on, address, how | {"image_size": size},
            strict=strict, verbose=verbose, json=json,
        )  # fmt: skip
    data = one_source(sources, data, address)
    others = (detector, config, run)
    if model is not None and any(other is not None for other in others):
        raise ValueError("--model goes without --detector, --config and --run: give one")
    context = open_context(
        data,
        split=split,
        root=root,
        detector=detector,
        config=config,
        anchors=anchors,
        run=run,
        image_size=height_and_width(image_size),
        seed=seed,
    )
    say([*said(context.data), *not_as_designed(anchors, context.image_size)])
    if model is not None:
        from dataclasses import replace

        from kedge.interop.doctor_model import setup_of_model

        context = replace(context, setup=setup_of_model(model, context.image_size))
    findings, place = examine(context), height_and_width(deploy, "--deploy")
    there = None
    if place is not None:
        from kedge.doctor.deploy import deploy as deployed

        there = deployed(context, place)
    if there is not None:
        findings = by_severity([*findings, there.finding()])
    if json is not None:
        to_json(findings, json)
    if html is not None:
        from kedge.pages.doctor import write_page

        write_page(html, context, findings)
    print_findings(Console(), context, findings, verbose)
    for line in () if there is None else there.lines():
        print(line)
    return int(strict and any(finding.severity == "error" for finding in findings))


def _over_shards(
    sources: list[str],
    on: str,
    address: str | None,
    how: dict[str, Any],
    *,
    strict: bool,
    verbose: bool,
    json: Path | None,
) -> int:
    """The findings of all shards; the exit status."""
    from rich.console import Console

    from kedge.doctor.over_shards import look, merged
    from kedge.doctor.show_shards import print_shards, shards_to_json
    from kedge.shards import counter_of, over_shards, shards_of

    counter = counter_of(on, address)
    with progress() as tell:
        looked, failed = over_shards(shards_of(*sources), partial(look, **how), counter, tell)
    say_of_shards({shard: found.said for shard, found in looked.items()}, failed)
    found = merged(looked)
    if json is not None:
        shards_to_json(looked, failed, found, json)
    print_shards(Console(), looked, failed, found, verbose)
    errors = strict and any(finding.severity == "error" for finding in found)
    return int(bool(failed) or errors)
