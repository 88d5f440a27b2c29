"""What a picture holds of each network: numbers in its head, and arrays behind it."""

import math
from typing import Any

import numpy as np

from jaxmlp.play.learner import Learner
from jaxmlp.play.looking import Look


def head_of_network(learner: Learner, found: Look) -> dict[str, Any]:
    """Say in numbers how a network stands, JSON-ready; null is no finite number."""
    return {
        "step": learner.step,
        "epoch": learner.step // learner.steps_per_epoch,
        "diverged": learner.diverged,
        "scores": [_finite(value) for value in np.ravel(found.scores)],
        "signal": [_finite(value) for value in np.ravel(found.signal)],
    }


def arrays_of_network(index: int, learner: Learner, found: Look) -> dict[str, np.ndarray]:
    """Return a network's arrays, by name and index.

    Parameters and gradients are flat, layer by layer: W row by row, then b, or beta where batch
    normalization stands in its place.
    """

    def flat(layers: Any) -> np.ndarray:
        parts = [part for layer in layers for part in (layer.W, _bias(layer))]
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)

    arrays = {
        "surface": found.surface, "units": found.units, "flat": found.flat,
        "params": flat(learner.params), "gradients": flat(found.gradients),
    }  # fmt: skip
    return {f"{name}{index}": np.asarray(array) for name, array in arrays.items()}


def _bias(layer: Any) -> Any:
    return layer.beta if layer.b is None else layer.b


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
