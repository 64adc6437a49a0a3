"""Backbones, necks and heads: layers without opinions about anchors."""

from kedge.nn.backbone import Backbone, check_backbone
from kedge.nn.cell_output import CellOutput
from kedge.nn.corner_pool import CORNERS, CornerPool, corner_pool
from kedge.nn.csp_backbones import CSPDarknet, CSPNeXt
from kedge.nn.darknet import Darknet19, Darknet53
from kedge.nn.darknet24 import Darknet24
from kedge.nn.decoupled import DecoupledHead
from kedge.nn.depression import Schedule, depress, depression_ratio
from kedge.nn.depthwise_head import DepthwiseHead
from kedge.nn.depthwise_pan import DepthwisePAN
from kedge.nn.dilated_encoder import DilatedEncoder
from kedge.nn.downloads import downloads, without_downloads
from kedge.nn.extended import Extended, halving_block, lite_block, ssd_block
from kedge.nn.finest import FinestMap
from kedge.nn.fpn import PoolPyramid, Pyramid
from kedge.nn.generated import GeneratedSubnet
from kedge.nn.grid_sample import DeepMLP, GridSample
from kedge.nn.guided import GuidedRPNLayers, GuidedSubnets
from kedge.nn.heads import Subnet, YoloOutput
from kedge.nn.hourglass import HourglassNet
from kedge.nn.l2_norm import L2Norm
from kedge.nn.mobilenet import MobileNetV3
from kedge.nn.multibox import MultiBoxHead
from kedge.nn.pan import PathAggregation
from kedge.nn.passthrough import Passthrough
from kedge.nn.point_head import PointHead
from kedge.nn.point_maps import PointMaps
from kedge.nn.position_sensitive import PositionMaps, Vote
from kedge.nn.resnet import ResNetTrunk, cut_resnet
from kedge.nn.roi import BlockMean, ConvMLP, RegionOutputs, RoIPool, TwoMLP
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
from kedge.nn.warp import Warp
from kedge.nn.yolo_neck import YoloNeck
from kedge.nn.yolo_pyramid import YoloPyramid
from kedge.nn.yolof_decoder import YolofDecoder

__all__ = [
    "CORNERS",
    "VGG16",
    "Backbone",
    "BlockMean",
    "CSPDarknet",
    "CSPNeXt",
    "CellOutput",
    "ConvMLP",
    "CornerPool",
    "Darknet19",
    "Darknet24",
    "Darknet53",
    "DecoupledHead",
    "DeepMLP",
    "DepthwiseHead",
    "DepthwisePAN",
    "DilatedEncoder",
    "Extended",
    "FinestMap",
    "GeneratedSubnet",
    "GridSample",
    "GuidedRPNLayers",
    "GuidedSubnets",
    "HourglassNet",
    "L2Norm",
    "MobileNetV3",
    "MultiBoxHead",
    "Passthrough",
    "PathAggregation",
    "PointHead",
    "PointMaps",
    "PoolPyramid",
    "PositionMaps",
    "Pyramid",
    "RPNLayers",
    "RefinedPointHead",
    "RegionOutputs",
    "ResNetTrunk",
    "RoIPool",
    "ScaleNorm",
    "Schedule",
    "StarHead",
    "Subnet",
    "TaskHead",
    "TimmBackbone",
    "Tiny",
    "TorchvisionBackbone",
    "TransferConnection",
    "TwoMLP",
    "Vote",
    "Warp",
    "YoloNeck",
    "YoloOutput",
    "YoloPyramid",
    "YolofDecoder",
    "check_backbone",
    "corner_pool",
    "cut_resnet",
    "depress",
    "depression_ratio",
    "downloads",
    "halving_block",
    "lite_block",
    "ssd_block",
    "without_downloads",
]
