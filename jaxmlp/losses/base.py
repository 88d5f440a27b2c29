"""The record of a loss, and what all of them share."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxmlp.checks import unknown_name
from jaxmlp.types import ScalarLike

Logits: TypeAlias = Float[Array, "batch n_out"]
Targets: TypeAlias = Float[Array, "batch n_out"] | Float[Array, " batch"]
ValuesAndGrad: TypeAlias = tuple[Float[Array, " batch"], Float[Array, "batch n_out"]]
_Task: TypeAlias = Literal["classification", "regression"]


def identity_link(logits: Logits) -> Logits:
    """Predict the logits themselves."""
    return logits


@dataclass(frozen=True)
class Loss:
    """A loss with its gradient.

    Args:
        name: what reports and model files call it.
        value_and_grad: (logits (batch, n_out), targets, **options) -> (values (batch,), gradient
            with respect to the logits (batch, n_out)); one value an example, of its own row only.
        link: logits -> predictions: probabilities, rates, or the logits themselves.
        task: "classification" or "regression"; decides on the metrics.
        options: (name, default) of each option; arrays of shape (), so that a sweep over them
            compiles once.
        by_hand: whether the gradient was written by hand; else it comes from `jax.grad`.

    Raises:
        TypeError: if `value_and_grad` or `link` cannot be called.
        ValueError: for another task.

    Example:
        >>> from jaxmlp.losses import get_loss
        >>> loss = get_loss("huber")
        >>> loss.options
        (('delta', 1.0),)
        >>> loss.value_and_grad(jnp.array([[5.0]]), jnp.array([1.0]), delta=2.0)[0].tolist()
        [6.0]

    Reference: lecture, chapters III and V.
    """

    name: str
    value_and_grad: Callable[..., ValuesAndGrad]
    link: Callable[[Logits], Array]
    task: _Task
    options: tuple[tuple[str, float], ...] = ()
    by_hand: bool = True

    def __post_init__(self) -> None:
        """Check what would otherwise fail far from here."""
        for field in ("value_and_grad", "link"):
            if not callable(getattr(self, field)):
                raise TypeError(
                    f"{field} of loss {self.name!r} is {getattr(self, field)!r}; pass a function."
                )
        if self.task not in ("classification", "regression"):
            raise unknown_name("task of a loss", self.task, ("classification", "regression"))

    @classmethod
    def from_value(
        cls,
        name: str,
        value_fn: Callable[..., Float[Array, " batch"]],
        link: Callable[[Logits], Array] = identity_link,
        *,
        task: _Task = "regression",
        options: tuple[tuple[str, float], ...] = (),
    ) -> "Loss":
        """Make a loss of your own from its values; `jax.grad` makes the gradient.

        Args:
            name: not one of the built-in names.
            value_fn: (logits (batch, n_out), targets, **options) -> values (batch,), each of its
                own row only; a module-level function, since another function object (a fresh
                lambda) is another loss, which compiles anew.
            link: logits -> predictions.
            task: "classification" or "regression".
            options: (name, default) of each option.

        Returns:
            The record, to be passed wherever the name of a loss is.

        Example:
            >>> def log_cosh(logits, targets):
            ...     return jnp.sum(jnp.log(jnp.cosh(logits - targets)), axis=1)
            >>> loss = Loss.from_value("log_cosh", log_cosh)
            >>> loss.value_and_grad(jnp.ones((2, 1)), jnp.ones((2, 1)))[1].tolist()
            [[0.0], [0.0]]
        """
        return cls(name, _Autodiff(name, value_fn), link, task, options, by_hand=False)


@dataclass(frozen=True)
class _Autodiff:
    """A gradient by jax.grad; a class so that equal functions give equal, picklable records."""

    name: str
    value_fn: Callable[..., Float[Array, " batch"]]

    def __call__(self, logits: Logits, targets: Any, **options: ScalarLike) -> ValuesAndGrad:
        def total(logits: Logits) -> tuple[Array, Array]:
            values = self.value_fn(logits, targets, **options)
            if jnp.shape(values) != logits.shape[:1]:
                raise ValueError(
                    f"loss {self.name!r} returned values of shape {jnp.shape(values)} for logits "
                    f"of shape {logits.shape}; return one value an example, of shape "
                    f"{logits.shape[:1]}, neither summed nor averaged over the batch."
                )
            return jnp.sum(values), values

        d_logits, values = jax.grad(total, has_aux=True)(logits)
        return values, d_logits


def named_options(rule: Callable[..., ValuesAndGrad]) -> Callable[..., ValuesAndGrad]:
    """Answer an unknown option with the known ones."""
    parameters = inspect.signature(rule).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    @wraps(rule)
    def checked(logits: Logits, targets: Any, **options: ScalarLike) -> ValuesAndGrad:
        for name in options:
            if not known:
                raise ValueError(f"{rule.__name__} takes no options, but got {name!r}; drop it.")
            if name not in known:
                raise unknown_name(f"option of {rule.__name__}", name, known)
        return rule(logits, targets, **options)

    return checked
