"""The static form of a detector of two stages: always as many proposals, those beyond the real ones
with a score of nothing."""

import torch
from torch import Tensor

from kedge.anchors import Grid
from kedge.boxes import clipped, sizes
from kedge.detectors.images import pad_to_multiple
from kedge.detectors.two_stage import TwoStage
from kedge.export.fixed_selection import Padded, select_fixed
from kedge.export.static import Answers, OnGrid, decoded, picked


class StaticTwoStage(OnGrid):
    """Of a detector whose second stage answers at the proposals of the first; every answer is a
    proposal, and there is one level."""

    detector: TwoStage

    def __init__(self, detector: TwoStage, size: tuple[int, int], grid: Grid | None = None) -> None:
        last = detector.heads[-1]
        super().__init__(detector, size, last.coder, detector.regions.selection, grid)
        self.first_levels = self.levels
        self.levels = (self._proposing.most,)

    @property
    def _proposing(self):
        return self.detector.proposals.selections[False]

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        said = self.answers(images)
        return {"scores": said.scores, "codes": said.codes, "proposals": said.anchors}

    def answers(self, images: Tensor) -> Answers:
        maps = self.detector.features(pad_to_multiple(images, self.detector.multiple))
        found = self._proposals(maps, images)
        batch, count = found.scores.shape
        image = torch.arange(batch, device=images.device)[:, None].expand(batch, count).flatten()
        boxes, said = found.boxes.flatten(0, 1), []
        codes, before = boxes, boxes
        for head in self.detector.heads:
            before = boxes
            logits, codes = head.layers(head.pool(maps, boxes, image))
            said.append(head.loss.class_scores.probability(logits))
            if codes.shape[1] == head.coder.code_size:
                boxes = self._within(head.coder.decode(boxes, codes, sizes(boxes)))
            else:
                codes = codes.unflatten(1, (-1, head.coder.code_size))
        real = torch.arange(count, device=images.device) < found.count[:, None]
        scores = torch.stack(said).mean(0).unflatten(0, (batch, count))
        scores = torch.where(real[..., None], scores, torch.zeros_like(scores))
        anchors = before.unflatten(0, (batch, count))
        return Answers(scores, codes.unflatten(0, (batch, count)), anchors, sizes(anchors))

    def _proposals(self, maps: list[Tensor], images: Tensor) -> Padded:
        said = self.first(maps, images)

        def boxes_at(rows: Tensor, labels: Tensor) -> Tensor:
            del labels  # of the one class
            columns = (picked(x, rows) for x in (said.anchors, said.codes, said.strides))
            return decoded(self.detector.proposals.coder, *columns)

        return select_fixed(
            self._proposing,
            said.scores,
            boxes_at,
            levels=self.first_levels,
            size=self.size,
        )

    def first(self, maps: list[Tensor], images: Tensor) -> Answers:
        """What the first stage says at every anchor."""
        said = self.detector.proposals.predict(maps, self.grid)
        scores = said.classes.probability(said.logits)
        return Answers(scores, said.codes, *self.of_grid(images))

    def _within(self, boxes: Tensor) -> Tensor:
        return clipped(boxes, boxes.new_tensor([self.size]))
