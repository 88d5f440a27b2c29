"""A trained model as a small HTTP service."""

from jaxmlp.serving.app import create_app as create_app
from jaxmlp.serving.limits import Limits as Limits
