"""The first value that is not finite: its step, layer and tensor."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxmlp.messages import phrase
from jaxmlp.networks import layers_of
from jaxmlp.training.chunk import copy_tree, run_chunk
from jaxmlp.training.program import Carry, Program
from jaxmlp.training.runner import Runner
from jaxmlp.types import Cache, Params, PyTree

_FORWARD = (phrase("inputs"), "W", "b", phrase("outputs"))
_BACKWARD = (phrase("gradient of W"), phrase("gradient of b"))
_UPDATE = (phrase("update of W"), phrase("update of b"))


@dataclass(frozen=True)
class NonFinite:
    """Where NaN or infinity first appeared.

    Attributes:
        step: counted from 0, as `result.carry.stopped_at` is.
        layer: counted from 0.
        tensor: "inputs" of the layer, its "W" or "b", its "outputs", the "loss" (of finite
            logits), the "gradient of W" or "of b", or the "update of W" or "of b". Under batch
            normalization "b" stands for gamma and beta; it stands for alpha, too.
    """

    step: int
    layer: int
    tensor: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"step {self.step}, layer {self.layer}: {self.tensor}"


class _Flags(NamedTuple):
    """Which tensors of a step are finite throughout, (layers, tensors) each, in order of rise."""

    forward: Array
    backward: Array
    update: Array


def tensor_flags(
    params: Params, cache: Cache, grads: Params, updates: Params | None = None
) -> _Flags:
    """Ask every tensor of a step whether it is finite; under jit.

    Args:
        params: the parameters.
        cache: of the forward pass.
        grads: the gradients.
        updates: of every layer, or None.

    Returns:
        The flags.
    """
    forward = [
        [kept.inputs, layer.W, layer[1:], kept.residual]
        for layer, kept in zip(params, cache, strict=True)
    ]
    backward = [[grad.W, grad[1:]] for grad in grads]
    update = [[None, None] if u is None else [u.W, u[1:]] for u in updates or [None] * len(params)]
    return _Flags(*(_all_finite(part) for part in (forward, backward, update)))


@dataclass(frozen=True)
class _FiniteProbe:
    """A probe that looks at every tensor of a step."""

    frozen: tuple[int, ...] = ()

    def __call__(self, *parts: Any) -> _Flags:
        """Look at params, cache, gradients and updates; of a table's network, at its layers."""
        params, cache, grads, updates = map(layers_of, parts)
        moving = iter(updates)
        changes = tuple(None if l in self.frozen else next(moving) for l in range(len(params)))
        return tensor_flags(params, cache, grads, changes)  # type: ignore[arg-type]


def first_non_finite(flags: _Flags) -> tuple[int, str] | None:
    """Return (layer, tensor) of the first tensor that is not finite, in the order of computing.

    Args:
        flags: of one step.

    Returns:
        The layer and the tensor's name, or None if all is finite.

    Example:
        >>> fine, bad = jnp.ones((2, 4), bool), jnp.array([[True, True], [False, True]])
        >>> first_non_finite(_Flags(fine, bad, jnp.ones((2, 2), bool)))
        (1, 'gradient of W')
    """
    n_layers = len(flags.forward)
    upwards, downwards = range(n_layers), range(n_layers - 1, -1, -1)
    parts = (
        (flags.forward, _FORWARD, upwards),
        (flags.backward, _BACKWARD, downwards),
        (flags.update, _UPDATE, upwards),
    )
    for flag, names, layers in parts:
        for l in layers:
            for name, finite in zip(names, np.asarray(flag)[l], strict=True):
                if not finite:
                    return l, name
    return None


def replay(run: Runner, carry: Carry, first: int, stopped_at: int) -> NonFinite | None:
    """Take the last steps of a diverged run again, and look at every tensor of them.

    The same compiled program goes up to the step before the recorded one; that step and the next
    then run with every tensor looked at. (An infinite gradient or update leaves the loss of its own
    step finite: it shows in the next one.)

    Args:
        run: the run.
        carry: where it stood before step `first`.
        first: a step before `stopped_at`, or 0.
        stopped_at: the step whose loss was not finite.

    Returns:
        Where it happened, or None if the replay stayed finite.
    """

    def take_steps(program: Program, carry: Carry, first: int, n_steps: int) -> Any:
        numbers = tuple(np.uint32(n) for n in (run.steps_per_epoch, first, n_steps))
        return run_chunk(program, None, carry, run.members, run.shared, numbers)

    carry = copy_tree(carry)  # the steps are donated what they are given
    program, step, before = run.program, first, max(stopped_at - 1, first)
    epochs = program.history_rows * run.steps_per_epoch
    readings = program.probe_rows * program.probe_every
    while step < before:
        n_steps = min(before - step, epochs - step % run.steps_per_epoch)
        if program.probe is not None:
            n_steps = min(n_steps, readings - step % program.probe_every)
        carry, _ = take_steps(program, carry, step, n_steps)
        step += n_steps
    # Two calls of one step: the second must see what the first made of the parameters.
    looking = replace(program, probe=_FiniteProbe(program.frozen), probe_every=1, probe_rows=1)
    for step in range(before, stopped_at + 1):
        carry, seen = take_steps(looking, carry, step, 1)
        flags = jax.tree.map(lambda rows: rows[0], jax.device_get(seen.probed))
        if step == stopped_at and flags.forward.all():
            return NonFinite(step, program.config.n_layers - 1, phrase("loss"))
        found = first_non_finite(flags)
        if found is not None:
            return NonFinite(step, *found)
    return None


def _all_finite(rows: list[list[PyTree]]) -> Array:
    """(rows, columns) of: every leaf of this entry is finite."""
    return jnp.stack([jnp.stack([_finite(entry) for entry in row]) for row in rows])


def _finite(tree: PyTree) -> Array:
    leaves = jax.tree.leaves(tree)
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves] or [jnp.array(True)]))
