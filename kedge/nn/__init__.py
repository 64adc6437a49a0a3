"""Backbones, necks and heads: layers without opinions about anchors."""

from kedge.nn.backbone import Backbone, check_backbone
from kedge.nn.darknet import Darknet19
from kedge.nn.depression import Schedule, depress, depression_ratio
from kedge.nn.extended import Extended, halving_block, lite_block, ssd_block
from kedge.nn.fpn import PoolPyramid, Pyramid
from kedge.nn.heads import Subnet, YoloOutput
from kedge.nn.l2_norm import L2Norm
from kedge.nn.mobilenet import MobileNetV3
from kedge.nn.multibox import MultiBoxHead
from kedge.nn.passthrough import Passthrough
from kedge.nn.point_head import PointHead
from kedge.nn.roi import ConvMLP, RoIPool, TwoMLP
from kedge.nn.rpn import RPNLayers
from kedge.nn.scale_norm import ScaleNorm
from kedge.nn.sides import RefinedPointHead
from kedge.nn.star_head import StarHead
from kedge.nn.task_head import TaskHead
from kedge.nn.timm_backbone import TimmBackbone
from kedge.nn.tiny import Tiny
from kedge.nn.torchvision_backbone import TorchvisionBackbone
from kedge.nn.transfer import TransferConnection
from kedge.nn.vgg import VGG16
from kedge.nn.yolo_neck import YoloNeck

__all__ = [
    "VGG16", "Backbone", "ConvMLP", "Darknet19", "Extended", "L2Norm", "MobileNetV3",
    "MultiBoxHead", "Passthrough", "PointHead", "PoolPyramid", "Pyramid", "RPNLayers",
    "RefinedPointHead", "RoIPool", "ScaleNorm", "Schedule", "StarHead", "Subnet", "TaskHead",
    "TimmBackbone", "Tiny", "TorchvisionBackbone", "TransferConnection", "TwoMLP", "YoloNeck",
    "YoloOutput", "check_backbone", "depress", "depression_ratio", "halving_block", "lite_block",
    "ssd_block",
]  # fmt: skip
