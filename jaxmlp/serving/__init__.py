"""A trained model as a small HTTP service."""

from jaxmlp.serving.app import Limits as Limits
from jaxmlp.serving.app import create_app as create_app
