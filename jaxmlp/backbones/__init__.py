"""Pretrained models as feature extractors: by name, from their own libraries, or as functions."""

from jaxmlp.backbones.backbone import Backbone as Backbone
from jaxmlp.backbones.backbone import backbone_of as backbone_of
from jaxmlp.backbones.backbone import differentiable as differentiable
