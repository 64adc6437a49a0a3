"""What an assignment did in a training step, for the log: positives, and who makes the loss."""

from kedge.detectors.stage import Outcome


def step_facts(outcome: Outcome) -> dict[str, float]:
    """``objects`` that count, ``answered``: those with a positive, ``positives``: pairs; and
    ``background_share`` of the class loss, where the loss knows it. Of one batch; nothing for a
    detector without anchors."""
    if outcome.assignment is None:
        return {}
    facts: dict[str, float] = {
        "objects": int((~outcome.assignment.targets.ignore).sum()),
        "answered": len(outcome.assignment.target.unique()),
        "positives": len(outcome.assignment),
    }
    if outcome.background_share is not None:
        facts["background_share"] = float(outcome.background_share)
    return facts
