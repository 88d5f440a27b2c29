"""The same training run in each library, written as its competent user would.

Every peer is a function (problem) -> fit, and fit(seed) -> the final parameters as a list of
(W, b), so that one yardstick (`final_loss`) measures all of them. All start from the same
Glorot-uniform weights (scikit-learn: from its own draw of them), run Adam in float32 over full
epochs with the ragged last batch, and draw a fresh order for every epoch.

This folder imports nothing of the package around it, and a peer imports its library when it is
made: `python -m peers` in a fresh process pays for one library only.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from .problem import Fit as Fit
from .problem import Problem as Problem
from .problem import Weights as Weights
from .problem import final_loss as final_loss
from .problem import initial_weights as initial_weights


class Peer(NamedTuple):
    """Where a peer is, and which packages it needs."""

    module: str
    function: str
    packages: tuple[str, ...]


OWN = "jaxmlp"
PEERS = {
    OWN: Peer("own", "by_hand", ("jaxmlp",)),
    "jaxmlp, bfloat16 products": Peer("own", "in_bfloat16", ("jaxmlp",)),
    "jaxmlp, autodiff": Peer("own", "by_autodiff", ("jaxmlp",)),
    "flax + optax, compiled scan": Peer("flax_optax", "compiled_scan", ("flax", "optax")),
    "flax + optax, jitted step": Peer("flax_optax", "jitted_step", ("flax", "optax")),
    "equinox + optax, compiled scan": Peer("equinox_optax", "compiled_scan", ("equinox", "optax")),
    "scikit-learn": Peer("sklearn_mlp", "mlp", ("sklearn",)),
    "PyTorch, eager": Peer("torch_mlp", "eager", ("torch",)),
    "PyTorch, compiled": Peer("torch_mlp", "compiled", ("torch",)),
    "numpy, by hand": Peer("numpy_mlp", "by_hand", ("numpy",)),
}


def available(name: str) -> bool:
    """Whether the packages that a peer needs are installed."""
    return all(find_spec(package) is not None for package in PEERS[name].packages)


def make(name: str) -> Callable[[Problem], Fit]:
    """Import a peer and its library, and return its function."""
    return getattr(import_module(f".{PEERS[name].module}", __package__), PEERS[name].function)
