"""The lecture's ways to use a pretrained network: fixed features, fine-tuning, transfer."""

from jaxmlp.finetuning.finetuning import MODES as MODES
from jaxmlp.finetuning.finetuning import Finetuned as Finetuned
from jaxmlp.finetuning.finetuning import FinetuneOptions as FinetuneOptions
from jaxmlp.finetuning.finetuning import finetune as finetune
from jaxmlp.finetuning.freezing import freeze as freeze
from jaxmlp.finetuning.freezing import unfreeze as unfreeze
