"""Context: what the checks look at, and the facts that several of them share, computed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from kedge.data import Data, read
from kedge.design.balance import Balance, balanced
from kedge.doctor.answers import Answers, Overlaps, answer, overlaps
from kedge.doctor.objects import Objects, as_seen, pack
from kedge.doctor.setup import USUAL_SIZE, Setup

if TYPE_CHECKING:
    from kedge.doctor.probe import Probe
    from kedge.doctor.records import RunRecords

_IMAGES, _OBJECTS = 2_000, 20_000  # looked at with anchors; shares are then known to half a percent
_SWEEP_OBJECTS = 4_000
_DESIGN_OBJECTS = 2_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """One data set, and what it meets.

    ``data`` read with ``on_bad_box="drop"``, so that its findings tell of every bad box. ``setup``:
    anchors, assignment, coder; None: only the data are looked at. ``run``: the records of a
    training run; ``held_out``: images to try its detector on (None: those of ``data``).
    ``input_size`` (H, W): the network's input where no setup says it. ``words``: how the command
    line names all this, for the commands in cures.
    """

    data: Data
    setup: Setup | None = None
    run: "RunRecords | None" = None
    held_out: Data | None = None
    input_size: tuple[int, int] = USUAL_SIZE
    seed: int = 0
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def image_size(self) -> tuple[int, int]:
        """(H, W) of the network's input: the setup's, where there is one."""
        return self.input_size if self.setup is None else self.setup.image_size

    # -- the data

    @cached_property
    def objects(self) -> Objects:
        """All objects, in pixels of the images."""
        return pack(self.data.records)

    @cached_property
    def names(self) -> list[str]:
        """Name of every image."""
        return [record.name or f"image {record.image_id}" for record in self.data.records]

    @cached_property
    def seen(self) -> Objects:
        """All objects, in pixels of the network's input."""
        return as_seen(self.objects, self.image_size)

    @cached_property
    def other_splits(self) -> dict[str, Data]:
        """The data set's other splits, by name; none where the data did not come from files, or the
        others cannot be read."""
        names = [name for name in self.data.splits if name != self.data.split]
        found = {name: _other_split(self.data, name) for name in names}
        return {name: data for name, data in found.items() if data is not None}

    @property
    def source(self) -> str:
        """The data as a command line names it."""
        return self.words.get("data", self.data.source)

    # -- the anchors

    @cached_property
    def chosen(self) -> NDArray[np.int64]:
        """The images looked at with anchors (ascending): all, or a sample by seed."""
        images, count = (
            len(self.data.records),
            np.bincount(self.objects.image, minlength=len(self.data.records)),
        )
        order = np.random.default_rng(self.seed).permutation(images)
        fits = int((count[order].cumsum() <= _OBJECTS).sum())
        return np.sort(order[: max(1, min(_IMAGES, fits))]) if images else order

    @property
    def sampled(self) -> bool:
        """Whether some images were left out."""
        return len(self.chosen) < len(self.data.records)

    @cached_property
    def sample(self) -> Objects:
        """The objects of ``chosen`` images, in pixels of the network's input."""
        return self.seen.of_images(self.chosen)

    @cached_property
    def fair(self) -> Objects:
        """The sample without crowds: the objects that ``answers`` is about, in its order."""
        return self.sample.fair

    @cached_property
    def sample_names(self) -> list[str]:
        """Names of the chosen images."""
        return [self.names[i] for i in self.chosen]

    @cached_property
    def answers(self) -> Answers:
        """What the anchors make of the sample."""
        return answer(self._setup, self.sample)

    @cached_property
    def few(self) -> Objects:
        """A part of the sample, for what is expensive."""
        count = np.bincount(self.sample.image, minlength=len(self.chosen)).cumsum()
        images = max(1, int((count <= _SWEEP_OBJECTS).sum()))
        return self.sample.of_images(np.arange(min(images, len(self.chosen))))

    @cached_property
    def overlaps(self) -> Overlaps:
        """All anchors near objects, of ``few``."""
        return overlaps(self._setup, self.few)

    @property
    def _setup(self) -> Setup:
        if self.setup is None:
            raise ValueError("these checks need a Setup: which anchors meet the objects?")
        return self.setup

    # -- what a better design would do

    @cached_property
    def designed(self) -> "Designed | None":
        """Other shapes for the same levels, judged on images that the design did not see; None for
        points."""
        if self._setup.points:
            return None
        return design_for(self._setup, self.sample, self.seed)

    # -- the run

    @cached_property
    def probe(self) -> "Probe | None":
        """What the run's detector says about a few images; None without weights or pixels."""
        if self.run is None:
            return None
        from kedge.doctor.probe import probe

        return probe(self.run, self.data if self.held_out is None else self.held_out, self.seed)

    def note_of_sample(self) -> dict[str, Any]:
        """Evidence that every check of anchors begins with."""
        if not self.sampled:
            return {}
        return {
            "objects": len(self.fair),
            "images": len(self.chosen),
            "sample_of_images": len(self.data.records),
        }


def _other_split(data: Data, name: str) -> Data | None:
    """The split ``name`` of the data set that ``data`` is of: its source is the folder, or the file
    of annotations in it."""
    file = Path(data.source)
    for place in (file, *file.parents[:2]):
        if place.is_dir() or place.suffix in (".yaml", ".yml"):
            try:
                found = read(place, name, "drop", check_images=False, root=data.root)
            except ValueError:
                continue
            if found.splits == data.splits:
                return found
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Designed:
    """Shapes designed on half of the images; ``before`` and ``after`` are the answers of the old
    and the new shapes for the ``objects`` of the other half."""

    setup: Setup
    objects: Objects
    before: Answers
    after: Answers


def halves(sample: Objects) -> tuple[Objects, Objects]:
    """The fair objects of every other image, and the objects of the other images; all for both
    where there are fewer than four."""
    images = len(sample.size)
    even = np.arange(images) % 2 == 0 if images >= 4 else np.ones(images, bool)
    held = sample.of_images(np.flatnonzero(~even if images >= 4 else even))
    return sample.where(even[sample.image]).fair, held


def design_for(
    setup: Setup,
    sample: Objects,
    seed: int = 0,
    restarts: int = 4,
    balance: Balance = "objects",
) -> Designed | None:
    """As many shapes on the same levels, designed for ``sample``: for the share of objects that
    reach the threshold where positives are a matter of it, else for the mean best IoU.
    ``balance``: what counts the same, every object or every class.

    Half of the images are designed on, half are judged on; all for both where there are fewer than
    four. None without objects.
    """
    from kedge.design import fit

    train, held = halves(sample)
    if len(train) == 0 or len(held.fair) == 0:
        return None
    rng = np.random.default_rng(seed)
    part = rng.permutation(len(train))[:_DESIGN_OBJECTS]
    grid = setup.grid
    counts = grid.shapes_per_level
    found = fit(
        train.wh[part],
        grid.num_shapes,
        "placed" if setup.thresholded else "mean_iou",
        image_size=setup.image_size,
        strides=setup.strides,
        per_level=counts,
        offset=float(grid.levels[0].offset),
        centres=train.centres[part],
        threshold=setup.threshold if setup.thresholded else None,
        restarts=restarts,
        weights=balanced(train.label[part], balance),
        seed=seed,
    )
    assert found.levels is not None
    shapes = torch.tensor([pair for level in found.levels for pair in level.shapes])
    new = setup.with_shapes(shapes)
    return Designed(
        setup=new, objects=held.fair, before=answer(setup, held), after=answer(new, held)
    )
