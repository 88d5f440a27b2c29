"""One step by hand: both passes and the update for one example, stage by stage, with numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.lecture.trace import Trace, run_trace
from jaxmlp.losses import Loss
from jaxmlp.messages import phrase
from jaxmlp.play.learner import Learner
from jaxmlp.types import Params
from jaxmlp.verification.measurement.functions import float64_arithmetic, promote

_Stage = dict[str, Any]


def walk(learner: Learner, example: int) -> dict[str, Any]:
    """Go through one step with one example of the training part.

    Args:
        learner: the network; it stays as it is.
        example: row of the training part.

    Returns:
        JSON-ready: "stages", each with its key, the formula, the numbers, and, in the backward
        pass, what jax.grad has for the same.

    Raises:
        ValueError: if there is no such example, or the network normalizes batches.

    Example:
        >>> from jaxmlp.play.examples import make_examples
        >>> from jaxmlp.play.settings import DataSettings, NetworkSettings
        >>> learner = Learner(NetworkSettings(), make_examples(DataSettings()))
        >>> [stage["key"] for stage in walk(learner, 0)["stages"]][:4]
        ['walk_x', 'walk_z', 'walk_h', 'walk_o']

    Reference: lecture, chapter V.
    """
    _check_example(learner, example)
    x, y = (
        part[example : example + 1] for part in (learner.examples.train.x, learner.examples.train.y)
    )
    l2 = learner.settings.l2
    with float64_arithmetic():
        config = learner.config.replace(dtype="float64", dropout=False)
        params, wide_x, wide_y = promote((learner.params, jnp.asarray(x), jnp.asarray(y)))
        trace = run_trace(config, params, wide_x, wide_y, learner.loss, l2)
        oracle = _by_autodiff(config, learner.loss, params, wide_x, wide_y, l2)
    stages = [*_forward(trace), *_backward(trace, oracle), *_update(learner, example)]
    return {"example": example, "step": learner.step, "stages": stages}


def step_by_hand(
    learners: list[Learner], chosen: Learner, example: int, step: int
) -> dict[str, Any]:
    """Take the step that was gone through, with all networks: they stay together.

    Args:
        learners: the networks.
        chosen: the one that was gone through.
        example: row of the training part.
        step: at which that one was.

    Returns:
        JSON-ready: "walk", the way through what came of it.

    Raises:
        ValueError: if the network has gone on or diverged, and as `walk` does; all is then as it
            was.
    """
    if any(learner.diverged for learner in learners):
        raise ValueError(phrase("the network has diverged; go back in time."))
    if chosen.step != step:
        raise ValueError(
            phrase("the network is at step {k} by now; begin once more.", k=chosen.step)
        )
    for learner in learners:
        _check_example(learner, example)
    for learner in learners:
        learner.step_by_hand(example)
    return {"walk": walk(chosen, example)}


def _check_example(learner: Learner, example: int) -> None:
    """Refuse an example with which no step can be taken by hand."""
    n_rows = len(learner.examples.train.x)
    if example >= n_rows:
        raise ValueError(
            phrase("example is {k}, but there are {n}, counted from 0.", k=example, n=n_rows)
        )
    if any(learner.config.normalized):
        raise ValueError(
            phrase(
                "batch normalization mixes all examples of a batch, so one alone makes no step by "
                "hand; switch it off."
            )
        )


def _stage(
    key: str, symbols: str, values: Any, *, number: int = 0, layer: int = -1, oracle: Any = None
) -> _Stage:
    return {
        "key": key, "symbols": symbols, "number": number, "layer": layer,
        "values": _numbers(values), "oracle": None if oracle is None else _numbers(oracle),
    }  # fmt: skip


def _numbers(values: Any) -> Any:
    array = np.asarray(values, np.float64)
    if array.ndim == 2 and len(array) == 1:
        array = array[0]
    return np.where(np.isfinite(array), array, 1e300 * np.sign(np.nan_to_num(array))).tolist()


def _forward(trace: Trace) -> list[_Stage]:
    stages = [_stage("walk_x", "x", trace.x)]
    for l in range(trace.n_layers):
        W, b, z, h = (trace.name(letter, l) for letter in "Wbzh")
        last = l == trace.n_layers - 1
        affine = f"{z} = {W}ᵀ {trace.below(l)} + {b}"
        stages.append(_stage("walk_o" if last else "walk_z", affine, trace.z[l], layer=l))
        if not last:
            phi = trace.config.activations[l].name
            stages.append(_stage("walk_h", f"{h} = {phi}({z})", trace.h[l], layer=l))
    penalty = " + s" if trace.l2 else ""
    total = trace.value + trace.penalty
    return [
        *stages,
        _stage("walk_loss", f"J = l(o, y){penalty},  y = {float(trace.y.ravel()[0]):g}", total),
    ]


def _backward(trace: Trace, oracle: dict[str, list[Any]]) -> list[_Stage]:
    last = trace.n_layers - 1
    found = [
        _stage("walk_1", "∂J/∂o = ∂l/∂o", trace.d_h[last], number=1, layer=last,
               oracle=oracle["h"][last])
    ]  # fmt: skip
    penalty = " + λ {W}" if trace.l2 else ""
    for l in reversed(range(trace.n_layers)):
        W, b, z, h = (trace.name(letter, l) for letter in "Wbzh")
        first, second = (2, 3) if l == last else (6, 7)
        if l != last:
            above = trace.name("z", l + 1)
            found += [
                _stage("walk_4", f"∂J/∂{h} = {trace.name('W', l + 1)} ∂J/∂{above}", trace.d_h[l],
                       number=4, layer=l, oracle=oracle["h"][l]),
                _stage("walk_5", f"∂J/∂{z} = ∂J/∂{h} ⊙ {trace.config.activations[l].name}′({z})",
                       trace.d_z[l], number=5, layer=l, oracle=oracle["z"][l]),
            ]  # fmt: skip
        found += [
            _stage(f"walk_{first}", f"∂J/∂{W} = {trace.below(l)} (∂J/∂{z})ᵀ{penalty.format(W=W)}",
                   trace.d_W[l], number=first, layer=l, oracle=oracle["W"][l]),
            _stage(f"walk_{second}", f"∂J/∂{b} = ∂J/∂{z}", trace.d_b[l], number=second, layer=l,
                   oracle=oracle["b"][l]),
        ]  # fmt: skip
    return found


def _by_autodiff(
    config: MLPConfig, loss: Loss, params: Params, x: Any, y: Any, l2: float
) -> dict[str, list[Any]]:
    """What jax.grad has for everything that the backward pass finds.

    J's derivative by a number that is added to z or h is that by z or h itself.
    """
    zeros = [jnp.zeros((1, size)) for size in config.layer_sizes[1:]]

    def J(params: Params, to_z: list[Any], to_h: list[Any]) -> Any:
        h = x
        for layer, phi, dz, dh in zip(params, config.activations, to_z, to_h, strict=True):
            h = phi.fn(h @ layer.W + layer.b + dz) + dh
        penalty = sum(jnp.sum(layer.W**2) for layer in params)
        return jnp.sum(loss.value_and_grad(h, y)[0]) + l2 / 2 * penalty

    grads, d_z, d_h = jax.grad(J, argnums=(0, 1, 2))(params, zeros, zeros)
    return {"W": [g.W for g in grads], "b": [g.b for g in grads], "z": d_z, "h": d_h}


def _update(learner: Learner, example: int) -> list[_Stage]:
    """What the update rule, with its moments as they stand, makes of this gradient."""
    config = learner.config
    updates, new, _ = learner.update_by_hand(example)
    two = config.n_layers == 2
    stages = []
    for l in range(config.n_layers):
        name = (
            ("_o" if l == config.n_layers - 1 else "_h")
            if two or l + 1 == config.n_layers == 1
            else str(l + 1)
        )
        for letter in ("W", "b"):
            value, change = getattr(new[l], letter), getattr(updates[l], letter)
            formula = f"{letter}{name} ← {letter}{name} + Δ{letter}{name}"
            stages.append(
                {**_stage("walk_update", formula, value, layer=l), "change": _numbers(change)}
            )
    return stages
