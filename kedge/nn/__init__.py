"""Backbones, necks and heads: layers without opinions about anchors."""

from kedge.nn.backbone import Backbone, check_backbone
from kedge.nn.darknet import Darknet19
from kedge.nn.extended import Extended, halving_block, lite_block, ssd_block
from kedge.nn.fpn import PoolPyramid, Pyramid
from kedge.nn.heads import Subnet, YoloOutput
from kedge.nn.l2_norm import L2Norm
from kedge.nn.mobilenet import MobileNetV3
from kedge.nn.multibox import MultiBoxHead
from kedge.nn.passthrough import Passthrough
from kedge.nn.roi import ConvMLP, RoIPool, TwoMLP
from kedge.nn.rpn import RPNLayers
from kedge.nn.scale_norm import ScaleNorm
from kedge.nn.timm_backbone import TimmBackbone
from kedge.nn.tiny import Tiny
from kedge.nn.torchvision_backbone import TorchvisionBackbone
from kedge.nn.transfer import TransferConnection
from kedge.nn.vgg import VGG16
from kedge.nn.yolo_neck import YoloNeck

__all__ = [
    "VGG16", "Backbone", "ConvMLP", "Darknet19", "Extended", "L2Norm", "MobileNetV3",
    "MultiBoxHead", "Passthrough", "PoolPyramid", "Pyramid", "RPNLayers", "RoIPool", "ScaleNorm",
    "Subnet", "TimmBackbone", "Tiny", "TorchvisionBackbone", "TransferConnection", "TwoMLP",
    "YoloNeck", "YoloOutput", "check_backbone", "halving_block", "lite_block", "ssd_block",
]  # fmt: skip
