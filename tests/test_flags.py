"""Every flag and every choice of every command: accepted, converted, and handed to the work."""

import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

import pytest
import yaml

from kedge.assign.by_name import STRATEGIES
from kedge.cli import _COMMANDS, app, run
from kedge.coders.by_name import CODERS
from kedge.data import toy
from kedge.losses.by_name import (
    _NORMALISE,
    _OVERLAPS,
    _WEIGHTS,
    BOX_TERMS,
    CLASS_TERMS,
    QUALITY_TERMS,
)
from kedge.parts import listed
from kedge.sample.by_name import SAMPLERS
from kedge.select.by_name import SUPPRESSIONS, VOTES
from kedge.train.config import TrainConfig, load_config, make_config
from kedge.train.make_detector import make_detector

PLAIN = {int: ["8"], float: ["0.5"], str: ["some"], Path: ["some/place"]}
REQUIRED = {
    "predict": ["run", "image.jpg"],
    "export": ["run", "--out", "a.onnx"],
    "data": ["toy"],
    "design": ["toy"],
    "proposals": ["toy"],
}
BY_NAME = {  # the same by their names
    "predict": (("--run", "a"), ("--source", "a.jpg")),
    "export": (("--run", "a"), ("--out", "a.onnx")),
}
# other work than that of one process: tests/doctor/test_shards.py, tests/train/test_on_ray.py
SHARED_OUT = ("sources", "on", "address")
NO_ANCHORS = ("fast_rcnn", "rcnn", "cornernet", "extremenet", "denet")
GOES_WITH = {
    "--scales": ["--layout", "pyramid"],
    "--ratios": ["--layout", "pyramid"],
    "--threshold": ["--objective", "placed"],
}


def samples(hint: Any) -> list[tuple[list[str], Any]]:
    """Words for a value of an annotation, and the value; every choice where there are choices."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return []
    if origin in (Union, types.UnionType):
        return [sample for kind in inner for sample in samples(kind)]
    if origin is Literal:
        return [([str(choice)], choice) for choice in inner]
    if origin in (list, tuple):
        kinds = [inner[0]] * 2 if origin is list or inner[-1] is ... else inner
        words = [one_of(kind, at) for at, kind in enumerate(kinds)]
        return [(words, origin(kind(word) for kind, word in zip(kinds, words)))]
    assert hint in PLAIN, f"{hint}: say in PLAIN what a typical value is"
    return [(PLAIN[hint], hint(*PLAIN[hint]))]


def one_of(kind: type, at: int) -> str:
    return {int: ["64", "96"], float: ["0.5", "1.5"], str: ["64", "96"]}[kind][at]


def tried(command: str) -> list[tuple[Any, list[str], Any]]:
    """Argument, words and value of everything that can be said to a command."""
    found = []
    for argument in app[command].assemble_argument_collection():
        if argument.names == ("*",):
            continue
        if not argument.names[0].startswith("--"):  # what is given at its place, any number of it
            found += [(argument, words, value) for words, value in samples(argument.hint)]
        elif argument.hint is bool:
            (no,) = argument.negatives
            found += [(argument, [argument.names[0]], True), (argument, [no], False)]
        else:
            for words, value in samples(argument.hint):
                found.append((argument, [argument.names[0], *words], value))
    return found


def given(arguments: dict[str, Any], argument: Any) -> Any:
    """The value that a command's function would be called with."""
    if argument.keys:  # one of the settings of `kedge train`
        return getattr(arguments["settings"], argument.keys[0])
    return arguments[argument.field_info.name]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_flag_and_every_choice_is_accepted(command):
    everything = tried(command)
    assert len(everything) >= 4
    for argument, words, value in everything:
        required = [] if argument.required else REQUIRED.get(command, [])
        if argument.required:  # by its name, with the others at their places
            others = (pair for pair in BY_NAME.get(command, ()) if pair[0] not in argument.names)
            required = [word for pair in others for word in pair]
        said = [command, *required, *GOES_WITH.get(words[0], []), *words]
        function, bound, *_ = app.parse_args(said, exit_on_error=False, print_error=False)
        assert function.__name__ == command
        assert given(bound.arguments, argument) == value, said
        assert type(given(bound.arguments, argument)) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_flag_is_told_of_in_the_help(command, capsys):
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for argument, words, _ in tried(command):
        placed = argument.required or not words[0].startswith("--")
        name = argument.names[0] if placed else words[0]
        assert name.removeprefix("--").lower() in shown.lower(), words[0]


class Recorder:
    """Stands in for the work of a command: remembers what it was given, and goes no further."""

    def __init__(self) -> None:
        self.given: list[tuple[tuple, dict[str, Any]]] = []

    def __call__(self, *given: Any, **named: Any) -> None:
        self.given.append((given, named))
        raise ValueError("far enough")

    def last(self, words: list[str]) -> tuple[tuple, dict[str, Any]]:
        """What the work is given when these words are typed."""
        self.given.clear()
        assert run(words) == 2
        assert self.given, f"{words} did not reach the work"
        return self.given[-1]


@pytest.fixture
def trainer(monkeypatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr("kedge.train.run.train", recorder)
    return recorder


def test_every_flag_of_train_reaches_the_training(trainer, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("schedule: {epochs: 7}\n")
    for argument, words, value in tried("train"):
        name = argument.field_info.name
        if name in SHARED_OUT:
            continue
        if name == "config":
            (settings,), _ = trainer.last(["train", "--config", str(config)])
            assert settings.epochs == 7
            continue
        (settings,), named = trainer.last(["train", *words])
        if argument.keys:
            assert getattr(settings, argument.keys[0]) == value, words
        elif name == "quiet":
            assert (named["console"] is None) == value
        else:
            assert named[name] == value, words


@pytest.mark.parametrize("command", ["doctor", "report"])
def test_every_flag_of_doctor_and_report_reaches_the_work(command, monkeypatch):
    import kedge.doctor

    recorder = Recorder()
    monkeypatch.setattr(kedge.doctor, "open_context", recorder)
    after = {"strict", "verbose", "json", "html", "out", "deploy"}  # what is done with the findings
    for argument, words, value in tried(command):
        name = argument.field_info.name
        if name == "model":  # a peer's model is looked at by kedge.interop, with a test of its own
            continue
        if name in SHARED_OUT:
            continue
        (data,), named = recorder.last([command, *words])
        if name not in after:
            reached = data if name == "data" else named[name]
            assert reached == (tuple(map(int, words[1:])) if name == "image_size" else value), words


def test_every_flag_of_demo_reaches_the_demo(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("kedge.demo.run.demo", recorder)
    for argument, words, value in tried("demo"):
        (data,), named = recorder.last(["demo", *words])
        name = argument.field_info.name
        if name == "quiet":
            assert (named["console"] is None) == value
        else:
            assert (data if name == "data" else named[name]) == value


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("data") / "mini", train=6, val=3, size=(64, 96))


def choices(command: str) -> list[list[str]]:
    """Every choice that a command lists."""
    return [
        words
        for argument, words, _ in tried(command)
        if any(typing.get_origin(kind) is Literal for kind in unions(argument.hint))
    ]


def unions(hint: Any) -> tuple[Any, ...]:
    return (hint, *typing.get_args(hint))


QUICK = ["--image-size", "64", "96", "--restarts", "1", "--no-curve", "--no-compare"]


def without_a_cluster(command: str) -> list[list[str]]:
    return [words for words in choices(command) if words != ["--on", "ray"]]


@pytest.mark.parametrize("words", without_a_cluster("design"), ids=" ".join)
def test_design_does_every_choice(words, mini, capsys):
    more = [] if words[1] == "pyramid" or words[0] == "--k" else ["--k", "3"]
    more += ["--on", "stream"] if words[0] == "--by" else []
    assert run(["design", str(mini), *QUICK, *more, *words]) == 0, capsys.readouterr().err
    assert "For " in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["data", "assign", pytest.param("doctor", marks=pytest.mark.slow), "evaluate"]
)
def test_the_work_does_every_choice(command, mini, tmp_path, capsys):
    results = tmp_path / "r.json"
    results.write_text("[]")
    before = {
        "data": [str(mini), "--show", "2"],
        "assign": ["--data", str(mini), "--image-size", "64", "96", "--strategy", "atss,tal:k=3"],
        "doctor": ["--data", str(mini), "--image-size", "64", "96"],
        "evaluate": ["--data", str(mini), "--results", str(results), "--split", "val"],
    }
    everything = without_a_cluster(command)
    assert len(everything) >= 2
    for words in everything:
        has_none = words[0] == "--detector" and words[1] in NO_ANCHORS
        done, said = run([command, *before[command], *words]), capsys.readouterr().err
        assert done == (2 if has_none else 0), (words, said)
        assert ("has no anchors that could be looked at" in said) == has_none


# -- the parts of a detector, by name, down to the detector made


def made(config: TrainConfig) -> Any:
    return make_detector(config, 3, None)


SMALL = ["--detector", "retinanet", "--options", "width=16,depth=1"]
SAID = {
    "--stride 8 --detector yolov2 --backbone tiny": {"detector": "yolov2", "stride": 8},
    "--assign tal:k=10,beta=4": {"assign": {"name": "tal", "k": 10, "beta": 4}},
    "--detector retinanet --coder distribution:reg_max=8": {
        "detector": "retinanet",
        "coder": {"name": "distribution", "reg_max": 8},
    },
    "--loss box=giou": {"loss": {"box": "giou"}},
    "--loss box=eiou:gamma=0.5": {"loss": {"box": {"name": "eiou", "gamma": 0.5}}},
    "--loss classes=varifocal,rescore=true,box_weight=2": {
        "loss": {"classes": "varifocal", "rescore": True, "box_weight": 2}
    },
    "--loss box=wise_iou:version=1": {"loss": {"box": {"name": "wise_iou", "version": 1}}},
    "--loss quality=none": {"loss": {"quality": None}},
    "--loss objectness=cross_entropy,objectness_rescore=false,background_weight=0.2": {
        "loss": {
            "objectness": "cross_entropy",
            "objectness_rescore": False,
            "background_weight": 0.2,
        }
    },
    "--loss per_object=true": {"loss": {"per_object": True}},
    "--loss weigh_boxes=none": {"loss": {"weigh_boxes": None}},
    "--loss classes=ghm,class_normalise=element": {
        "loss": {"classes": "ghm", "class_normalise": "element"}
    },
    "--selection score=0.01,suppress=soft_nms": {
        "selection": {"score": 0.01, "suppress": "soft_nms"}
    },
    "--selection suppress=soft_nms:sigma=0.3,vote=none,candidates=none": {
        "selection": {
            "suppress": {"name": "soft_nms", "sigma": 0.3},
            "vote": None,
            "candidates": None,
        }
    },
    "--sample hard_negatives:ratio=3": {"sample": {"name": "hard_negatives", "ratio": 3}},
    "--detector yolov2 --options width=32": {"detector": "yolov2", "options": {"width": 32}},
}


@pytest.mark.parametrize(("words", "mapping"), SAID.items(), ids=SAID)
def test_a_flag_and_a_block_of_a_file_make_the_same_detector(words, mapping, trainer, tmp_path):
    (typed,), _ = trainer.last(["train", *words.split()])
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"model": mapping}))
    (from_file,), _ = trainer.last(["train", "--config", str(file)])
    one, other = made(typed), made(from_file)
    assert repr(one.loss.box) == repr(other.loss.box)
    for part in ("assign", "coder", "sample", "selection"):
        assert repr(getattr(one, part)) == repr(getattr(other, part))
    assert repr(one) == repr(other)
    assert [p.shape for p in one.parameters()] == [p.shape for p in other.parameters()]


def config_of(trainer: Recorder, *words: str) -> TrainConfig:
    (config,), _ = trainer.last(["train", *words])
    return config


def test_what_is_said_is_what_is_made(trainer):
    from kedge.losses import Varifocal, giou_loss
    from kedge.select import SoftNMS

    for stride in (8, 16, 32):
        detector = made(config_of(trainer, "--stride", str(stride)))
        assert detector.strides == (stride,)
        detector(list(sample_images()), [target(), target()])["box"].backward()
    detector = made(config_of(trainer, "--assign", "tal:k=10,beta=4"))
    assert (detector.assign.k, detector.assign.beta) == (10, 4.0)
    detector = made(config_of(trainer, *SMALL, "--coder", "distribution:reg_max=8"))
    assert detector.coder.reg_max == 8
    detector(list(sample_images()), [target(), target()])
    assert made(config_of(trainer, "--loss", "box=giou")).loss.box.loss is giou_loss
    chosen = made(config_of(trainer, "--selection", "score=0.01,suppress=soft_nms")).selection
    assert (chosen.score, type(chosen.suppress)) == (0.01, SoftNMS)
    assert made(config_of(trainer, "--sample", "hard_negatives:ratio=3")).sample.ratio == 3
    wide = made(config_of(trainer, "--detector", "yolov2", "--options", "width=32"))
    narrow = made(config_of(trainer, "--detector", "yolov2", "--options", "width=16"))
    assert wide.neck.channels == 2 * narrow.neck.channels
    assert isinstance(
        made(config_of(trainer, "--loss", "classes=varifocal")).loss.classes, Varifocal
    )


def sample_images():
    import torch

    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def target():
    import torch

    return {"boxes": torch.tensor([[10.0, 10, 50, 40]]), "labels": torch.tensor([1])}


NAMED = {
    "assign": [*STRATEGIES],
    "coder": [*CODERS],
    "sample": [*SAMPLERS],
    "loss": [
        *(f"classes={name}" for name in CLASS_TERMS),
        *(f"box={name}" for name in (*BOX_TERMS, *_OVERLAPS)),
        *(f"quality={name}" for name in (*QUALITY_TERMS, "none")),
        *(f"weigh_boxes={name}" for name in (*_WEIGHTS, "none")),
        *(f"normalise={name}" for name in _NORMALISE),
        *(f"class_normalise={name}" for name in (*_NORMALISE, "none")),
    ],
    "selection": [
        *(f"suppress={name}" for name in SUPPRESSIONS),
        *(f"vote={name}" for name in (*VOTES, "none")),
        *(f"{key}={name}" for key in ("top", "apart") for name in ("level", "class", "image")),
    ],
}


@pytest.mark.parametrize("part", NAMED)
def test_every_name_of_every_table_makes_a_detector(part):
    for text in NAMED[part]:
        settings = {"detector": "retinanet", "options": "width=8,depth=1", part: text}
        detector = made(make_config(settings))
        key, _, name = text.rpartition("=")
        asked = getattr(getattr(detector, part), key) if key else getattr(detector, part)
        assert (asked is None) == (name == "none" and key != "suppress"), text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--assing tal", "Unknown option: --assing. Did you mean --assign?"),
        ("--assign tall", "no strategy 'tall'; did you mean 'tal'?"),
        ("--assign tal:kk=10", "strategy tal: unknown setting 'kk'"),
        ("--assign tal:k=ten", "strategy tal: k: expected a number, got 'ten'"),
        ("--assign tal:k", "assign: expected key=value between commas, got 'k'"),
        ("--coder distributoin", "no coder 'distributoin'; did you mean 'distribution'?"),
        ("--coder distribution:reg=8", "coder distribution: unknown setting 'reg'"),
        ("--sample hard_negative", "no sampler 'hard_negative'; did you mean 'hard_negatives'?"),
        ("--loss box=gious", "no box loss 'gious'; did you mean 'giou'?"),
        ("--loss boxes=giou", "loss: unknown setting 'boxes'; did you mean 'box'?"),
        ("--loss box_weight=much", "loss: box_weight: expected a number, got 'much'"),
        ("--loss rescore=perhaps", "loss: rescore: expected true or false, got 'perhaps'"),
        ("--loss objectness=squares", "no objectness 'squares'; did you mean 'squared'?"),
        ("--loss objectness_rescore=1.5", "expected true or false, got '1.5'"),
        ("--detector yolov1 --loss objectness=squared", "says its confidence itself"),
        ("--selection scores=1", "selection: unknown setting 'scores'; did you mean 'score'?"),
        ("--selection suppress=soft_nsm", "no suppress 'soft_nsm'; did you mean 'soft_nms'?"),
        ("--selection top=cell", "selection: top: expected 'level' or 'class' or 'image'"),
        ("--options widht=32", "unknown setting 'widht'; did you mean 'width'?"),
        ("--detector retinnet", "did you mean 'retinanet'?"),
        ("--warmup anneal", "did you mean 'annealed'?"),
        ("--stride eight", "settings: stride: input should be a valid integer"),
        ("--stride 12", "YOLOv2 predicts at stride 8, 16 or 32, got 12"),
        ("--detector retinanet --stride 8", "stride: retinanet has no such setting"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(words, said, mini, tmp_path, capsys):
    before = ["train", "--data", str(mini), "--image-size", "64", "96", "--quiet"]
    assert run([*before, "--out", str(tmp_path / "run"), *words.split()]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_strategies_in_a_list_keep_their_settings(mini, tmp_path, capsys):
    assert listed("atss, tal:k=10,beta=4,fcos:centre_radius=1.5,ranges=[[0,64],[64,128]]") == [
        "atss", "tal:k=10,beta=4", "fcos:centre_radius=1.5,ranges=[[0,64],[64,128]]",
    ]  # fmt: skip
    words = ["assign", "--data", str(mini), "--image-size", "64", "96", "--json"]
    table = tmp_path / "t.json"
    assert run([*words, str(table), "--strategy", "atss,max_iou:positive=0.9,negative=0.1"]) == 0
    names = [row["strategy"] for row in json.loads(table.read_text())["rows"]]
    assert names == ["atss", "max_iou:positive=0.9,negative=0.1"]
    assert run([*words, str(table), "--images", "0"]) == 2
    assert "--images 0, --batch-size 16: both must be at least 1" in capsys.readouterr().err


def test_a_list_has_no_flag_that_empties_it(capsys):
    for command, flag in (("train", "scale"), ("train", "image-size"), ("assign", "image-size")):
        assert run([command, "--data", "toy", f"--empty-{flag}"]) == 2
        assert f"Unknown option: --empty-{flag}" in capsys.readouterr().err


def test_numbers_in_a_file_may_be_words_and_words_numbers(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("schedule: {precision: 16, epochs: '3', lr: 1e-3}\nmodel: {stride: '8'}\n")
    config = load_config(file)
    assert (config.precision, config.epochs, config.lr, config.stride) == ("16", 3, 1e-3, 8)
    with pytest.raises(ValueError, match="precision: input should be"):
        make_config({"precision": True})


def test_options_in_both_ways_add_up(tmp_path):
    """Keys of `model` beyond its settings, and `options`, in one file."""
    file = tmp_path / "c.yaml"
    file.write_text("model: {detector: retinanet, options: {width: 16}, depth: 1}\n")
    config = load_config(file)
    assert config.options == "width=16,depth=1"
    wanted = make_config({"detector": "retinanet", "options": "width=16,depth=1"})
    assert repr(made(config)) == repr(made(wanted))


@pytest.mark.parametrize("detector", ["cornernet", "extremenet", "denet", "ga_rpn", "retinanet"])
def test_what_selects_the_boxes_is_a_setting_of_every_kind_of_detector(detector):
    config = make_config({"detector": detector, "selection": "score=0.25,suppress=nms,most=7"})
    found = make_detector(config, 2).selecting.selection
    assert (found.score, found.most, type(found.suppress).__name__) == (0.25, 7, "NMS")
