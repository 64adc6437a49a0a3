"""Learned anchors that went far: what that says about the start."""

import numpy as np

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding

_FAR = float(np.log(1.5))


def check(context: Context) -> list[Finding]:
    """Learned shapes that changed by a factor of 1.5 or more on average."""
    run = context.run
    if run is None or not run.config.learn_anchors:
        return []
    first, last = run.first_shapes, run.last_shapes
    if first is None or last is None or len(first) != len(last):
        return []
    start, end = np.log(np.array(first, np.float64)), np.log(np.array(last, np.float64))
    way = np.abs(end - start).mean(axis=1)
    if way.mean() < _FAR:
        return []
    signed = float((end - start).mean())
    fits = _fits(context)
    reference = fits.get("k-means")
    listed = ",".join(f"{w:.1f}x{h:.1f}" for w, h in last)
    known = fits.get("initial") is not None and fits.get("final") is not None
    side = "larger" if signed > 0 else "smaller"
    return [
        Finding(
            check="anchors_moved_far",
            severity="warning",
            symptom=f"The anchors changed by a factor of {np.exp(way.mean()):.1f} on average"
            + (f" (mean best IoU {fits['initial']:.3f} -> {fits['final']:.3f})" if known else ""),
            evidence={
                "mean_factor": float(np.exp(way.mean())),
                "factor_of_each": np.exp(way).tolist(),
                "mean_log_change": signed,
                "mean_best_iou": fits,
                "first": [list(shape) for shape in first],
                "last": [list(shape) for shape in last],
            },
            cause="The start was far from the objects"
            + (
                f": its shapes were too {'small' if signed > 0 else 'large'} throughout (they all "
                f"grew {side})."
                if abs(signed) > 0.7 * way.mean()
                else "."
            )
            + " Until the shapes had arrived, the assignment kept changing, and those steps taught "
            "little.",
            cure=f"kedge train --config {run.folder}/config.yaml --out {run.folder}-2 "
            f"--anchors {listed} --anchor-scale 1 --warmup none   # or --anchors kmeans",
            predicted={
                "text": f"the next run starts at mean best IoU {fits['final']:.3f} in place of "
                f"{fits['initial']:.3f}"
                + (f" (k-means: {reference:.3f})" if reference is not None else ""),
                "before": fits["initial"],
                "after": fits["final"],
            }
            if known
            else None,
            unpredicted="" if known else "the run did not write how well its shapes fit",
        )
    ]


def _fits(context: Context) -> dict[str, float | None]:
    run = context.run
    assert run is not None
    if run.result is not None:
        return {station.name: station.mean_best_iou for station in run.result.stations}
    rows = [row for row in run.shapes if row.get("mean_best_iou") is not None]
    if not rows:
        return {}
    return {"initial": rows[0]["mean_best_iou"], "final": rows[-1]["mean_best_iou"]}
