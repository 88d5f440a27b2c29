"""What an update rule is, and how rules are combined.

An optimizer is two functions, `init(params) -> state` and `update(grads, state, params) ->
(updates, state)`; updates are *added* to the parameters. Both are `jax.tree_util.Partial`s: the
function is static, its hyperparameters are leaves. So `jit` takes an optimizer as an argument and
compiles once for every learning rate, and `jax.vmap(jaxmlp.adam)(rates)` is an optimizer for many
networks at once.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Int

from jaxmlp.barriers import barrier
from jaxmlp.optimizers.closures import shared_function
from jaxmlp.types import Params, PyTree, ScalarLike, Schedule, wide_dtype

Rate = ScalarLike | Schedule
_Rule = TypeVar("_Rule", bound=Callable[..., Any])
_ENTRYWISE: set[Callable[..., Any]] = set()


class Optimizer(NamedTuple):
    """An update rule; it goes wherever an optax transformation goes.

    Attributes:
        init: params -> state.
        update: (grads, state, params=None) -> (updates, state).
    """

    init: Callable[..., PyTree]
    update: Callable[..., tuple[PyTree, PyTree]]


class CountState(NamedTuple):
    """The state of a rule that remembers nothing but the number of steps."""

    count: Int[Array, ""]  # type: ignore[assignment]  # optax's name, over tuple.count


def entrywise(update: _Rule) -> _Rule:
    """Mark a rule that treats every entry of a leaf alike, wherever it stands in the leaf."""
    _ENTRYWISE.add(update)
    return update


def is_entrywise(optimizer: Optimizer) -> bool:
    """Whether a rule does the same to transposed matrices; of foreign rules that is not known.

    >>> from jaxmlp.optimizers import adam, clip_by_global_norm
    >>> is_entrywise(chain(clip_by_global_norm(1.0), adam()))
    True
    """
    update: Any = optimizer.update
    if update.func is _chain_update:
        return all(part.func in _ENTRYWISE for part in update.args[0])
    return update.func in _ENTRYWISE


def make_optimizer(init: Any, update: Any, hyper: NamedTuple) -> Optimizer:
    """Bind hyperparameters to module-level functions init(hyper, params), update(hyper, ...)."""
    return Optimizer(Partial(init, hyper), Partial(update, hyper))


def apply_updates(params: Params, updates: Params) -> Params:
    """Add updates to parameters: theta <- theta + update.

    Args:
        params: any pytree of arrays.
        updates: the same pytree, from `optimizer.update`.

    Returns:
        New parameters, in the dtypes of `params`.

    Example:
        >>> apply_updates({"w": jnp.ones(2)}, {"w": jnp.full(2, -0.25)})["w"].tolist()
        [0.75, 0.75]

    Reference: lecture, chapter V (the update step).
    """
    updated: Params = jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates)
    return updated


def chain(*optimizers: Any) -> Optimizer:
    """Apply rules one after another, each to the updates of the one before.

    Args:
        optimizers: rules of this library or of optax, such as a clipping and a rule.

    Returns:
        One rule, whose leaves are those of its parts.

    Raises:
        TypeError: for anything that is not an optimizer.

    Example:
        >>> from jaxmlp.optimizers import clip_by_global_norm, sgd
        >>> optimizer = chain(clip_by_global_norm(1.0), sgd(0.5))
        >>> updates, _ = optimizer.update(jnp.array([3.0, 4.0]), optimizer.init(jnp.zeros(2)))
        >>> [round(u, 3) for u in updates.tolist()]
        [-0.3, -0.4]
    """
    parts = tuple(as_optimizer(optimizer) for optimizer in optimizers)
    return Optimizer(
        Partial(_chain_init, tuple(part.init for part in parts)),
        Partial(_chain_update, tuple(part.update for part in parts)),
    )


def _chain_init(inits: tuple[Any, ...], params: PyTree) -> PyTree:
    return tuple(init(params) for init in inits)


def _chain_update(
    updates: tuple[Any, ...], grads: PyTree, state: PyTree, params: PyTree = None, **extra: Any
) -> tuple[PyTree, PyTree]:
    states = []
    for update, part_state in zip(updates, state, strict=True):
        grads, part_state = update(grads, part_state, params, **extra)
        states.append(part_state)
    return grads, tuple(states)


def as_optimizer(optimizer: Any) -> Optimizer:
    """Accept a rule of this library, or one of optax.

    Args:
        optimizer: an `Optimizer`, or an optax transformation. The latter's numbers are constants
            of the program, so one with other numbers compiles anew.

    Returns:
        An `Optimizer`.

    Raises:
        TypeError: for anything else; the message says what to write.

    Example:
        >>> import optax
        >>> as_optimizer(optax.sgd(0.1)).update(jnp.ones(1), optax.sgd(0.1).init(jnp.ones(1)))[0]
        Array([-0.1], dtype=float32)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if hasattr(optimizer, "update"):
        import optax  # here, for `import jaxmlp` would wait 80 ms for it

        if isinstance(optimizer, optax.GradientTransformation):
            return _wrap_optax(optimizer)
    if isinstance(optimizer, str):
        fix = f"pass the rule itself, such as optimizer=jaxmlp.{optimizer}(learning_rate=1e-3)"
    elif callable(optimizer):
        name = getattr(optimizer, "__name__", "adam")
        fix = f"call it, as in optimizer=jaxmlp.{name}(learning_rate=1e-3)"
    else:
        fix = "pass a rule such as jaxmlp.adam(learning_rate=1e-3), or one of optax"
    raise TypeError(f"optimizer is {optimizer!r:.60}, which is not an update rule: {fix}.")


@lru_cache(maxsize=32)  # the same object again need not be looked through
def _wrap_optax(transformation: Any) -> Optimizer:
    import optax

    wrapped = optax.with_extra_args_support(transformation)
    return Optimizer(*(Partial(shared_function(part)) for part in (wrapped.init, wrapped.update)))


def hyperparameter(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    closed: str = "[)",
) -> Any:
    """Bring a number into the one form that all programs share, and check its range.

    Python numbers and numpy scalars become 0-d float64 arrays on the host, so that 1, 1.0 and
    np.float32(1) are the same program, and `1 - beta` keeps its digits. JAX arrays pass through.
    """
    if isinstance(value, jax.Array):
        return value
    number = np.asarray(value) if np.ndim(value) == 0 else None
    if number is None or number.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {value!r:.60}; give a number (or a JAX array of shape ()).")
    above = number >= low if closed[0] == "[" else number > low
    below = number <= high if closed[1] == "]" else number < high
    if not (above and below):
        bounds = f"{closed[0]}{low:g}, {high:g}{closed[1]}"
        raise ValueError(f"{name} is {value}, but must lie in {bounds}.")
    return number.astype(np.float64)


def rate(value: Any, name: str = "learning_rate") -> Any:
    """Check a rate: a number >= 0, an array, or a schedule step -> rate."""
    if isinstance(value, Partial):
        return value
    if callable(value) and not isinstance(value, jax.Array):
        return Partial(shared_function(value))
    return hyperparameter(name, value, low=0.0)


def rate_at(learning_rate: Any, count: Int[Array, ""]) -> Any:
    """Return the rate at a step, counted from 0."""
    return learning_rate(count) if callable(learning_rate) else learning_rate


def cast(value: Any, like: Array) -> Array:
    """Bring a hyperparameter into the dtype of an array."""
    return jnp.asarray(value, like.dtype)


def complement(value: Any) -> Any:
    """Return 1 - value: on the host in float64 for numbers, where the digits are not lost."""
    return 1 - value


def next_count(count: Int[Array, ""]) -> Int[Array, ""]:
    """Count a step; stays at the largest int32 rather than wrapping around."""
    return jnp.where(count < np.iinfo(np.int32).max, count + 1, count)


def zeros_like(params: PyTree) -> PyTree:
    """Return moments of value 0, in the dtypes of the parameters."""
    return jax.tree.map(jnp.zeros_like, params)


def settle(moments: PyTree) -> PyTree:
    """Have the moments written before the updates are computed from them.

    Otherwise the compiler computes them twice, and copies the old ones that the second
    computation reads, instead of writing in place: 53 instead of 34 us a step for 64-128-10.
    """
    return barrier(moments)


def count_zero() -> Int[Array, ""]:
    """Return the number of steps before the first."""
    return jnp.zeros((), jnp.int32)


def global_norm(tree: PyTree) -> Array:
    """Return the Euclidean norm of all entries of all leaves together.

    Args:
        tree: any pytree of arrays.

    Returns:
        sqrt(sum of squares), a scalar in float32 at least.

    Example:
        >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}))
        5.0
    """
    leaves = jax.tree.leaves(tree)
    squares = [jnp.sum(jnp.square(leaf.astype(wide_dtype(leaf.dtype)))) for leaf in leaves]
    return jnp.sqrt(sum(squares[1:], squares[0]))
