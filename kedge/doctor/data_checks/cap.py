"""More objects in an image than a detector returns, or than the evaluation looks at."""

import numpy as np

from kedge.doctor.context import Context
from kedge.doctor.finding import Finding, count, percent

_COCO = 100  # detections of a class in an image that COCO's evaluation looks at


def check(context: Context) -> list[Finding]:
    """Images with more objects than the detector's cap; classes of an image with more than 100."""
    objects = context.objects.fair
    images, classes = len(context.data.records), max(1, len(context.data.classes))
    number = np.bincount(objects.image, minlength=images)
    of_class = np.bincount(objects.image * classes + objects.label, minlength=images * classes)
    most = None if context.setup is None else context.setup.most
    most = int(number.max(initial=0)) if most is None else most
    counted = np.minimum(of_class, _COCO).reshape(images, classes).sum(axis=1)
    returned, judged = number > most, number > counted
    if not (returned | judged).any():
        return []
    beyond = int((number - np.minimum(counted, most)).sum())
    order = np.argsort(-number, kind="stable")[:5]
    needed = _round_up(int(number.max()))
    parts, cures = [], []
    if returned.any():
        full = count(int(returned.sum()), "image")
        parts.append(
            f"{full} with more objects than the {count(most, 'detection')} that the detector "
            "returns"
        )
        flag = f"kedge train ... --selection most={needed}"
        cures.append(f"Selection(most={needed}) (of a detector of one stage: {flag})")
    if judged.any():
        full = count(int(judged.sum()), "image")
        parts.append(f"{full} with more than {_COCO} objects of a class, where COCO's evaluation "
                     f"looks at {_COCO} detections")  # fmt: skip
        cures.append(f"kedge evaluate ... --max-detections {_round_up(int(of_class.max()))}")
    return [
        Finding(
            check="more_objects_than_detections",
            severity="warning" if beyond / len(objects) > 0.01 else "note",
            symptom=f"{'; '.join(parts)}; up to {int(number.max()):,} objects in one",
            evidence={
                "most_objects": int(number.max()),
                "objects_beyond": beyond,
                "worst_images": [
                    {"image": context.names[i], "objects": int(number[i])} for i in order
                ],
            },
            cause=f"{count(beyond, 'object')} ({percent(beyond / len(objects))}) cannot be found, "
            "however good the detector is.",
            cure=", and ".join(cures),
            predicted={
                "text": f"the largest recall that is possible: "
                f"{percent(1 - beyond / len(objects))} -> 100 %",
                "recall_before": 1 - beyond / len(objects),
                "detections": needed,
            },
        )
    ]


def _round_up(number: int) -> int:
    return -(-number // 100) * 100
