"""What an assignment did in a training step, for the log: positives, and who makes the loss."""

import torch

from kedge.detectors.stage import Outcome
from kedge.ranks import over_ranks


def step_facts(outcome: Outcome) -> dict[str, float]:
    """``objects`` that count, ``answered``: those with a positive, ``positives``: pairs; and
    ``background_share`` of the class loss, where the loss knows it. Of one batch, all ranks
    together; nothing for a detector without anchors."""
    if outcome.assignment is None:
        return {}
    counts = [
        int((~outcome.assignment.targets.ignore).sum()),
        len(outcome.assignment.target.unique()),
        len(outcome.assignment),
    ]
    total = over_ranks(torch.tensor(counts)).tolist()
    facts: dict[str, float] = dict(zip(("objects", "answered", "positives"), total))
    if outcome.background_share is not None:
        facts["background_share"] = float(outcome.background_share)
    return facts
