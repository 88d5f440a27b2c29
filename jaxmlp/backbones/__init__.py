"""Pretrained models as feature extractors: by name, from their own libraries, or as functions."""

from jaxmlp.backbones.backbone import Backbone as Backbone
