"""The lecture's ways to use a pretrained network: fixed features, fine-tuning, transfer."""

from jaxmlp.finetuning.backbones import BackboneOptions as BackboneOptions
from jaxmlp.finetuning.backbones import TunedBackbone as TunedBackbone
from jaxmlp.finetuning.backbones import finetune_backbone as finetune_backbone
from jaxmlp.finetuning.finetuning import MODES as MODES
from jaxmlp.finetuning.finetuning import Finetuned as Finetuned
from jaxmlp.finetuning.finetuning import FinetuneOptions as FinetuneOptions
from jaxmlp.finetuning.finetuning import finetune as finetune
from jaxmlp.finetuning.freezing import freeze as freeze
from jaxmlp.finetuning.freezing import unfreeze as unfreeze
from jaxmlp.finetuning.through import JointParams as JointParams
from jaxmlp.finetuning.through import objective_through as objective_through
from jaxmlp.finetuning.through import value_and_grad_through as value_and_grad_through
