"""A few rows with the answers of the network, by which an export checks itself where it runs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.interchange.export_plan import Plan
from jaxmlp.models.model import Model
from jaxmlp.network import predict

_N_ROWS = 4


class ExampleRows(NamedTuple):
    """Raw features x, (rows, n_in), and their logits, (rows, n_out), in the model's dtype."""

    x: np.ndarray
    logits: np.ndarray


def example_rows(model: Model, plan: Plan) -> ExampleRows:
    """Draw normal features, as wide as the training data if the model knows them; ask the network.

    Args:
        model: the model.
        plan: its plan, in whose dtype the network computes.

    Returns:
        The rows; the same for the same model.
    """
    x = np.random.default_rng(0).normal(size=(_N_ROWS, plan.sizes[0]))
    if plan.inputs is not None:
        x = x * plan.inputs.scale + plan.inputs.center
    x = x.astype(plan.dtype)
    config = model.config.replace(dtype=plan.dtype.name, compute_dtype=None)
    params = jax.tree.map(lambda leaf: leaf.astype(plan.dtype), model.params)
    prepared = x if model.preprocessing is None else model.preprocessing.transform(x)
    logits = predict(config, params, jnp.asarray(prepared), state=model.state)
    return ExampleRows(x, np.asarray(logits))
