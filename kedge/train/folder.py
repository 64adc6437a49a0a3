"""The folder of a run: whether a run may begin or go on there, and its beginning."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kedge.train.config import TrainConfig, load_config, save_config
from kedge.train.lock import alone_in
from kedge.train.result import CONFIG, FILES, LAST, RUN, RunResult, load_result

REPLACED = "replaced"  # folder of a run that another one is about to replace

_FREE = {
    *("epochs", "workers", "cache", "assign_cache", "log_every", "eval_every", "save_every"),
    *("out", "data", "root", "train_split", "proposals"),
}
"""Settings that change no weight, or whose content is compared."""


def check_folder(config: TrainConfig, resume: bool, overwrite: bool) -> RunResult | None:
    """The run to go on with, as run.json states it; None where there is none yet."""
    if resume and overwrite:
        raise ValueError("--resume goes on with a run, --overwrite replaces it: give one of them")
    out, stated = config.out, config.out / CONFIG
    if not resume:
        if stated.exists() and not overwrite:
            raise ValueError(
                f"{out}: holds a run; --resume goes on with it, --overwrite replaces it"
            )
        return None
    for name, needed in ((RUN, CONFIG), (LAST, CONFIG), (LAST, RUN)):
        if (out / name).exists() and not (out / needed).exists():
            raise ValueError(f"{out}: holds {name} but no {needed}; --overwrite starts a new run")
    if stated.exists():
        _same_settings(load_config(stated), config, stated)
    if not (out / RUN).exists():
        return None
    before = load_result(out / RUN)
    if config.epochs < before.epochs:
        raise ValueError(
            f"epochs: {before.epochs} are done in {out}, {config.epochs} are fewer; resume with "
            f"{before.epochs} or more, or choose another --out"
        )
    return before


def open_folder(config: TrainConfig, overwrite: bool) -> None:
    """Writes the settings, over those of a run that is replaced: when all else has proved good."""
    if overwrite:
        for name in FILES:
            (config.out / name).unlink(missing_ok=True)
    save_config(config, config.out / CONFIG)


@contextmanager
def set_aside(out: Path) -> Iterator[None]:
    """The files of a run that is to be replaced, in a folder of their own: gone for good when the
    new one has written its settings, and back again where it did not come so far."""
    aside = out / REPLACED
    with alone_in(out):
        aside.mkdir(exist_ok=True)
        for name in FILES:
            if (aside / name).exists():  # of an attempt that was killed: that run comes back
                (out / name).unlink(missing_ok=True)
            elif (out / name).exists():
                (out / name).rename(aside / name)
    try:
        yield
    finally:
        with alone_in(out):
            begun = (out / CONFIG).exists()
            for name in FILES:
                if begun:
                    (aside / name).unlink(missing_ok=True)
                elif (aside / name).exists():
                    (aside / name).replace(out / name)
            aside.rmdir()


def _same_settings(before: TrainConfig, now: TrainConfig, path: Path) -> None:
    changed = [
        f"{key} {getattr(before, key)!r} -> {getattr(now, key)!r}"
        for key in TrainConfig.model_fields
        if key not in _FREE and getattr(before, key) != getattr(now, key)
    ]
    if changed:
        raise ValueError(
            f"{path}: the run to resume has other settings ({'; '.join(changed)}); "
            "resume with its own, or start a new run"
        )
