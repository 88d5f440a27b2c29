"""jaxmlp: multilayer perceptrons as pure JAX functions, every gradient and update rule by hand."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage: an import makes none, and looking takes a seventh of its time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # there and back, what was imported is old, and was not looked at
        gc.unfreeze()
        if collects:
            gc.enable()


with _without_collection():
    from jaxmlp.activations import ACTIVATIONS as ACTIVATIONS
    from jaxmlp.activations import Activation as Activation
    from jaxmlp.config import MLPConfig as MLPConfig
    from jaxmlp.cpu import tune_cpu as tune_cpu
    from jaxmlp.front_config import FrontConfig as FrontConfig
    from jaxmlp.initializers import INITIALIZERS as INITIALIZERS
    from jaxmlp.losses import LOSSES as LOSSES
    from jaxmlp.losses import Loss as Loss
    from jaxmlp.network import backward as backward
    from jaxmlp.network import forward as forward
    from jaxmlp.network import init as init
    from jaxmlp.network import objective as objective
    from jaxmlp.network import predict as predict
    from jaxmlp.network import value_and_grad as value_and_grad
    from jaxmlp.networks import Network as Network
    from jaxmlp.normalization import init_state as init_state
    from jaxmlp.optimizers import OPTIMIZERS as OPTIMIZERS
    from jaxmlp.optimizers import Optimizer as Optimizer
    from jaxmlp.optimizers import adagrad as adagrad
    from jaxmlp.optimizers import adam as adam
    from jaxmlp.optimizers import adamw as adamw
    from jaxmlp.optimizers import apply_updates as apply_updates
    from jaxmlp.optimizers import as_optimizer as as_optimizer
    from jaxmlp.optimizers import chain as chain
    from jaxmlp.optimizers import clip_by_global_norm as clip_by_global_norm
    from jaxmlp.optimizers import clip_by_value as clip_by_value
    from jaxmlp.optimizers import gd as gd
    from jaxmlp.optimizers import momentum as momentum
    from jaxmlp.optimizers import nesterov as nesterov
    from jaxmlp.optimizers import rmsprop as rmsprop
    from jaxmlp.optimizers import sgd as sgd
    from jaxmlp.tabular_config import TabularConfig as TabularConfig
    from jaxmlp.tabular_config import TabularParams as TabularParams
    from jaxmlp.training import Checkpoints as Checkpoints
    from jaxmlp.training import EarlyStopping as EarlyStopping
    from jaxmlp.training import FitResult as FitResult
    from jaxmlp.training import FitStatus as FitStatus
    from jaxmlp.training import History as History
    from jaxmlp.training import evaluate as evaluate
    from jaxmlp.training import fit as fit
    from jaxmlp.training import fit_steps as fit_steps
    from jaxmlp.types import Layer as Layer
    from jaxmlp.types import Params as Params

if TYPE_CHECKING:
    from jaxmlp import testing as testing
    from jaxmlp.diagnostics import Diagnostics as Diagnostics
    from jaxmlp.diagnostics import Finding as Finding
    from jaxmlp.diagnostics import FindingKind as FindingKind
    from jaxmlp.diagnostics import diagnose as diagnose
    from jaxmlp.diagnostics import hvp as hvp
    from jaxmlp.diagnostics import probe_layers as probe_layers
    from jaxmlp.lecture import explain_backward as explain_backward
    from jaxmlp.lecture import fit_perceptron as fit_perceptron
    from jaxmlp.lecture import threshold_unit as threshold_unit
    from jaxmlp.models import load as load
    from jaxmlp.models import save as save
    from jaxmlp.per_example import clipped_grad_sum as clipped_grad_sum
    from jaxmlp.per_example import clipped_step as clipped_step
    from jaxmlp.per_example import gradient_noise_scale as gradient_noise_scale
    from jaxmlp.per_example import per_example_grad_norms as per_example_grad_norms
    from jaxmlp.sweeps import cross_validate as cross_validate
    from jaxmlp.sweeps import successive_halving as successive_halving
    from jaxmlp.sweeps.ensemble import ensemble as ensemble
    from jaxmlp.sweeps.sweep import sweep as sweep
    from jaxmlp.verification import assert_gradients as assert_gradients
    from jaxmlp.verification import check_gradients as check_gradients

    __version__: str

# What a training does not need is imported when it is first used: half of the time of the import.
_LATER = {
    "diagnostics": (
        "Diagnostics",
        "Finding",
        "FindingKind",
        "diagnose",
        "hvp",
        "probe_layers",
    ),
    "lecture": ("explain_backward", "fit_perceptron", "threshold_unit"),
    "models": ("load", "save"),
    "per_example": (
        "clipped_grad_sum",
        "clipped_step",
        "gradient_noise_scale",
        "per_example_grad_norms",
    ),
    "sweeps": ("cross_validate", "ensemble", "successive_halving", "sweep"),
    "testing": (),
    "verification": ("assert_gradients", "check_gradients"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    for package, names in _LATER.items():
        if name == package or name in names:
            module = import_module(f"{__name__}.{package}")
            return module if name == package else getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    """Return the version of the installed package, which comes from the tags of its repository."""
    from importlib import metadata  # its import takes a tenth of that of this library

    try:
        return metadata.version("jaxmlp")
    except metadata.PackageNotFoundError:  # a checkout on the path, not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *(name for names in _LATER.values() for name in names)})
