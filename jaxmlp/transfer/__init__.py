"""Trained models: files that keep them."""

from jaxmlp.transfer.model_file import Model as Model
from jaxmlp.transfer.model_file import load as load
from jaxmlp.transfer.model_file import save as save
