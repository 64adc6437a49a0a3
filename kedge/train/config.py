"""Settings of a training run: five blocks, from a YAML file, the command line, or Python.

In a file the settings stand in their blocks (``data``, ``model``, ``schedule``, ``output``,
``machines``); flags and Python name them directly. Needs pydantic only; nothing here imports torch.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from kedge.detectors import DETECTORS
from kedge.parts import near, text_of
from kedge.shape_text import is_design_file, is_shapes, parse_shapes, parse_size


def _shapes_as_text(value: Any) -> Any:
    """``[[10, 13], [16, 30]]`` (YAML) and ``["10x13", "16x30"]`` become ``"10x13,16x30"``."""
    if not isinstance(value, (list, tuple)):
        return value
    words = []
    for shape in value:
        if isinstance(shape, str):
            words.append(shape)
        elif isinstance(shape, (list, tuple)) and len(shape) == 2:
            words.append("x".join(repr(float(side)) for side in shape))
        else:
            raise ValueError(f"a shape is [w, h] or 'WxH' in pixels, got {shape!r}")
    return ",".join(words)


def as_size(value: Any) -> Any:
    """One number stands for a square; "480x640", and words, for height and width."""
    words = [value] if isinstance(value, str) else value
    if isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words):
        return parse_size(" ".join(words))
    return (value, value) if isinstance(value, int) else value


def _as_text(value: Any) -> Any:
    """A part as a mapping (YAML) becomes the text that the command line takes."""
    return value if value is None or isinstance(value, str) else text_of(value)


def _word(value: Any) -> Any:
    """A number in a file, where words and numbers are both choices: 16 is "16"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataSettings(BaseModel):
    """What to train on, and how images reach the network."""

    model_config = _STRICT

    data: str = ""
    """Data set: a folder or file (COCO JSON, Pascal VOC, YOLO; the format is found out), or toy."""
    root: Path | None = None
    """The data folder, where it is not the one in which the annotations lie: images are looked for
    in it, and nowhere else."""
    train_split: str | None = None
    """Split to train on; by default train, or the only one, or all of a set without splits."""
    eval_split: str | None = None
    """Split to score on; by default val, else test, else none."""
    on_bad_box: Literal["error", "drop", "clip"] = "error"
    """What to do with a box that cannot be right."""
    image_size: Annotated[tuple[int, int], BeforeValidator(as_size)] = (256, 320)
    """Side, or height and width, of the network's input; images are letterboxed into it."""
    crop: Annotated[tuple[int, int] | None, BeforeValidator(as_size)] = None
    """Side, or height and width, of what is cut from each image for training, at a random place, at
    the scale that image_size gives it; whole images are scored. By default whole images."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    scale: tuple[float, float] = (0.8, 1.2)
    """Range of random zoom."""
    colour: float = Field(0.2, ge=0, le=1)
    """Strength of brightness, contrast and saturation jitter."""
    cache: bool = True
    """Keep decoded images in memory."""
    proposals: Path | None = None
    """File (npz) that keeps what a source of proposals found, for fast_rcnn and rcnn; it is made,
    or added to. By default proposals.npz in the run's folder."""
    workers: int = Field(0, ge=0, le=256)
    """Processes that load images; 0: the training process itself."""

    @field_validator("image_size", "crop")
    @classmethod
    def _sides(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is None:
            return None
        if min(value) < 32 or any(side % 32 for side in value):
            raise ValueError("height and width must be positive multiples of 32")
        return value

    @field_validator("scale")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("the range of zoom must be 0 < low <= high")
        return value


class ModelSettings(BaseModel):
    """Which detector, of which parts, with which anchors."""

    model_config = _STRICT

    detector: Literal[*DETECTORS] = "yolov2"  # pyright: ignore
    """Detector."""
    backbone: str = "tiny"
    """tiny, darknet19, darknet24, darknet53, cspdarknet_s, cspnext_s (and _tiny, _m, _l, _x), or a
    name of timm's."""
    stride: int | None = None
    """Step of the one map that a detector predicts on: YOLOv1, YOLOv2, YOLOF (by default 16 for
    tiny), CornerNet, ExtremeNet (8 for tiny, else 4) and DeNet (8)."""
    pretrained: bool = False
    """Start a timm backbone from its published weights (downloads them)."""
    assign: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Assignment strategy, by name with settings where wanted: atss, tal:k=10,beta=4; by default
    the detector's own."""
    assign_cache: Path | None = None
    """Folder that keeps what a strategy of geometry answered, for fixed anchors; one that looks at
    predictions too (yolov3, best_in_cell, uniform) is refused. It pays where images come back
    unmoved: scale 1 1, and images of the shape of image_size; a flip is kept as an answer of its
    own."""
    coder: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Box coder: delta, ltrb, distribution:reg_max=8 ...; by default the detector's own."""
    sample: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Sampler: hard_negatives:ratio=3, random:size=256 ...; by default the detector's own."""
    loss: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Terms of the loss in place of the detector's: classes=varifocal,box=giou. Of two stages this,
    assign, coder and sample are the first's."""
    selection: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Settings of the selection of boxes: score=0.01,suppress=soft_nms,most=300; of two stages of
    the last."""
    regions: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Parts of the second stage, where there is one: assign=[max_iou:positive=0.6],sample=ohem,
    loss=[box=giou]."""
    options: Annotated[str | None, BeforeValidator(_as_text)] = None
    """Other keyword arguments of the detector: width=128,depth=2."""
    anchors: Annotated[str, BeforeValidator(_shapes_as_text)] = "kmeans"
    """Shapes to start from: kmeans (of the training boxes as the network sees them), uniform,
    identical, a published preset, a file of kedge design --json, or a list such as 10x13,16x30
    (w x h, pixels; YOLOv5's and darknet's syntax too)."""
    num_anchors: int | None = Field(None, ge=1, le=100)
    """Shapes per level, where `anchors` does not say; by default as many as the detector has."""
    balance: Literal["objects", "classes"] = "objects"
    """What counts the same where shapes are chosen for the data (kmeans; learned shapes by the
    warm-ups placed and annealed): every object, or every class, as in a mean AP."""
    anchor_scale: float = Field(1.0, gt=0)
    """Multiplies the shapes to start from: 0.25 makes a deliberate mismatch."""
    learn_anchors: bool = False
    """Learn the shapes (Zhong et al., arXiv:1812.00469)."""
    warmup: Literal["auto", "placed", "annealed", "gradient", "none"] = "auto"
    """How learned shapes leave a bad start: placed (on a pyramid designed for the objects of
    the first batches and the cells of each level; on one level annealed), annealed (online EM of
    their sizes; both forget the start), gradient (the paper's), none; auto: none where the start
    was chosen for the data (kmeans, a file of kedge design), else placed."""
    warmup_steps: float = Field(0.15, gt=0)
    """Length of that warm-up: steps (1 or more), or a share of all steps (below 1), then 100 steps
    at least, but never more than half of the run."""
    soft: bool = True
    """Gradient warm-up: assign softly, with a falling temperature."""
    clustering: bool = True
    """Gradient warm-up: add the online clustering term."""
    scale_only_bn: bool = False
    """YOLOv2: batch norm without shift on the size outputs, the paper's third aid. Off: no gain was
    seen."""

    @property
    def shape_warmup(self) -> Literal["placed", "annealed", "gradient", "none"]:
        """`warmup`, where it is said; else what the start asks for."""
        if self.warmup != "auto":
            return self.warmup
        chosen = self.anchors == "kmeans" or is_design_file(self.anchors)
        return "none" if chosen and self.anchor_scale == 1 else "placed"

    @field_validator("anchors")
    @classmethod
    def _anchors(cls, value: str) -> str:
        if is_shapes(value) or ("," in value and any(c.isdigit() for c in value)):
            parse_shapes(value)
        return value

    @property
    def explicit_shapes(self) -> list[tuple[float, float]] | None:
        """The listed shapes (w, h), or None where `anchors` is a name."""
        return parse_shapes(self.anchors) if is_shapes(self.anchors) else None


class ScheduleSettings(BaseModel):
    """How long and how it is trained."""

    model_config = _STRICT

    epochs: int = Field(40, ge=1)
    """Passes over the training split."""
    batch_size: int = Field(8, ge=1)
    """Images per step, of all processes together."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """Optimiser."""
    lr: float = Field(4e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(0.05, ge=0)
    """Weight decay (never on biases, norms or shapes)."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum (first beta of adamw)."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Learning rate over the run: cosine to 1 %, tenths at 2/3 and 8/9, or constant."""
    lr_warmup: float = Field(0.1, ge=0)
    """Linear rise of the learning rate: steps (1 or more) or a share of all steps (below 1)."""
    anchor_lr: float = Field(0.1, ge=0)
    """Learning rate of the shapes, as a multiple of `lr`."""
    grad_clip: float = Field(10.0, ge=0)
    """Largest norm of the gradient; 0: no limit."""
    ema: float = Field(0.98, ge=0, lt=1)
    """Decay of the moving average of the weights that is evaluated and saved; 0: none."""
    precision: Annotated[Literal["auto", "32", "bf16", "16"], BeforeValidator(_word)] = "32"
    """Number format: 32; automatic mixed precision with bf16 or 16; auto: bf16 where the hardware
    has it."""
    seed: int = Field(0, ge=0, lt=2**31)
    """The same seed and machine give the same weights."""


class OutputSettings(BaseModel):
    """Where a run goes, and how often it says so."""

    model_config = _STRICT

    out: Path = Path("runs/train")
    """Folder of the run."""
    eval_every: int = Field(0, ge=0)
    """Score every so many epochs; 0: at the end only."""
    save_every: int = Field(1, ge=1)
    """Write the checkpoint to resume from every so many epochs."""
    log_every: int = Field(10, ge=1)
    """Write losses every so many steps."""


class MachineSettings(BaseModel):
    """How many processes train, and where."""

    model_config = _STRICT

    devices: int = Field(1, ge=1)
    """Processes of each machine: GPUs, or processors where there is none. Each takes its share of
    every batch."""
    nodes: int = Field(1, ge=1)
    """Machines; each runs the same command (under Slurm, srun starts it), and all see --out."""
    strategy: Literal["ddp"] = "ddp"
    """How several processes train one detector: ddp, each has all of it, and gradients are
    averaged."""
    sync_batchnorm: bool = False
    """Batch norm over the images of all processes (CUDA only); else each has the statistics of its
    own share, and the first one's are kept."""

    @property
    def ranks(self) -> int:
        """Processes of all machines."""
        return self.devices * self.nodes


class TrainConfig(MachineSettings, OutputSettings, ScheduleSettings, ModelSettings, DataSettings):
    """What to train, on what, and how. Every field is a key of a block of the YAML file and a
    flag."""

    @property
    def proposals_file(self) -> Path:
        """Where proposals of a source are kept."""
        return self.out / "proposals.npz" if self.proposals is None else self.proposals

    def steps_of(self, length: float, total: int) -> int:
        """A length in steps: itself, or a share of `total` when below 1."""
        return round(length * total) if length < 1 else round(length)


BLOCKS: dict[str, type[BaseModel]] = {
    "data": DataSettings,
    "model": ModelSettings,
    "schedule": ScheduleSettings,
    "output": OutputSettings,
    "machines": MachineSettings,
}
_IN_FILES = {"data": "source", "schedule": "curve"}  # fields that are called like their block


def load_config(path: Path | str | None, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """The settings of a YAML file, with `overrides` (flags) on top.

    Raises ``ValueError`` that names file and key for a file that is not a mapping of blocks, an
    unknown key or a value that does not fit.
    """
    source = str(path or "settings")
    values = {} if path is None else _flat(_read_yaml(Path(path)), source)
    return make_config(values | (overrides or {}), source=source)


def _flat(blocks: dict[str, Any], source: str) -> dict[str, Any]:
    """The settings of a file's blocks by name. What `model` has beyond them are options
    of the detector."""
    values: dict[str, Any] = {}
    for block, settings in blocks.items():
        if block not in BLOCKS:
            raise ValueError(f"{source}: {_misplaced(block)}")
        if not isinstance(settings, dict):
            raise ValueError(f"{source}: {block}: expected a mapping, got {settings!r:.60}")
        own = {_IN_FILES.get(name, name): name for name in BLOCKS[block].model_fields}
        options = {}
        for key, value in settings.items():
            name = str(key)
            if name in own:
                values[own[name]] = value
            elif block == "model" and difflib.get_close_matches(name, own, 1, 0.85) == []:
                options[name] = value
            else:
                hint = near(name, own) or _elsewhere(name)
                raise ValueError(f"{source}: {block}: unknown key {name!r}{hint}")
        if options:
            listed = values.get("options")  # said in both ways
            values["options"] = ",".join(text_of(part) for part in (listed, options) if part)
    return values


def _elsewhere(name: str) -> str:
    for block, model in BLOCKS.items():
        if name in model.model_fields:
            return f"; it belongs to {block}"
    return ""


def _misplaced(key: str) -> str:
    """What is wrong with a first word that is no block."""
    found = _elsewhere(key)
    if found:
        return f"{key!r} stands outside of the blocks{found}"
    hint = near(key, [*BLOCKS, *TrainConfig.model_fields])
    return f"unknown key {key!r}{hint} (a file has the blocks {', '.join(BLOCKS)})"


def make_config(values: dict[str, Any], source: str = "settings") -> TrainConfig:
    """``TrainConfig(**values)`` with errors of one line that name `source` and the key."""
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise ValueError(explain(error, source)) from None


def explain(error: ValidationError, source: str) -> str:
    """What is wrong, a key at a time, in one line."""
    parts = []
    for problem in error.errors():
        key = str(problem["loc"][0]) if problem["loc"] else "?"
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {key!r}{near(key, TrainConfig.model_fields)}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            hint = near(str(problem["input"]), _choices(key))
            parts.append(f"{key}: {message} (got {problem['input']!r}){hint}")
    return f"{source}: " + "; ".join(dict.fromkeys(parts))


def _choices(key: str) -> tuple[str, ...]:
    """The words that a key may take, where they are listed."""
    field = TrainConfig.model_fields.get(key)
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


def save_config(config: TrainConfig, path: Path) -> None:
    """Write the settings as YAML that ``load_config`` reads back unchanged."""
    import yaml

    from kedge.files import write_text

    values = config.model_dump(mode="json")
    blocks = {
        block: {_IN_FILES.get(name, name): values[name] for name in model.model_fields}
        for block, model in BLOCKS.items()
    }
    text = yaml.safe_dump(blocks, sort_keys=False, default_flow_style=None)
    write_text(path, text)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as YAML: {reason}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of keys to values, got {values!r:.60}")
    return {str(key): value for key, value in values.items()}
