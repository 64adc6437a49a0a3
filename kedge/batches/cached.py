"""Cached: a rule of geometry on fixed anchors, answered once for each image."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kedge import __version__
from kedge.anchors import Grid
from kedge.assign.predictions_read import takes_predictions
from kedge.assign.shared.without_graph import without_graph
from kedge.batches.answers import Answer, images_of, joined, split
from kedge.counted import count
from kedge.files import replacing
from kedge.types import Anchors, Assigner, Assignment, Predictions, Targets


class Cached:
    """Gives what ``rule`` gives, and computes it once for an image, its anchors and this rule.

    An answer is kept under a digest of all that it depends on: the rule with its settings (its
    ``repr``), the anchors' shapes and places, the image's boxes, labels and crowds as they reach
    the rule, and Kedge's version. Whatever changes, is computed; nothing has to be invalidated by
    hand.

    So only objects that come back bit for bit are answered from the cache: those of images that
    training does not move. A flip is a second answer of an image; random zoom or crops make each
    epoch new, and then the cache costs time and gives none.

    ``folder``: keeps answers beyond this process, one safetensors file each, whole or not there at
    all; processes may share it (the workers of a ``DataLoader``, the ranks of a training).
    ``limit``: bytes of answers kept in memory, the latest used.

    ``hits`` and ``misses`` count images.

    Errors: ``ValueError`` for a rule whose ``repr`` does not say its settings; when it is called,
    for shapes that are being learned, for anchors that differ from image to image, for a rule that
    needs predictions (its own message), for one that is given predictions and takes them, and for
    one that brings losses or weights of the background.
    """

    def __init__(
        self, rule: Assigner, folder: str | Path | None = None, limit: int = 2**28
    ) -> None:
        if _is_unsaid(rule):
            raise ValueError(
                f"Cached: {rule!r} does not say its settings, so answers of others could be taken "
                "for its own: make it a dataclass, or give it a __repr__ or extra_repr with them"
            )
        self.rule, self.limit = rule, limit
        self.folder = None if folder is None else Path(folder)
        self.hits = self.misses = 0
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        where = "" if self.folder is None else f", {str(self.folder)!r}"
        return f"Cached({self.rule!r}{where})"

    @without_graph
    def __call__(
        self, anchors: Anchors[Any], targets: Targets, predictions: Predictions | None = None
    ) -> Assignment:
        """Assigns a whole batch; the rule sees only the images that are new, and no predictions."""
        if predictions is not None and takes_predictions(self.rule):
            raise ValueError(
                f"Cached: {self.rule!r} also chooses by predictions, which an answer that is kept "
                "cannot follow: assign without the cache, or without predictions"
            )
        keys = self._keys(anchors, targets)
        found = [self._read(key, targets.boxes.device) for key in keys]
        new = [image for image, answer in enumerate(found) if answer is None]
        self.hits += len(found) - len(new)
        self.misses += len(new)
        if new:
            answers = split(self.rule(anchors, images_of(targets, new)))
            for image, answer in zip(new, answers, strict=True):
                found[image] = answer
                self._write(keys[image], answer)
        return joined([answer for answer in found if answer is not None], anchors, targets)

    def summary(self) -> str:
        """How many images were answered from the cache: a line."""
        return f"{self.hits:,} of {count(self.hits + self.misses, 'answer')} were there already"

    def _keys(self, anchors: Anchors[Any], targets: Targets) -> list[str]:
        """A digest for each image."""
        if not isinstance(anchors, Grid):
            raise ValueError("Cached: these anchors differ from image to image; nothing comes back")
        if anchors.shapes.requires_grad:
            raise ValueError("Cached: these shapes are being learned; nothing comes back")
        common = hashlib.blake2b(digest_size=20)
        places = [
            (level.strides, level.offset, size, level.measured)
            for level, size in zip(anchors.levels, anchors.sizes)
        ]
        common.update(f"{__version__} {self.rule!r} {anchors.image_size} {places}".encode())
        common.update(f" {anchors.shapes_per_level}".encode() + _bytes(anchors.shapes))
        objects = targets.count.tolist()
        columns = (targets.boxes, targets.labels, targets.ignore)
        keys = []
        for part in zip(*(column.detach().cpu().split(objects) for column in columns)):
            digest = common.copy()
            for column in part:
                digest.update(f"{column.dtype}".encode() + _bytes(column))
            keys.append(digest.hexdigest())
        return keys

    def _read(self, key: str, device: torch.device) -> Answer | None:
        answer = self._kept.get(key)
        if answer is not None:
            self._kept.move_to_end(key)
        elif self.folder is not None and self._file(key).exists():
            try:
                answer = load_file(self._file(key))
            except (OSError, SafetensorError):
                return None  # damaged, or gone meanwhile: computed and written anew
            self._keep(key, answer)
        return None if answer is None else {n: part.to(device) for n, part in answer.items()}

    def _write(self, key: str, answer: Answer) -> None:
        small = {name: part.detach().cpu().contiguous() for name, part in answer.items()}
        self._keep(key, small)
        if self.folder is not None:
            self._file(key).parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file(key)) as part:
                save_file(small, part)

    def _keep(self, key: str, answer: Answer) -> None:
        self._kept[key] = answer
        self._bytes += _size(answer)
        while self._bytes > self.limit:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def _file(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"


def _is_unsaid(rule: Assigner) -> bool:
    """Whether ``repr(rule)`` leaves out settings: an address stands for them, or a module's bare
    name."""
    return " at 0x" in repr(rule) or any(
        type(part).__repr__ is nn.Module.__repr__ and type(part).extra_repr is nn.Module.extra_repr
        for part in (rule.modules() if isinstance(rule, nn.Module) else ())
    )


def _bytes(values: Tensor) -> bytes:
    return values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _size(answer: Answer) -> int:
    return sum(part.nbytes for part in answer.values())
