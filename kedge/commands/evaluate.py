"""``kedge evaluate``"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from kedge.commands.words import Root, say
from kedge.counted import count


def evaluate(
    run: Path | None = None,
    *,
    data: str | None = None,
    split: str | None = None,
    root: Root = None,
    results: Path | None = None,
    proposals: bool = False,
    mirrored: bool = False,
    json: Annotated[Path | None, Parameter(name="--json")] = None,
    save_results: Path | None = None,
    on_bad_box: Literal["error", "drop", "clip"] = "error",
    max_detections: int = 100,
    workers: int = 0,
) -> None:
    """Score a run, or anybody's results file, on a data set.

    Small, medium and large go by the area that COCO JSON says of an object, else by its box's.

    kedge evaluate runs/a --data DIR --split test

    kedge evaluate --results results.json --data DIR

    kedge evaluate model.onnx --data DIR --split test

    Parameters
    ----------
    run
        Folder of a run, a weights file, or a file of `kedge export`. Classes are those of the data
        of the same names.
    data
        Data set; by default the one the run was trained on.
    split
        Split to score on; by default test, else val.
    results
        Judge this COCO results file instead of a run; it may come from any detector.
    proposals
        Also print the recall of the proposals of a run's first stage, or of its source: of the best
        50, 100, 300 and 1,000 of every image, as far as the detector makes so many.
    mirrored
        Look at every image a second time, mirrored, and join what both looks find: twice the time.
        Not for detectors that are given boxes.
    json
        Also write the scores to this file.
    save_results
        Also write the detections to this file, as COCO results.
    on_bad_box
        What to do with a box of the truth that cannot be right.
    max_detections
        Detections of a class in an image that count, the best first; COCO's 100 by default. A
        detector may itself return no more of an image: see --selection most of kedge train.
    workers
        Processes that load images.
    """
    from rich.console import Console

    from kedge.commands.tables import COLUMNS, classes_table, recall_table, scores_table
    from kedge.data import said
    from kedge.files import write_json
    from kedge.predict import score as scoring

    if max_detections <= 10:
        raise ValueError(f"--max-detections {max_detections}: must exceed 10, which AR10 needs")
    if (run is None) == (results is None):
        raise ValueError("evaluate: give either a run folder or --results FILE")
    recall: dict[str, float] = {}
    read = partial(scoring.read_to_score, split=split, on_bad_box=on_bad_box)
    if run is not None:
        source, found, recall = _of_run(run, read, data, root, proposals, mirrored, workers)
    else:
        assert results is not None
        if proposals:
            raise ValueError("--proposals: a results file has none; give a run folder")
        if mirrored:
            raise ValueError("--mirrored: a results file looks at nothing; give a run folder")
        if data is None:
            raise ValueError("evaluate: --results needs --data: what is the truth?")
        source = read(data, root=root)
        found = scoring.from_results(results, source)
    say(said(source))
    scores = scoring.score(found, source, max_detections) | recall
    if save_results is not None:
        scoring.write_detections(save_results, found, source)
    if json is not None:
        facts = {"data": source.source, "split": source.split, "classes": list(source.classes)}
        facts |= {"max_detections": max_detections, "mirrored": mirrored}
        write_json(json, {"of": str(run or results)} | facts | {"scores": scores})
    out = Console()
    title = f"{run or results} on {source.source}" + (f", {source.split}" if source.split else "")
    columns = [f"AR{max_detections}" if name == "AR100" else name for name in COLUMNS]
    row = (Path(run or results or "").name, scores)
    out.print(scores_table([row], title=title, columns=columns))
    out.print(classes_table(source.classes, scores))
    if recall:
        out.print(recall_table(recall))


def _of_run(
    run: Path,
    read: Callable[..., Any],
    data: str | None,
    root: Path | None,
    proposals: bool,
    mirrored: bool,
    workers: int,
) -> tuple[Any, Any, dict[str, float]]:
    """The data to score on, what the detector of a run or a weights file finds in it, and the
    recall of its proposals where ``proposals`` asks for it."""
    from kedge.detectors.detector import HasProposals
    from kedge.export import is_exported
    from kedge.predict import score as scoring
    from kedge.predict.detect import detect, propose
    from kedge.train.config import load_config
    from kedge.train.loading import load_any
    from kedge.train.result import CONFIG, PROPOSALS

    detector, kept = load_any(run), None
    if run.is_dir():
        config = load_config(run / CONFIG)
        kept = config.proposals or run / PROPOSALS
        if data is None:
            data, root = config.data, root or config.root
    if data is None:
        what = "an exported file" if is_exported(run) else "a weights file"
        raise ValueError(f"evaluate: {what} needs --data: what is the truth?")
    source = read(data, root=root)
    scoring.check_classes(detector.class_names, source)
    if proposals and not isinstance(detector, HasProposals):
        raise ValueError(f"--proposals: {type(detector).__name__} makes no proposals")
    how: Any = {"workers": workers, "proposals": kept}
    every = detect(detector, source, detector.input_size, mirrored=mirrored, **how)
    found, others = scoring.relabelled(every, detector.class_names or (), source)
    if others:
        say([f"left out: {count(others, 'detection')} of classes that the data lacks"])
    if not proposals:
        return source, found, {}
    assert isinstance(detector, HasProposals)
    boxes = propose(detector, source, detector.input_size, **how)
    return source, found, scoring.recall_of(boxes, source, (50, 100, 300, 1000))
