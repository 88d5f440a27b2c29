"""jaxmlp: multilayer perceptrons as pure JAX functions, every gradient and update rule by hand."""

from jaxmlp.activations import ACTIVATIONS as ACTIVATIONS
from jaxmlp.activations import Activation as Activation
from jaxmlp.config import MLPConfig as MLPConfig
from jaxmlp.initializers import INITIALIZERS as INITIALIZERS
from jaxmlp.losses import LOSSES as LOSSES
from jaxmlp.losses import Loss as Loss
from jaxmlp.network import backward as backward
from jaxmlp.network import forward as forward
from jaxmlp.network import init as init
from jaxmlp.network import init_state as init_state
from jaxmlp.network import objective as objective
from jaxmlp.network import predict as predict
from jaxmlp.network import value_and_grad as value_and_grad
from jaxmlp.types import Layer as Layer
from jaxmlp.types import Params as Params

__version__ = "0.1.0"
