"""What the page is told besides pictures: what there is to choose, the examples, the networks."""

from typing import Any

import numpy as np

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.diagnostics.flatness import slopes
from jaxmlp.play.examples import Examples
from jaxmlp.play.learner import Learner
from jaxmlp.play.settings import (
    DATA_SETS,
    INITIALIZER_NAMES,
    LOSSES,
    MOST_LAYERS,
    MOST_POINTS,
    MOST_UNITS,
    PLANE_INPUTS,
    RULES,
)


def describe_choices() -> dict[str, Any]:
    """Say what can be chosen, JSON-ready."""
    return {
        "data": list(DATA_SETS),
        "inputs": list(PLANE_INPUTS),
        "activations": list(ACTIVATIONS),
        "initializers": list(INITIALIZER_NAMES),
        "rules": {name: [number._asdict() for number in rule] for name, rule in RULES.items()},
        "losses": {task: list(names) for task, names in LOSSES.items()},
        "most": {"layers": MOST_LAYERS, "units": MOST_UNITS, "points": MOST_POINTS},
    }


def describe_data(examples: Examples) -> dict[str, Any]:
    """Say what the page draws of the examples, JSON-ready.

    >>> from jaxmlp.play.examples import make_examples
    >>> from jaxmlp.play.settings import DataSettings
    >>> describe_data(make_examples(DataSettings()))["axes"]
    ['x1', 'x2']
    """
    return {
        "task": examples.task,
        "classes": list(examples.class_names or ()),
        "train": _drawn(examples.train_points, examples.train.y),
        "test": _drawn(examples.test_points, examples.test.y),
        "extent": list(examples.extent),
        "axes": list(examples.axes),
        "inputs": list(examples.train.feature_names),
        "target": examples.target_name,
        "sliders": list(examples.sliders),
        "images": [] if examples.images is None else examples.images.astype(int).tolist(),
    }


def _drawn(points: np.ndarray, y: np.ndarray) -> list[list[float]]:
    table = np.column_stack([points, y]).astype(np.float64)
    rows: list[list[float]] = np.round(table, 4).tolist()
    return rows


def describe_network(learner: Learner) -> dict[str, Any]:
    """Say how a network is built, JSON-ready."""
    config = learner.config
    return {
        "sizes": list(config.layer_sizes),
        "activations": [phi.name for phi in config.activations],
        "saturates": [slopes(phi).saturates for phi in config.activations[:-1]],
        "parameters": config.n_parameters,
        "loss": learner.loss.name,
        "batch_size": learner.batch_size,
        "steps_per_epoch": learner.steps_per_epoch,
        "step": learner.step,
    }
