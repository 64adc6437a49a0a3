"""From words of a command line, or of Python, to a Context.

Setups are imported when one is asked for: detectors take seconds, and a look at data needs none.
"""

from pathlib import Path

from kedge.data import Data, read
from kedge.data.sources import read_data, training_split
from kedge.doctor.context import Context
from kedge.doctor.records import RunRecords, read_run
from kedge.doctor.setup import USUAL_SIZE, Setup
from kedge.train.config import TrainConfig, load_config


def open_context(
    data: str | None = None,
    *,
    split: str | None = None,
    root: Path | None = None,
    detector: str | None = None,
    config: Path | str | None = None,
    anchors: str | None = None,
    run: Path | str | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Context:
    """Read what is named, and put it together.

    ``data`` may be left out where ``config`` or ``run`` says it; ``root`` (as ``kedge.data.read``
    takes it) then is the one that they say. At most one of ``detector``,
    ``config`` and ``run`` says which anchors meet the data; ``anchors`` (a preset's name or
    ``10x13,16x30``) replaces the published ones of ``detector``. Raises ``ValueError`` for words
    that contradict each other, and for files that cannot be read.
    """
    if sum(x is not None for x in (detector, config, run)) > 1:
        raise ValueError("--detector, --config and --run exclude each other: give one")
    if anchors is not None and detector is None:
        raise ValueError("--anchors goes with --detector; a config or a run says its own")
    records = read_run(run) if run is not None else None
    settings = load_config(config) if config is not None else None
    settings = records.config if records is not None else settings
    source = data or (settings.data if settings is not None else None)
    if not source:
        raise ValueError("--data: say which data set to look at: a folder, a file, or toy")
    size = image_size or _size(settings, detector, anchors)
    if min(size) < 32:
        raise ValueError(f"--image-size: expected height and width of at least 32, got {size}")
    wanted = split
    if split is None and data is None and settings is not None:
        wanted = training_split(source, settings.train_split)
    if root is None and data is None and settings is not None:
        root = settings.root
    found = read_data(source, wanted, root=root)
    flags = f"--config {config}" if config is not None else f"--run {run}"
    if settings is not None:
        settings = settings.model_copy(update={"image_size": size, "data": source, "root": root})
        setup = _trained_setup(settings, records, found, flags)
    else:
        setup = None if detector is None else _published_setup(detector, size, anchors)
    held = None
    if records is not None and split is None and records.result is not None:
        held = _held_out(source, records, found)
    return Context(
        data=found,
        setup=setup,
        run=records,
        held_out=held,
        input_size=size,
        seed=seed,
        words={"data": source, **({"split": found.split} if found.split else {})},
    )


def _size(
    settings: TrainConfig | None, detector: str | None, anchors: str | None
) -> tuple[int, int]:
    if settings is not None:
        return settings.image_size
    if detector is None:
        return USUAL_SIZE
    from kedge.doctor.setups import usual_size

    return usual_size(detector, anchors)


def _published_setup(detector: str, size: tuple[int, int], anchors: str | None) -> Setup:
    from kedge.doctor.setups import of_detector

    return of_detector(detector, size, anchors)


def _trained_setup(
    settings: TrainConfig, records: RunRecords | None, data: Data, flags: str
) -> Setup | None:
    from kedge.doctor.setups import of_config

    shapes = None if records is None else records.last_shapes
    if shapes is None and data.num_boxes == 0:
        return None  # nothing to fit anchors to: the checks of the data say so
    words = f"--config {records.folder}/config.yaml" if records is not None else flags
    return of_config(settings, data, words, shapes)


def _held_out(source: str, records: RunRecords, data: Data) -> Data | None:
    assert records.result is not None
    name = records.result.eval_split
    if name is None or name == data.split or name not in data.splits:
        return None
    return read(source, name, "drop", root=data.root)
