"""``Sample.keep``: the loss of the sampled boxes alone is the loss of the sample of all of them."""

import pytest
import torch

from kedge.anchors import Boxes
from kedge.coders import DeltaCoder
from kedge.losses import DenseLoss
from kedge.sample import RandomSample
from kedge.types import Assignment, ClassWeights, Predictions, Targets


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_the_sample_alone_costs_what_it_costs_among_all(seed, weighted):
    g = torch.Generator().manual_seed(seed)

    def boxes(count):
        corner = torch.rand(count, 2, generator=g) * 50
        return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=g) * 20], 1)

    proposals = Boxes.from_list([boxes(7), boxes(0), boxes(12)])
    targets = Targets.from_list(
        [{"boxes": boxes(n), "labels": torch.zeros(n).long()} for n in (2, 1, 3)]
    )
    listed = ClassWeights(
        torch.arange(19).repeat_interleave(2),
        torch.tensor([0, 1]).repeat(19),
        torch.rand(38, generator=g),
    )
    assignment = Assignment(
        anchor=torch.tensor([1, 4, 9, 9, 17]), target=torch.tensor([0, 1, 3, 4, 5]),
        weight=torch.rand(5, generator=g), quality=torch.rand(5, generator=g),
        ignored=torch.tensor([0, 12]), targets=targets, anchors=proposals,
        background_weight=listed if weighted else None,
    )  # fmt: skip
    said = {
        "logits": torch.randn(19, 2, generator=g),
        "codes": torch.randn(19, 4, generator=g) / 10,
    }
    loss, coder = DenseLoss(), DeltaCoder()
    sample = RandomSample(size=6, positive_share=0.34)(assignment, generator=g)
    assert 0 < len(sample.positive) < 5
    whole = loss(Predictions(**said, anchors=proposals, coder=coder), assignment, sample)
    kept, chosen, all_of_it = sample.keep(proposals, assignment)
    rows = torch.cat([assignment.anchor[sample.positive], sample.negative]).unique()
    few = Predictions(
        **{name: values[rows] for name, values in said.items()}, anchors=kept, coder=coder
    )
    alone = loss(few, chosen, all_of_it)
    assert len(chosen.ignored) == 0
    assert torch.equal(kept.boxes(), proposals.boxes(rows))
    for name, value in whole.terms.items():
        torch.testing.assert_close(alone.terms[name], value)
