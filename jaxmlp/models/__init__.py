"""Trained networks as values: surgery, the model file, inference, calibration."""

from jaxmlp.models.calibration import Reliability as Reliability
from jaxmlp.models.calibration import calibrate as calibrate
from jaxmlp.models.calibration import fit_temperature as fit_temperature
from jaxmlp.models.calibration import reliability as reliability
from jaxmlp.models.inference import ColumnMatch as ColumnMatch
from jaxmlp.models.inference import class_probabilities as class_probabilities
from jaxmlp.models.inference import infer as infer
from jaxmlp.models.inference import infer_blocks as infer_blocks
from jaxmlp.models.inference import match_columns as match_columns
from jaxmlp.models.inference import prepare as prepare
from jaxmlp.models.inference import top_k as top_k
from jaxmlp.models.model import Model as Model
from jaxmlp.models.model import as_model as as_model
from jaxmlp.models.model import as_network as as_network
from jaxmlp.models.model_file import load as load
from jaxmlp.models.model_file import save as save
from jaxmlp.models.surgery import attach_head as attach_head
from jaxmlp.models.surgery import detach_head as detach_head
from jaxmlp.models.surgery import features as features
from jaxmlp.models.surgery import insert as insert
from jaxmlp.models.surgery import replace_head as replace_head
from jaxmlp.models.surgery import truncate as truncate
from jaxmlp.networks import Network as Network
