"""Is there anything to learn from: images, objects, and images without objects?"""

import numpy as np

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent

_MANY = 0.5


def check(context: Context) -> list[Finding]:
    """No image; no object; more than half of the images without objects."""
    images = len(context.data.records)
    if images == 0:
        return [_nothing(context, "images")]
    if len(context.objects.fair) == 0:
        return [_nothing(context, "objects")]
    refused = {finding.image for finding in context.data.findings if finding.box is not None}
    has = np.isin(np.arange(images), context.objects.fair.image)
    has |= np.array([name in refused for name in context.names])
    filled = int(has.sum())
    share = 1 - filled / images
    if filled == images:
        return []
    severity = "warning" if share > _MANY else "note"
    return [
        Finding(
            check="empty_images",
            severity=severity,
            symptom=f"{count(images - filled, 'image')} ({percent(share)}) without objects",
            evidence={"images": images, "without_objects": images - filled, "share": share},
            cause="They show background only, or nobody labelled them.",
            cure="Look at a few of them. Background images are welcome: keep them. If they show "
            "objects, label them: every unlabelled object teaches the detector that it is "
            "background.",
            unpredicted="only a look at the images tells which it is",
        )
    ]


def _nothing(context: Context, what: str) -> Finding:
    dropped = sum(f.count for f in context.data.findings if f.action == "dropped")
    crowds = int(context.objects.crowd.sum())
    cause = "The annotations are empty, or the wrong file or split was read."
    if dropped:
        cause = (
            f"{count(dropped, 'image or box was', 'images or boxes were')} refused: see the other "
        )
        cause += "findings."
    elif crowds:
        cause = f"{count(crowds, 'box', 'boxes')}, marked as crowds or to be ignored: none is an "
        cause += "object."
    return Finding(
        check="empty_data",
        severity="error",
        symptom=f"{context.source} holds no {what}",
        evidence={
            "images": len(context.data.records),
            "objects": len(context.objects.fair),
            "crowd_regions": crowds,
            "refused": dropped,
        },
        cause=cause,
        cure=f"kedge data {context.source}",
        unpredicted="there is nothing to compute with",
    )
