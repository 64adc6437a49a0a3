"""``kedge design``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from kedge.commands.words import Several, Sides, height_and_width, say


def design(
    source: str,
    *,
    k: int | None = None,
    layout: Literal["free", "pyramid"] = "free",
    scales: int | None = None,
    ratios: int | None = None,
    image_size: Sides = None,
    strides: Annotated[list[float] | None, Several] = None,
    per_level: Annotated[list[int] | None, Several] = None,
    objective: Literal["mean_iou", "recall", "bpr", "fitness", "placed"] = "mean_iou",
    threshold: float | None = None,
    method: Literal["best", "kmeans", "kmedians", "yolov5", "evolution"] = "best",
    in_use: str | None = None,
    framework: Annotated[
        Literal["kedge", "torchvision", "detectron2", "mmdetection", "yolov5", "darknet"],
        Parameter(name="--for"),
    ] = "kedge",
    offset: float = 0.5,
    split: str | None = None,
    json: Annotated[Path | None, Parameter(name="--json")] = None,
    html: Path | None = None,
    restarts: int = 64,
    curve: bool = True,
    compare: bool = True,
    seed: int = 0,
) -> None:
    """Anchor shapes from data, compared with what you have, ready to paste.

    kedge design DIR --k 9 --image-size 640 --for yolov5

    kedge design DIR --layout pyramid --scales 3 --ratios 3 --for torchvision

    Parameters
    ----------
    source
        A data set (COCO JSON, Pascal VOC, YOLO, or toy), or a table of boxes: .npz, .csv, .parquet
        or .jsonl with x, y, w, h (or x1, y1, x2, y2), width, height and image_id.
    k
        Number of shapes; 9 by default. A pyramid has strides x scales x ratios.
    layout
        free: any shapes. pyramid: RetinaNet's form, a size for every level, and scales and ratios
        that all levels share.
    scales
        Scales of a pyramid; 3 by default.
    ratios
        Aspect ratios of a pyramid; 3 by default.
    image_size
        Side, or height and width, of the network's input; images are letterboxed into it.
        640 by default.
    strides
        Strides of the levels in pixels; 8 16 32 by default, of a pyramid 8 16 32 64 128.
    per_level
        Shapes on each level; by default where each serves best (an even split where the framework
        needs one).
    objective
        What to make large: mean best IoU; recall, the share of boxes with IoU of at least the
        threshold; bpr and fitness, YOLOv5's; placed, the share that gets a positive on the real
        grid.
    threshold
        Of recall and placed (IoU, 0.5), or of bpr and fitness (ratio, 4).
    method
        best is ours; the others are there to compare with.
    in_use
        Your anchors: a preset's name, or a list such as 10x13,16x30. The verdict is then about
        them.
    framework
        Print the shapes in the syntax of kedge, torchvision, detectron2, mmdetection, yolov5 or
        darknet.
    offset
        Where in its cell an anchor stands: 0.5 in the middle; 0 at the corner, as in torchvision
        and Detectron2.
    split
        Split of the data set; by default train.
    json
        Write everything to this file; keys shapes, mean_best_iou, bpr, seconds and more.
    html
        Write a page to this file.
    restarts
        Starts of the search.
    curve
        Also try other numbers of shapes, and say where the curve bends.
    compare
        Compare with published anchors, and yours, on images held out.
    seed
        The same seed gives the same shapes.
    """
    from rich.console import Console

    from kedge.doctor.design_wish import Wish, make_design

    wish = Wish(
        source=source,
        split=split,
        k=k,
        image_size=height_and_width(image_size) or (640, 640),
        layout=layout,
        scales=scales,
        ratios=ratios,
        strides=None if strides is None else tuple(strides),
        per_level=None if per_level is None else tuple(per_level),
        objective=objective,
        threshold=threshold,
        method=method,
        in_use=in_use,
        framework=framework,
        offset=offset,
        restarts=restarts,
        curve=curve,
        compare=compare,
        seed=seed,
    )
    made = make_design(wish)
    say(made.said)
    console = Console()
    console.print(made.report.text(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"\nFor {framework}:\n")
    console.print(made.snippet, markup=False, highlight=False, soft_wrap=True)
    if json is not None:
        from kedge.train.files import write_json

        write_json(json, made.report.to_dict() | {"source": source, "snippet": made.snippet})
    if html is not None:
        from kedge.doctor.design_page import write_page

        write_page(made, html)
