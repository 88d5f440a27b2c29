"""Networks from and to other libraries: PyTorch, flax, equinox, scikit-learn, ONNX, numpy, C."""

from jaxmlp.interchange.c_header import to_c as to_c
from jaxmlp.interchange.equinox_modules import from_equinox as from_equinox
from jaxmlp.interchange.equinox_modules import to_equinox as to_equinox
from jaxmlp.interchange.flax_modules import from_flax as from_flax
from jaxmlp.interchange.flax_modules import to_flax as to_flax
from jaxmlp.interchange.numpy_predictor import to_numpy as to_numpy
from jaxmlp.interchange.onnx_graph import to_onnx as to_onnx
from jaxmlp.interchange.pytorch import from_torch as from_torch
from jaxmlp.interchange.pytorch_module import to_torch as to_torch
from jaxmlp.interchange.pytorch_module import to_torch_module as to_torch_module
from jaxmlp.interchange.sklearn_mlp import from_sklearn as from_sklearn
from jaxmlp.interchange.sklearn_mlp import model_from_sklearn as model_from_sklearn
from jaxmlp.interchange.sklearn_mlp import to_sklearn as to_sklearn
