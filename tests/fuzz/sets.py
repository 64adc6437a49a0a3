"""Small sound data sets, one in every form that is read: what the fuzzer damages.

All have two images, a.png of 40 x 30 and b.png of 32 x 48, and the boxes BOXES.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"a": (40, 30), "b": (32, 48)}
# image, class, x, y, w, h: whole numbers, so that every form can say them exactly
BOXES = [
    ("a", "cat", 2, 3, 10, 8),
    ("a", "dog", 20, 10, 12, 16),
    ("b", "cat", 4, 6, 9, 20),
    ("b", "dog", 11, 2, 16, 12),
]
CLASSES = ["cat", "dog"]


def _images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, (width, height) in SIZES.items():
        Image.new("RGB", (width, height), (90, 120, 30)).save(folder / f"{stem}.png")


def _of(stem: str) -> list[tuple[str, int, int, int, int]]:
    return [box[1:] for box in BOXES if box[0] == stem]


def _coco() -> dict:
    stems = list(SIZES)
    return {
        "images": [
            {"id": i, "file_name": f"{s}.png", "width": SIZES[s][0], "height": SIZES[s][1]}
            for i, s in enumerate(stems)
        ],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [
            {
                "id": n,
                "image_id": stems.index(s),
                "category_id": CLASSES.index(c) + 1,
                "bbox": [x, y, w, h],
                "iscrowd": 0,
            }
            for n, (s, c, x, y, w, h) in enumerate(BOXES)
        ],
    }


def coco(folder: Path) -> None:
    _images(folder / "images")
    (folder / "train.json").write_text(json.dumps(_coco()))


def coco_loose(folder: Path) -> None:
    _images(folder / "images" / "1")
    whole = _coco()
    for image in whole["images"]:
        image |= {"id": str(image["id"]), "file_name": f"D:\\data\\images\\{image['file_name']}"}
    for entry in whole["annotations"]:
        entry |= {"image_id": float(entry["image_id"]), "iscrowd": None, "ignore": "0"}
    (folder / "result.json").write_text(json.dumps(whole, indent=1))


def _yolo_rows(stem: str, polygon: bool = False) -> str:
    width, height = SIZES[stem]
    lines = []
    for name, x, y, w, h in _of(stem):
        label = CLASSES.index(name)
        if polygon:
            xs, ys = (x, x + w, x + w, x), (y, y, y + h, y + h)
            words = [f"{a / width!r} {b / height!r}" for a, b in zip(xs, ys)]
        else:
            words = [repr((x + w / 2) / width), repr((y + h / 2) / height)]
            words += [repr(w / width), repr(h / height)]
        lines.append(f"{label} {' '.join(words)}")
    return "\n".join(lines) + "\n"


def _labels(folder: Path, polygon: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem in SIZES:
        (folder / f"{stem}.txt").write_text(_yolo_rows(stem, polygon))


def yolo(folder: Path) -> None:
    _images(folder / "images" / "train")
    _labels(folder / "labels" / "train")
    (folder / "data.yaml").write_text("train: images/train\nnc: 2\nnames: [cat, dog]\n")


def yolo_polygons(folder: Path) -> None:
    _images(folder / "train" / "images")
    _labels(folder / "train" / "labels", polygon=True)
    names = "names:\n  0: cat\n  1: dog\n"
    (folder / "data.yaml").write_text(f"path: .\ntrain: ../train/images\n{names}")


def darknet(folder: Path) -> None:
    _images(folder / "obj_train_data")
    _labels(folder / "obj_train_data")
    (folder / "obj.names").write_text("cat\ndog\n")
    (folder / "train.txt").write_text("data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    (folder / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n"
    )


def yolo_classes(folder: Path) -> None:
    _images(folder / "images")
    _labels(folder / "labels")
    (folder / "classes.txt").write_text("cat\ndog\n")


def _xml(stem: str) -> str:
    width, height = SIZES[stem]
    rows = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
        f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>\n"
        for name, x, y, w, h in _of(stem)
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{stem}.png</filename>{size}\n{rows}</annotation>\n"


def _pages(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem in SIZES:
        (folder / f"{stem}.xml").write_text(_xml(stem))


def voc(folder: Path) -> None:
    _images(folder / "JPEGImages")
    _pages(folder / "Annotations")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")


def voc_beside(folder: Path) -> None:
    _images(folder / "train")
    _pages(folder / "train")


def _npz(**more: np.ndarray) -> dict[str, np.ndarray]:
    stems = list(SIZES)
    rows = np.array([box[2:] for box in BOXES], np.float32)
    image = np.array([stems.index(box[0]) for box in BOXES])
    columns = {
        "image_id": image,
        "category_id": np.array([CLASSES.index(box[1]) for box in BOXES]),
        "category_names": np.array(CLASSES),
        "images": np.array([(i, *SIZES[s]) for i, s in enumerate(stems)]),
        "width": np.array([SIZES[stems[i]][0] for i in image]),
        "height": np.array([SIZES[stems[i]][1] for i in image]),
    }
    return columns | {key: rows[:, i] for i, key in enumerate("xywh")} | more


def npz(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "boxes.npz", **_npz())


def npz_plain(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "boxes.npz", **_npz(iscrowd=np.zeros(len(BOXES), bool)))


def _table(folder: Path, name: str, header: str, row: Callable[..., list], mark: str = ",") -> None:
    lines = [header] if header else []
    for s, c, x, y, w, h in BOXES:
        lines.append(mark.join(str(value) for value in row(s, c, x, y, w, h, *SIZES[s])))
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def tensorflow(folder: Path) -> None:
    _images(folder / "images")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    _table(folder, "train_labels.csv", header,
           lambda s, c, x, y, w, h, W, H: [f"{s}.png", W, H, c, x, y, x + w, y + h])  # fmt: skip


def roboflow(folder: Path) -> None:
    _images(folder / "train")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    _table(folder, "train/_annotations.csv", header,
           lambda s, c, x, y, w, h, W, H: [f"{s}.png", W, H, c, x, y, x + w, y + h])  # fmt: skip


def open_images(folder: Path) -> None:
    _images(folder / "train")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
    _table(folder, "train-annotations-bbox.csv", header,
           lambda s, c, x, y, w, h, W, H:
           [s, "x", f"/m/{c}", 1, x / W, (x + w) / W, y / H, (y + h) / H, 0])  # fmt: skip
    (folder / "class-descriptions.csv").write_text("/m/cat,cat\n/m/dog,dog\n")


def vott(folder: Path) -> None:
    _images(folder)
    header = '"image","xmin","ymin","xmax","ymax","label"'
    _table(folder, "vott-csv-export.csv", header,
           lambda s, c, x, y, w, h, W, H: [f'"{s}.png"', x, y, x + w, y + h, f'"{c}"'])  # fmt: skip


def keras_retinanet(folder: Path) -> None:
    _images(folder / "images")
    _table(folder, "annotations.csv", "",
           lambda s, c, x, y, w, h, W, H: [f"/home/me/{s}.png", x, y, x + w, y + h, c])  # fmt: skip


def semicolons(folder: Path) -> None:
    _table(folder, "boxes.csv", "image_id;x;y;w;h;width;height;class",
           lambda s, c, x, y, w, h, W, H: [f"{s}.png", f"{x},0", y, w, h, W, H, c],
           mark=";")  # fmt: skip


def jsonl(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"image_id": s, "class": c, "x": x, "y": y, "w": w, "h": h}
        | {"width": SIZES[s][0], "height": SIZES[s][1]}
        for s, c, x, y, w, h in BOXES
    ]
    (folder / "boxes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def parquet(folder: Path) -> None:
    import polars

    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"image_id": s, "class": c, "x": x, "y": y, "w": w, "h": h}
        | {"width": SIZES[s][0], "height": SIZES[s][1]}
        for s, c, x, y, w, h in BOXES
    ]
    polars.DataFrame(rows).write_parquet(folder / "boxes.parquet")


def kitti(folder: Path) -> None:
    _images(folder / "training" / "image_2")
    (folder / "training" / "label_2").mkdir()
    for stem in SIZES:
        lines = [
            f"{c} 0.00 0 -1.57 {x}.00 {y}.00 {x + w}.00 {y + h}.00 1 1 1 1 1 1 0.1\n"
            for c, x, y, w, h in _of(stem)
        ]
        (folder / "training" / "label_2" / f"{stem}.txt").write_text("".join(lines))


def visdrone(folder: Path) -> None:
    _images(folder / "images")
    (folder / "annotations").mkdir()
    for stem in SIZES:
        lines = [f"{x},{y},{w},{h},1,{CLASSES.index(c) + 3},0,0\n" for c, x, y, w, h in _of(stem)]
        (folder / "annotations" / f"{stem}.txt").write_text("".join(lines))


def wider_face(folder: Path) -> None:
    _images(folder / "WIDER_train" / "images" / "0--Parade")
    text = ""
    for stem in SIZES:
        rows = _of(stem)
        text += f"0--Parade/{stem}.png\n{len(rows)}\n"
        text += "".join(f"{x} {y} {w} {h} 0 0 0 0 0 0\n" for _, x, y, w, h in rows)
    (folder / "wider_face_split").mkdir()
    (folder / "wider_face_split" / "wider_face_train_bbx_gt.txt").write_text(text)


def labelme(folder: Path) -> None:
    _images(folder)
    for stem, (width, height) in SIZES.items():
        shapes = [
            {"label": c, "points": [[x, y], [x + w, y + h]], "shape_type": "rectangle"}
            for c, x, y, w, h in _of(stem)
        ]
        said = {"version": "5.0", "shapes": shapes, "imagePath": f"{stem}.png"}
        said |= {"imageData": None, "imageHeight": height, "imageWidth": width}
        (folder / f"{stem}.json").write_text(json.dumps(said))


def odgt(folder: Path) -> None:
    _images(folder / "Images")
    lines = [
        {"ID": s, "gtboxes": [{"tag": "person", "fbox": [x, y, w, h], "vbox": [x, y, 1, 1]}
                              for _, x, y, w, h in _of(s)]}
        for s in SIZES
    ]  # fmt: skip
    (folder / "annotation_train.odgt").write_text("".join(json.dumps(row) + "\n" for row in lines))


def hugging_face(folder: Path) -> None:
    _images(folder / "train")
    lines = [
        {"file_name": f"{s}.png", "objects": {"bbox": [list(row[1:]) for row in _of(s)],
                                              "categories": [row[0] for row in _of(s)]}}
        for s in SIZES
    ]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (folder / "train" / "metadata.jsonl").write_text(text)


SETS = {
    make.__name__: make
    for make in (
        coco, coco_loose, yolo, yolo_polygons, darknet, yolo_classes, voc, voc_beside, npz,
        npz_plain, tensorflow, roboflow, open_images, vott, keras_retinanet, semicolons, jsonl,
        parquet, kitti, visdrone, wider_face, labelme, odgt, hugging_face,
    )
}  # fmt: skip
