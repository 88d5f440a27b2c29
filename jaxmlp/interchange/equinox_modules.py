"""Weights from and to equinox: eqx.nn.MLP, and eqx.nn.Sequential of Linear and Lambda."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.activations import ACTIVATIONS, identity
from jaxmlp.config import ActivationLike
from jaxmlp.interchange.export_plan import plan_of
from jaxmlp.interchange.foreign import Block, Dense, assemble, known_activation, layers_alone
from jaxmlp.models.model import NetworkLike
from jaxmlp.networks import Network
from jaxmlp.optional import import_optional

if TYPE_CHECKING:
    import equinox

_Function: TypeAlias = Callable[..., Any]  # of an array, as activations are


def _gelu_exact(z: jax.Array) -> jax.Array:
    return jax.nn.gelu(z, approximate=False)


# Our name -> JAX's own function, so that a network that leaves does not need jaxmlp.
_JAX_FUNCTIONS: dict[str, _Function] = {
    "identity": identity,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "gelu": jax.nn.gelu,
    "gelu_exact": _gelu_exact,
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
}


def from_equinox(
    module: "equinox.nn.MLP | equinox.nn.Sequential",
    *,
    activation: ActivationLike | tuple[ActivationLike, ...] | None = None,
) -> Network:
    """Read an eqx.nn.MLP, or an eqx.nn.Sequential of Linear and Lambda.

    equinox keeps a weight as (out, in), y = weight x + bias; here W = weight^T, (in, out).

    Args:
        module: the network; equinox works on one example, ours on rows.
        activation: of the hidden layers; None to read it, which needs a function of JAX that is in
            the registry, such as jax.nn.relu.

    Returns:
        (config, params, state); state is ().

    Raises:
        ImportError: if equinox is not installed.
        ValueError: for other layers, an activation of the outputs, or an activation that is not
            known here; or float64 weights while JAX runs without 64-bit types.

    Example: (needs equinox)
        `config, params, state = from_equinox(eqx.nn.MLP(2, 1, 8, 2, key=jax.random.key(0)))`

    Reference: lecture, chapter VIII.
    """
    eqx = _equinox()
    if isinstance(module, eqx.nn.MLP):
        linear = _unstack(module)
        functions: list[_Function] = [module.activation] * module.depth
        _check_last(module.final_activation)
    elif isinstance(module, eqx.nn.Sequential):
        linear, functions = _walk(eqx, module)
    else:
        raise ValueError(
            f"a {type(module).__name__} is neither eqx.nn.MLP nor eqx.nn.Sequential; build one of "
            "these from its layers."
        )
    blocks = [Block(Dense(np.asarray(layer.weight).T, _vector(layer.bias))) for layer in linear]
    return assemble(blocks, activation or tuple(_name(fn) for fn in functions))


def to_equinox(model: NetworkLike) -> "equinox.nn.MLP | equinox.nn.Sequential":
    """Make the equinox module of a network, with its weights.

    Args:
        model: the network; preprocessing and link are left to the caller.

    Returns:
        An eqx.nn.MLP if all hidden layers have one width and activation, else an eqx.nn.Sequential
        of Linear and Lambda; it turns one example (n_in,) into logits (n_out,), so `jax.vmap` it.
        Batch normalization is folded into the layer before it; there is no dropout.

    Raises:
        ImportError: if equinox is not installed.
        ValueError: if an activation is not in the registry, or params do not fit the config.

    Example: (needs equinox)
        `outputs = jax.vmap(to_equinox(model))(x)`
    """
    model = layers_alone(model)
    eqx = _equinox()
    steps = plan_of(model).steps
    key = jax.random.key(0)  # all that is drawn from it is replaced
    linear = []
    for step in steps:
        n_in, n_out = step.W.shape
        layer = eqx.nn.Linear(n_in, n_out, dtype=step.W.dtype, key=key)
        new = (jnp.asarray(step.W.T), jnp.asarray(step.b))
        linear.append(eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, new))
    functions = [
        _JAX_FUNCTIONS[known_activation(ACTIVATIONS[step.activation], _JAX_FUNCTIONS, "equinox")]
        for step in steps[:-1]
    ]
    widths = {step.W.shape[1] for step in steps[:-1]}
    if len(widths) <= 1 and len(set(functions)) <= 1:
        sizes = (steps[0].W.shape[0], steps[-1].W.shape[1], max(widths, default=1), len(functions))
        mlp: equinox.nn.MLP = eqx.nn.MLP(*sizes, *functions[:1], dtype=steps[0].W.dtype, key=key)
        mlp = eqx.tree_at(lambda mlp: mlp.layers, mlp, tuple(linear))
        return mlp
    parts = [linear[0]]
    for fn, layer in zip(functions, linear[1:], strict=True):
        parts += [eqx.nn.Lambda(fn), layer]
    sequential: equinox.nn.Sequential = eqx.nn.Sequential(parts)
    return sequential


def _equinox() -> Any:
    return import_optional("equinox", "this needs equinox", "jaxmlp[interop]")


def _unstack(mlp: "equinox.nn.MLP") -> list["equinox.nn.Linear"]:
    """The linear layers one by one; with scan=True the hidden ones are stacked in one."""
    if not mlp.scan or mlp.depth < 2:
        return list(mlp.layers)
    first, stacked, last = mlp.layers
    return [
        first,
        *(jax.tree.map(lambda leaf: leaf[i], stacked) for i in range(mlp.depth - 1)),  # noqa: B023
        last,
    ]


def _walk(
    eqx: Any, sequential: "equinox.nn.Sequential"
) -> tuple[list["equinox.nn.Linear"], list[_Function]]:
    """Linear layers, and the function between each two."""
    linear: list[equinox.nn.Linear] = []
    functions: list[_Function] = []
    for part in sequential.layers:
        if isinstance(part, eqx.nn.Linear):
            functions += [identity] * (len(linear) - len(functions))
            linear.append(part)
        elif isinstance(part, eqx.nn.Lambda) and len(functions) < len(linear):
            functions.append(part.fn)
        elif not isinstance(part, eqx.nn.Dropout | eqx.nn.Identity):
            raise ValueError(
                f"a {type(part).__name__} in this place has no counterpart here; known are Linear, "
                "one Lambda after it, Dropout and Identity."
            )
    if linear and len(functions) == len(linear):
        _check_last(functions.pop())
    if not linear:
        raise ValueError("there is no eqx.nn.Linear in it.")
    return linear, functions


def _vector(bias: jax.Array | None) -> np.ndarray | None:
    return None if bias is None else np.asarray(bias).reshape(-1)  # () where out_size is "scalar"


def _check_last(fn: _Function) -> None:
    """Refuse an activation of the outputs: ours are logits."""
    values = jnp.linspace(-3, 3, 7)
    if fn is not identity and not bool(jnp.array_equal(fn(values), values)):
        raise ValueError(
            "the network ends with an activation, but the outputs of ours are logits: leave it "
            "out, and choose a loss whose link it is."
        )


def _name(fn: _Function) -> str:
    for name, known in _JAX_FUNCTIONS.items():
        if fn is known:
            return name
    grid = jnp.linspace(-5, 5, 101)  # a wrapper around a function that we know
    try:
        for name, known in _JAX_FUNCTIONS.items():
            if jnp.allclose(jax.vmap(fn)(grid), known(grid), rtol=1e-6, atol=1e-7):
                return name
    except TypeError:  # it takes other arguments than one number
        pass
    raise ValueError(
        f"the activation {fn!r:.80} is not one of {', '.join(sorted(_JAX_FUNCTIONS))}; pass "
        "activation=..., a jaxmlp.Activation of your own."
    )
