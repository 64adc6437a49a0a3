"""torchvision's SSD: ssd300_vgg16 and ssdlite320_mobilenet_v3_large."""

from typing import Any, ClassVar

from kedge.anchors import preset
from kedge.assign.ssd_match import SSDMatch
from kedge.detectors.torchvision_weights.convertible import Conversion
from kedge.detectors.torchvision_weights.names import Rename, background_last, renames
from kedge.detectors.torchvision_weights.parts import Facts, dense_selection
from kedge.detectors.torchvision_weights.source import Source
from kedge.sample import HardNegatives

_HEADS = {"classification_head": "output.classes", "regression_head": "output.codes"}


class MultiBoxConversion(Conversion[Any]):
    """Background is torchvision's label 0 and none here: labels are one less.

    Of a model sizes of default boxes and the matching threshold are taken over; the maps must be
    those of the published network, and colours normalised as there.
    """

    first_label = 1
    measured = False
    backbone: ClassVar[str]
    body: ClassVar[dict[str, str]]  # names of its tensors
    published: ClassVar[str]  # preset of the default boxes
    colours: ClassVar[tuple[float, float]]  # the first channel's mean and standard deviation
    last: ClassVar[str]  # the last layer of a head's level: weights of the classes themselves
    overlap: ClassVar[float]
    score: ClassVar[float]
    counts: ClassVar[tuple[int, int]]  # candidates of a class, and detections of an image

    def read(self, source: Source) -> Facts:
        known = preset(self.published)
        codes = source.shape(f"head.regression_head.module_list.0.{self.last}weight")[0]
        classes = source.shape(f"head.classification_head.module_list.0.{self.last}weight")[0]
        self._check(source)
        return {
            "num_classes": classes // (codes // 4) - 1,
            "shapes": self._shapes(source, [level.shapes for level in known.levels]),
            "resize": {"size": self._side(source, known.image_size)},
            "match": source.setting("proposal_matcher.high_threshold", 0.5),
            "ratio": source.setting("neg_to_pos_ratio", 3.0),
            "selections": {
                "detections": {
                    **dense_selection(source, self.score, self.overlap, *self.counts),
                    "top": "class",
                }
            },
        }

    def _side(self, source: Source, size: tuple[int, int]) -> list[int]:
        """The sides of the published network's images; ``ValueError`` for others."""
        fixed = source.setting("transform.fixed_size", size)
        if tuple(fixed) != size:
            raise ValueError(f"{source.where}: images of {tuple(fixed)}, not {size}")
        return list(size)

    def _check(self, source: Source) -> None:
        mean = source.setting("transform.image_mean", [self.colours[0]])
        std = source.setting("transform.image_std", [self.colours[1]])
        if abs(mean[0] - self.colours[0]) > 1e-6 or abs(std[0] - self.colours[1]) > 1e-6:
            raise ValueError(
                f"{source.where}: colours are normalised by {mean} and {std}, not as published"
            )

    def _shapes(self, source: Source, published: list[Any]) -> list[list[list[float]]]:
        generator = source.setting("anchor_generator", None)
        if generator is None:
            return [[[w, h] for w, h in level] for level in published]
        shares = [level.clamp(0, 1) if generator.clip else level for level in generator._wh_pairs]
        height, width = preset(self.published).image_size
        return [(level * level.new_tensor([width, height])).tolist() for level in shares]

    def make(self, detector: type[Any], facts: Facts) -> Any:
        return detector(
            num_classes=facts["num_classes"],
            shapes=facts["shapes"],
            backbone=self.backbone,
            assign=SSDMatch(positive=facts["match"]),
            sample=HardNegatives(ratio=facts["ratio"], empty_image=0),
        )

    def names(self, detector: Any) -> list[Rename]:
        table = dict(self.body)
        special = []
        for theirs, ours in _HEADS.items():
            for number, shapes in enumerate(detector.output.shapes):
                there = f"head.{theirs}.module_list.{number}."
                table[there] = f"{ours}.{number}."
                if theirs == "classification_head":
                    special.append(
                        Rename(
                            theirs=there + self.last,
                            ours=f"{ours}.{number}.{self.last}",
                            **background_last(shapes),
                        )
                    )
        return [*special, *renames(table)]


class SSDConversion(MultiBoxConversion):
    """SSD300 behind VGG-16."""

    published, backbone, last = "ssd300", "vgg16", ""
    colours = (0.48235, 1 / 255)
    score, overlap, counts = 0.01, 0.45, (400, 200)
    body: ClassVar = {
        "backbone.scale_weight": "backbone.backbone.norms.8.weight",
        "backbone.features.": "backbone.backbone.features.",
        "backbone.extra.0.1.": "backbone.backbone.features.24.",
        "backbone.extra.0.3.": "backbone.backbone.features.26.",
        "backbone.extra.0.5.": "backbone.backbone.features.28.",
        "backbone.extra.0.7.": "backbone.backbone.fc.",
        **{f"backbone.extra.{i + 1}.": f"backbone.extra.{i}." for i in range(5)},
    }


class SSDLiteConversion(MultiBoxConversion):
    """SSDLite320 behind MobileNetV3."""

    published, backbone, last = "ssdlite320", "mobilenet_v3_large", "1."
    colours = (0.5, 0.5)
    score, overlap, counts = 0.001, 0.55, (300, 300)
    body: ClassVar = {
        "backbone.features.": "backbone.backbone.features.",
        "backbone.extra.": "backbone.extra.",
    }
