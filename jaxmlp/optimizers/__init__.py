"""Update rules, written by hand and interchangeable with optax both ways."""

from collections.abc import Callable

from jaxmlp.checks import unknown_name
from jaxmlp.optimizers.adagrad import AdagradState as AdagradState
from jaxmlp.optimizers.adagrad import adagrad as adagrad
from jaxmlp.optimizers.adam import AdamState as AdamState
from jaxmlp.optimizers.adam import adam as adam
from jaxmlp.optimizers.adam import adamw as adamw
from jaxmlp.optimizers.base import Optimizer as Optimizer
from jaxmlp.optimizers.base import apply_updates as apply_updates
from jaxmlp.optimizers.base import as_optimizer as as_optimizer
from jaxmlp.optimizers.base import chain as chain
from jaxmlp.optimizers.base import global_norm as global_norm
from jaxmlp.optimizers.clipping import ClipState as ClipState
from jaxmlp.optimizers.clipping import clip_by_global_norm as clip_by_global_norm
from jaxmlp.optimizers.clipping import clip_by_value as clip_by_value
from jaxmlp.optimizers.layerwise import ScaleState as ScaleState
from jaxmlp.optimizers.layerwise import StartState as StartState
from jaxmlp.optimizers.layerwise import l2_sp as l2_sp
from jaxmlp.optimizers.layerwise import scale_by_layer as scale_by_layer
from jaxmlp.optimizers.leafwise import scale_by_leaf as scale_by_leaf
from jaxmlp.optimizers.momentum import MomentumState as MomentumState
from jaxmlp.optimizers.momentum import momentum as momentum
from jaxmlp.optimizers.momentum import nesterov as nesterov
from jaxmlp.optimizers.rmsprop import RmspropState as RmspropState
from jaxmlp.optimizers.rmsprop import rmsprop as rmsprop
from jaxmlp.optimizers.schedules import SCHEDULES as SCHEDULES
from jaxmlp.optimizers.schedules import cosine as cosine
from jaxmlp.optimizers.schedules import coslog4 as coslog4
from jaxmlp.optimizers.schedules import flat_cosine as flat_cosine
from jaxmlp.optimizers.schedules import make_schedule as make_schedule
from jaxmlp.optimizers.sgd import gd as gd
from jaxmlp.optimizers.sgd import sgd as sgd

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "gd": gd,
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}
"""The rules by name; each takes a learning rate."""


def get_optimizer_factory(name: str) -> Callable[..., Optimizer]:
    """Look a rule up by name.

    Args:
        name: one of `OPTIMIZERS`.

    Returns:
        The function that makes it, whose first argument is the learning rate.

    Raises:
        ValueError: for an unknown name; the message has the nearest known one.

    Example:
        >>> get_optimizer_factory("adam") is adam
        True
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]
