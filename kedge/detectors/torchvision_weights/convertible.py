"""Convertible: a detector that torchvision has too, with its weights and what it does to images."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Generic, Self, TypeVar

from torch import Tensor, nn

from kedge.detectors.detector import Detector
from kedge.detectors.torchvision_weights.names import (
    Rename,
    freeze_alike,
    give_weights,
    take_weights,
)
from kedge.detectors.torchvision_weights.parts import (
    Facts,
    make_resize,
    make_selection,
    measure_steps_,
)
from kedge.detectors.torchvision_weights.source import OldNames, Source
from kedge.select import Selection
from kedge.select.by_name import selection_settings

D = TypeVar("D", bound=Detector)


class Conversion(ABC, Generic[D]):
    """How one of torchvision's detectors becomes ours.

    ``first_label``: torchvision's number of our label 0. ``ignored``: how names of tensors begin
    that belong to parts which the detector lacks. ``old``: what names of tensors were in older
    files, a pattern, and what they are now. ``measured``: whether cells stand where torchvision's
    ``AnchorGenerator`` has them.
    """

    first_label: ClassVar[int]
    ignored: ClassVar[tuple[str, ...]] = ()
    old: ClassVar[OldNames] = ()
    measured: ClassVar[bool] = True

    @abstractmethod
    def read(self, source: Source) -> Facts:
        """What the detector is made of: ``make`` takes it, JSON. With ``num_classes``, ``resize``
        and ``selections``, the settings of each by name."""

    @abstractmethod
    def make(self, detector: type[D], facts: Facts) -> D:
        """The detector of ``facts`` with weights of its own."""

    @abstractmethod
    def names(self, detector: D) -> list[Rename]:
        """Names of torchvision's tensors and ours."""

    def selections(self, detector: D) -> dict[str, Selection]:
        """Its selections as they are now, by the names in ``facts``."""
        return {"detections": detector.selection}  # pyright: ignore

    def select(self, detector: D, selections: Mapping[str, Selection]) -> None:
        """Puts ``selections`` in the place of its own."""
        detector.selection = selections["detections"]  # pyright: ignore


class Convertible(Detector):
    """A detector that torchvision has too.

    A subclass names its ``conversion``. ``facts``: what it was made of, where it came from
    torchvision.
    """

    conversion: ClassVar[Conversion[Any]]
    facts: Facts | None = None

    @classmethod
    def from_torchvision(
        cls, model: nn.Module | Mapping[str, Tensor], *, categories: Sequence[str] | None = None
    ) -> Self:
        """The same detector as ``model``, in evaluation mode: it finds the same in an image.

        ``model``: torchvision's detector, or its state dict. The weights are copied, and of a model
        the anchors, the resizing and normalisation of images, thresholds and selection as well. A
        state dict has none of these: they are then those of torchvision's builder of this form.
        ``categories``: the names of torchvision's labels, ``weights.meta["categories"]``.

        ``category_ids`` are torchvision's labels: ``category_ids[0]`` is 1 where it has a
        background class beside the others (Faster R-CNN, SSD), which is no label here, and 0 where
        it has none.

        Raises ``ValueError`` naming the first tensor that is missing, unexpected or of another
        shape, a part that cannot be taken over, or another number of categories.
        """
        rule, where = cls._conversion(), f"{cls.__name__}.from_torchvision"
        source = Source(model, where, ignored=rule.ignored, old=rule.old)
        detector = cls.from_facts(rule.read(source))
        names = rule.names(detector)
        take_weights(detector, source.weights, names, where)
        if source.model is not None:
            freeze_alike(detector, source.model, names, where)
        labels = range(rule.first_label, rule.first_label + detector.num_classes)
        detector.category_ids = tuple(labels)
        if categories is not None:
            if len(categories) != labels.stop:
                raise ValueError(
                    f"{where}: {len(categories)} categories for {labels.stop} labels, background "
                    "included"
                )
            detector.class_names = tuple(categories)[rule.first_label :]
        return detector.eval()

    @classmethod
    def from_facts(cls, facts: Facts) -> Self:
        """The detector of ``facts``, with weights of its own."""
        rule = cls._conversion()
        detector = rule.make(cls, facts)
        detector.resize = make_resize(facts["resize"])
        chosen = {name: make_selection(said) for name, said in facts["selections"].items()}
        rule.select(detector, chosen)
        if rule.measured:
            measure_steps_(detector)
            detector.multiple = detector.resize.multiple
        detector.facts = facts
        return detector

    def described(self) -> Facts:
        """``facts`` with the selections and the resizing of now; ``ValueError`` where it did not
        come from torchvision."""
        if self.facts is None or self.resize is None:
            raise ValueError(f"this {type(self).__name__} did not come from torchvision")
        chosen = self._conversion().selections(self).items()
        said = {name: selection_settings(selection) for name, selection in chosen}
        return self.facts | {"resize": asdict(self.resize), "selections": said}

    def to_torchvision(self) -> dict[str, Tensor]:
        """Its weights as the state dict that torchvision's detector of the same form loads.

        Anchor shapes, thresholds and sizes of images are no part of a state dict. The box codes of
        torchvision's background class, which nobody reads, are zeros.

        Raises ``ValueError`` naming a tensor that torchvision's has no place for.
        """
        where = f"{type(self).__name__}.to_torchvision"
        return give_weights(self, self._conversion().names(self), where)

    @classmethod
    def _conversion(cls) -> Conversion[Any]:
        if "conversion" not in vars(cls):
            raise ValueError(f"torchvision has no {cls.__name__}")
        return cls.conversion
