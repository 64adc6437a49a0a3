"""The command line. Each command lives in ``kedge.commands`` and is imported when it is used."""

import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

try:
    from cyclopts import App, CycloptsError, Parameter
except ModuleNotFoundError as error:
    raise SystemExit(
        "kedge: the library is here, its command line is not; pip install 'kedge[all]' brings it"
    ) from error

app = App(
    name="kedge",
    help="Anchors in object detection: propose, learn, assign, encode, detect, explain.\n\n"
    "A mistake ends in one line and exit status 2; --debug shows where it happened.",
    version=lambda: version("kedge"),
    help_format="plaintext",
    default_parameter=Parameter(negative_iterable=()),  # no --empty-scale
)

_COMMANDS = {
    "train": "Train a detector, with learned or fixed anchors.",
    "evaluate": "Score a run, or anybody's results file, on a data set.",
    "predict": "Detect objects in an image, a folder, a video or a camera.",
    "export": "Write a run as a file that runs elsewhere: ONNX, int8, OpenVINO, torch.export.",
    "data": "Read a data set and say what is in it and what is wrong with it.",
    "proposals": "Where objects may be, without learning: find, keep and judge proposals.",
    "design": "Anchor shapes from data, compared with what you have, ready to paste.",
    "assign": "Compare what assignment strategies choose on a data set.",
    "doctor": "Say what is wrong with data, anchors or a run, and what to do about it.",
    "live": "A page that shows which anchor answers for which object, as you drag.",
    "report": "A page of how anchors meet the objects: plane, coverage, sweeps, images.",
    "demo": "Mismatched, k-means and learned anchors side by side, in minutes.",
}
for _name, _help in _COMMANDS.items():
    app.command(f"kedge.commands.{_name}:{_name}", name=_name, help=_help)


def run(tokens: Sequence[str]) -> int:
    """Run one command line; the exit status: 0 fine, 2 a mistake of the user, 130 interrupted, 141
    nobody reads the output any more (``kedge data DIR | head -1``), which is not worth a word."""
    words = [word for word in tokens if word != "--debug"]
    debug = len(words) < len(tokens)
    try:
        status = app(words, exit_on_error=False, print_error=False, result_action="return_value")
        if sys.stdout is not None:
            sys.stdout.flush()  # what is still in the buffer may meet a closed pipe, too
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # as rich reports it
            return 141
        raise
    except KeyboardInterrupt:
        return _say("interrupted (kedge train goes on with --resume)", 130)
    except (CycloptsError, ValueError, OSError, ImportError) as error:
        if isinstance(error, BrokenPipeError) and _unread():
            return 141
        if debug:
            raise
        return _say(_explain(error), 2)
    return status if isinstance(status, int) else 0


def main() -> None:
    """Entry point of the ``kedge`` command."""
    status = run(sys.argv[1:])
    if status == 141:  # or Python would complain of the rest of the buffer at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
    sys.exit(status)


def _unread() -> bool:
    """Whether the reader of the output is gone. A broken pipe of another kind is an error."""
    if not hasattr(select, "poll"):  # Windows
        return False
    streams = select.poll()
    for stream in (1, 2):
        streams.register(stream, 0)  # POLLERR is always told
    return any(event & select.POLLERR for _, event in streams.poll(0))


def _explain(error: Exception) -> str:
    """One line for a mistake of the user's."""
    cause: BaseException | None = error
    while cause is not None:  # cyclopts wraps what pydantic says
        if type(cause).__name__ == "ValidationError" and hasattr(cause, "errors"):
            from kedge.train.config import explain

            return explain(cause, "settings")  # pyright: ignore[reportArgumentType]
        if isinstance(cause, ImportError) and "pip install" in str(cause):
            break  # it says itself which extra
        if isinstance(cause, ModuleNotFoundError):  # and that a command cannot be imported
            if (cause.name or "").startswith("kedge"):
                raise error
            return f"{cause.name} is not installed; pip install 'kedge[all]' brings it"
        cause = cause.__cause__
    from kedge.parse import shown

    return shown(" ".join(str(cause or error).split())) or type(error).__name__


def _say(message: str, status: int) -> int:
    with suppress(BrokenPipeError):  # the status is left to speak
        print(f"kedge: {message}", file=sys.stderr)
    return status
