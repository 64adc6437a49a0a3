"""More objects in an image than a detector returns, or than the evaluation looks at."""

import numpy as np

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent

_COCO = 100  # detections of an image that COCO's evaluation looks at


def check(context: Context) -> list[Finding]:
    """Images with more objects than the detector's cap; without a detector, than COCO's 100."""
    objects = context.objects.fair
    number = np.bincount(objects.image, minlength=len(context.data.records))
    most = context.setup.most if context.setup is not None else None
    cap = _COCO if most is None else min(most, _COCO)
    over = np.maximum(number - cap, 0)
    if not over.any():
        return []
    beyond = int(over.sum())
    order = np.argsort(-number, kind="stable")[:5]
    needed = int(-(-number.max() // 100) * 100)
    lift = f"kedge evaluate ... --max-detections {needed}"
    if most is not None and most < number.max():
        lift = f"Selection(most={needed}) (kedge train ... --selection most={needed}), and {lift}"
    who = "COCO's evaluation looks at" if most is None or most > _COCO else "the detector returns"
    return [
        Finding(
            check="more_objects_than_detections",
            severity="warning" if beyond / len(objects) > 0.01 else "note",
            symptom=f"{count(int((over > 0).sum()), 'image')} with more than {cap} objects, up to "
            f"{int(number.max()):,}: {who} {cap} detections of an image",
            evidence={
                "images": int((over > 0).sum()),
                "most_objects": int(number.max()),
                "objects_beyond": beyond,
                "worst_images": [
                    {"image": context.names[i], "objects": int(number[i])} for i in order if over[i]
                ],
            },
            cause=f"{count(beyond, 'object')} ({percent(beyond / len(objects))}) cannot be found, "
            "however good the detector is.",
            cure=lift,
            predicted={
                "text": f"the largest recall that is possible: "
                f"{percent(1 - beyond / len(objects))} -> 100 %",
                "recall_before": 1 - beyond / len(objects),
                "detections": needed,
            },
        )
    ]
