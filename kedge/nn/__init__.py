"""Backbones, necks and heads: layers without opinions about anchors."""

from kedge.nn.backbone import Backbone, check_backbone
from kedge.nn.darknet import Darknet19
from kedge.nn.fpn import PoolPyramid, Pyramid
from kedge.nn.heads import Subnet, YoloOutput
from kedge.nn.passthrough import Passthrough
from kedge.nn.position_sensitive import PositionMaps, Vote
from kedge.nn.resnet import ResNetTrunk, cut_resnet
from kedge.nn.roi import BlockMean, RegionOutputs, RoIPool, TwoMLP
from kedge.nn.rpn import RPNLayers
from kedge.nn.scale_norm import ScaleNorm
from kedge.nn.timm_backbone import TimmBackbone
from kedge.nn.tiny import Tiny
from kedge.nn.warp import Warp
from kedge.nn.yolo_neck import YoloNeck

__all__ = [
    "Backbone", "BlockMean", "Darknet19", "Passthrough", "PoolPyramid", "PositionMaps", "Pyramid",
    "RPNLayers", "RegionOutputs", "ResNetTrunk", "RoIPool", "ScaleNorm", "Subnet", "TimmBackbone",
    "Tiny", "TwoMLP", "Vote", "Warp", "YoloNeck", "YoloOutput", "check_backbone", "cut_resnet",
]  # fmt: skip
