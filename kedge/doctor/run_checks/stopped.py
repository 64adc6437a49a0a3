"""A run that left no losses, or no weights."""

from kedge.counted import count
from kedge.doctor.context import Context
from kedge.doctor.finding import Finding


def check(context: Context) -> list[Finding]:
    """No row of metrics.jsonl; or no run.json, which is written with the first weights."""
    run = context.run
    if run is None or (run.metrics and run.result is not None):
        return []
    if any(value is None for row in run.metrics for value in row.values()):
        return []  # a loss that is not a number: a finding of its own
    started = bool(run.metrics)
    return [
        Finding(
            check="run_stopped",
            severity="warning",
            symptom="The run stopped before it saved weights"
            if started
            else "The run wrote no losses",
            evidence={
                "rows_of_losses": len(run.metrics),
                "last_step": int(run.metrics[-1]["step"]) if started else None,
                "log_every": run.config.log_every,
            },
            cause="It was interrupted, or it failed; its last words on the terminal say why. "
            f"Losses are written after every {count(run.config.log_every, 'step')}, weights after "
            "an epoch.",
            cure=f"kedge train --config {run.folder}/config.yaml --resume   # --log-every 1 to see "
            "every step",
            unpredicted="how a run goes can only be seen by running it",
        )
    ]
