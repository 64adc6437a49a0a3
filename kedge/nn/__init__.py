"""Backbones, necks and heads: layers without opinions about anchors."""

from kedge.nn.backbone import Backbone, check_backbone
from kedge.nn.darknet import Darknet19
from kedge.nn.fpn import PoolPyramid, Pyramid
from kedge.nn.heads import Subnet, YoloOutput
from kedge.nn.passthrough import Passthrough
from kedge.nn.roi import ConvMLP, RoIPool, TwoMLP
from kedge.nn.rpn import RPNLayers
from kedge.nn.scale_norm import ScaleNorm
from kedge.nn.timm_backbone import TimmBackbone
from kedge.nn.tiny import Tiny
from kedge.nn.torchvision_backbone import TorchvisionBackbone
from kedge.nn.yolo_neck import YoloNeck

__all__ = [
    "Backbone", "ConvMLP", "Darknet19", "Passthrough", "PoolPyramid", "Pyramid", "RPNLayers",
    "RoIPool", "ScaleNorm", "Subnet", "TimmBackbone", "Tiny", "TorchvisionBackbone", "TwoMLP",
    "YoloNeck", "YoloOutput", "check_backbone",
]  # fmt: skip
