"""Trained models: files that keep them, surgery, fine-tuning, and predictions from raw data."""

from jaxmlp.transfer.calibration import calibrate as calibrate
from jaxmlp.transfer.calibration import fit_temperature as fit_temperature
from jaxmlp.transfer.calibration import reliability as reliability
from jaxmlp.transfer.finetuning import MODES as MODES
from jaxmlp.transfer.finetuning import Finetuned as Finetuned
from jaxmlp.transfer.finetuning import finetune as finetune
from jaxmlp.transfer.freezing import freeze as freeze
from jaxmlp.transfer.freezing import unfreeze as unfreeze
from jaxmlp.transfer.inference import class_probabilities as class_probabilities
from jaxmlp.transfer.inference import infer as infer
from jaxmlp.transfer.inference import infer_blocks as infer_blocks
from jaxmlp.transfer.inference import match_columns as match_columns
from jaxmlp.transfer.inference import prepare as prepare
from jaxmlp.transfer.inference import top_k as top_k
from jaxmlp.transfer.model_file import Model as Model
from jaxmlp.transfer.model_file import load as load
from jaxmlp.transfer.model_file import save as save
from jaxmlp.transfer.surgery import Network as Network
from jaxmlp.transfer.surgery import attach_head as attach_head
from jaxmlp.transfer.surgery import detach_head as detach_head
from jaxmlp.transfer.surgery import features as features
from jaxmlp.transfer.surgery import insert as insert
from jaxmlp.transfer.surgery import replace_head as replace_head
from jaxmlp.transfer.surgery import truncate as truncate
