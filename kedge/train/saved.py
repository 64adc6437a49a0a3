"""The detector of a run folder: `load_run`."""

from dataclasses import dataclass
from pathlib import Path

from kedge.detectors.detector import Detector
from kedge.nn import without_downloads
from kedge.train.checkpoint import check_shapes, fit_weights, load_weights
from kedge.train.config import TrainConfig, load_config
from kedge.train.make_detector import make_detector
from kedge.train.result import CONFIG, RUN, WEIGHTS, RunResult, load_result


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained detector, ready to detect, and where it comes from."""

    detector: Detector
    config: TrainConfig
    result: RunResult

    @property
    def classes(self) -> list[str]:
        """Class names, by label."""
        return self.result.classes


def load_run(path: Path | str) -> Run:
    """The detector of a run folder, in evaluation mode, with its settings and its result.

    Raises ``ValueError`` for a folder without a run, for files that are damaged, and where weights,
    run.json and settings do not belong together.
    """
    folder = Path(path)
    result = load_result(folder / RUN)
    config = load_config(folder / CONFIG)
    detector = restore(config, result, folder / WEIGHTS)
    return Run(detector=detector, config=config, result=result)


def restore(config: TrainConfig, result: RunResult, file: Path) -> Detector:
    """The detector of settings with the weights of `file`, in evaluation mode; it knows its
    classes and its input size."""
    weights = load_weights(file)
    check_shapes(weights, result.shapes, file)
    shapes = [[(w, h) for w, h in level["shapes"]] for level in result.levels]
    known = shapes if any(shapes) else None
    with without_downloads():  # the weights are at hand
        detector = make_detector(config, len(result.classes), known)
    fit_weights(detector, weights, file)
    detector.class_names = tuple(result.classes)
    detector.category_ids = tuple(result.category_ids)
    detector.input_size = (result.image_size[0], result.image_size[1])
    return detector.eval()
