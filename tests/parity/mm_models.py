"""Small detectors of MMDetection, and batches as its data loaders yield them."""

import copy

import torch
from parity.cases import mm
from torch import nn

DELTA = {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]}
RETINANET = {
    "type": "RetinaHead",
    "num_classes": 4,
    "in_channels": 16,
    "feat_channels": 16,
    "stacked_convs": 1,
    "bbox_coder": DELTA,
    "anchor_generator": {
        "type": "AnchorGenerator", "octave_base_scale": 4, "scales_per_octave": 2,
        "ratios": [0.5, 1.0], "strides": [8, 16, 32, 64, 128],
    },
    "loss_bbox": {"type": "L1Loss"},
}  # fmt: skip
ASSIGNER = {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0}
TRAIN = {"assigner": ASSIGNER, "allowed_border": -1, "pos_weight": -1}
TEST = {
    "nms_pre": 100, "max_per_img": 10, "score_thr": 0.0, "min_bbox_size": 0,
    "nms": {"type": "nms", "iou_threshold": 0.5},
}  # fmt: skip
HEADS = {
    "RetinaNet": (RETINANET, TRAIN),
    "RPN": (
        {k: v for k, v in RETINANET.items() if k not in ("num_classes", "stacked_convs")}
        | {"type": "RPNHead"},
        TRAIN
        | {
            "assigner": ASSIGNER | {"pos_iou_thr": 0.7, "neg_iou_thr": 0.3, "min_pos_iou": 0.3},
            "sampler": {
                "type": "RandomSampler",
                "num": 256,
                "pos_fraction": 0.5,
                "add_gt_as_proposals": False,
            },
        },
    ),
    "FCOS": (
        {
            "type": "FCOSHead",
            "num_classes": 4,
            "in_channels": 16,
            "feat_channels": 16,
            "strides": [8, 16, 32, 64, 128],
            "norm_cfg": None,
        },
        None,
    ),
    "SingleStageDetector": (
        {
            "type": "SSDHead",
            "num_classes": 4,
            "in_channels": [16] * 5,
            "bbox_coder": DELTA,
            "anchor_generator": {
                "type": "SSDAnchorGenerator",
                "scale_major": False,
                "strides": [8, 16, 32, 64, 128],
                "ratios": [[2], [2, 3], [2], [2], [2]],
                "min_sizes": [16, 32, 64, 96, 128],
                "max_sizes": [32, 64, 96, 128, 160],
            },
        },
        TRAIN
        | {
            "assigner": ASSIGNER | {"neg_iou_thr": 0.5, "gt_max_assign_all": False},
            "sampler": {"type": "PseudoSampler"},
            "smoothl1_beta": 1.0,
            "neg_pos_ratio": 3,
        },
    ),
    "YOLOV3": (
        {
            "type": "YOLOV3Head",
            "num_classes": 4,
            "in_channels": [16] * 5,
            "out_channels": [16] * 5,
            "featmap_strides": [8, 16, 32, 64, 128],
            "anchor_generator": {
                "type": "YOLOAnchorGenerator",
                "strides": [8, 16, 32, 64, 128],
                "base_sizes": [[(s * 3, s * 2), (s * 2, s * 4)] for s in (8, 16, 32, 64, 128)],
            },
        },
        {"assigner": {"type": "GridAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.5}},
    ),
}


def detector(kind: str) -> nn.Module:
    """A detector on a narrow ResNet-18 with five maps."""
    mm.mmdetection()
    from mmdet.registry import MODELS
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope

    torch.manual_seed(3)
    head, train = HEADS[kind]
    name = "rpn_head" if kind == "RPN" else "bbox_head"
    preprocessor = {
        "type": "DetDataPreprocessor", "mean": [100.0, 110.0, 120.0], "std": [50.0, 60.0, 70.0],
        "bgr_to_rgb": True, "pad_size_divisor": 32,
    }  # fmt: skip
    settings = {
        "type": kind,
        "data_preprocessor": preprocessor,
        "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "out_indices": (1, 2, 3)},
        "neck": {
            "type": "FPN", "in_channels": [16, 32, 64], "out_channels": 16, "num_outs": 5,
            "add_extra_convs": "on_output",
        },
        name: head,
        "train_cfg": {"rpn": train} if kind == "RPN" else train,
        "test_cfg": {"rpn": TEST} if kind == "RPN" else TEST,
    }  # fmt: skip
    with DefaultScope.overwrite_default_scope("mmdet"):
        return MODELS.build(ConfigDict(settings))


def batch(seed: int = 0, counts=(12, 0, 3)) -> dict:
    """Images of several sizes, the second without objects."""
    mm.mmdetection()
    from mmdet.structures import DetDataSample

    rng, inputs, samples = torch.Generator().manual_seed(seed), [], []
    for number, count in enumerate(counts):
        height, width = 96 + 40 * number, 150 - 30 * number
        side = 8 * 10 ** torch.rand(count, 2, generator=rng)
        corner = torch.rand(count, 2, generator=rng) * torch.tensor([width, height]) * 0.8
        boxes = torch.cat([corner, corner + side], 1)
        labels = torch.randint(0, 4, (count,), generator=rng)
        sample = DetDataSample(metainfo={"img_shape": (height, width), "scale_factor": (1, 1)})
        sample.gt_instances = mm.mmdetection_instances(boxes, labels)
        inputs.append(torch.randint(0, 256, (3, height, width), generator=rng).byte())
        samples.append(sample)
    return {"inputs": inputs, "data_samples": samples}


def losses(given: nn.Module, data: dict) -> dict[str, torch.Tensor]:
    """The losses of a step, summed by name; what is random is drawn alike."""
    torch.manual_seed(5)
    ready = given.data_preprocessor(copy.deepcopy(data), True)
    found = given(**ready, mode="loss")
    return {
        name: sum(part.sum() for part in value) if isinstance(value, list) else value
        for name, value in found.items()
    }
