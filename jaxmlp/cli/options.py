"""What a run is asked for, and the network and update rule that follow from it."""

from dataclasses import dataclass
from typing import Any

import jaxmlp
from jaxmlp.checks import unknown_name
from jaxmlp.losses import get_loss
from jaxmlp.optimizers import (
    SCHEDULES,
    chain,
    clip_by_global_norm,
    get_optimizer_factory,
    make_schedule,
)
from jaxmlp.recipes import RECIPES, RecipeSettings

# Each rule's usual rate for networks of this kind; momentum's is that of its damped form.
_LEARNING_RATES = {
    "gd": 0.1, "sgd": 0.1, "momentum": 0.1, "nesterov": 0.01,
    "adagrad": 0.05, "rmsprop": 1e-3, "adam": 1e-3, "adamw": 1e-3,
}  # fmt: skip
_DTYPES = ("float32", "float64", "bfloat16")


@dataclass(frozen=True)
class Options:
    """Everything that a run was asked for; the defaults are those of the command."""

    data: str = "digits"
    layers: tuple[int, ...] = (128,)
    activation: str = "relu"
    init: str = "auto"
    batch_norm: bool = False
    dropout: float = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "constant"
    batch_size: int = 64
    epochs: int = 30
    l2: float = 0.0
    label_smoothing: float = 0.0
    clip: float | None = None
    patience: int | None = None
    gradient: str = "manual"
    dtype: str = "float32"
    seed: int = 0
    recipe: str = "plain"
    trees: bool = False

    @property
    def rate(self) -> float:
        """The learning rate asked for, or the rule's own."""
        if self.learning_rate is not None:
            return self.learning_rate
        return _LEARNING_RATES[self.optimizer]


def parse_layers(text: str) -> tuple[int, ...]:
    """Read the sizes of the hidden layers; none ("") makes a linear model.

    >>> parse_layers("512, 256")
    (512, 256)
    """
    try:
        return tuple(int(size) for size in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError(f"--layers is {text!r}; give sizes such as 128 or 512,256.") from None


def check_options(options: Options) -> None:
    """Refuse what would fail only after the data are loaded, in the words of the options."""
    get_optimizer_factory(options.optimizer)
    for name, value, known in (
        ("schedule", options.schedule, SCHEDULES),
        ("dtype", options.dtype, _DTYPES),
        ("recipe", options.recipe, RECIPES),
        ("gradient", options.gradient, ("manual", "autodiff")),
    ):
        if value not in known:
            raise unknown_name(name, value, known)
    if options.epochs < 1:
        raise ValueError(f"--epochs is {options.epochs}; give at least 1.")
    if options.batch_size < 0:
        raise ValueError(f"--batch-size is {options.batch_size}; give at least 1, or 0 for all.")
    if not 0 <= options.dropout < 1:
        raise ValueError(f"--dropout is {options.dropout}; give a probability in [0, 1).")
    if options.seed < 0:
        raise ValueError(f"--seed is {options.seed}; give a number >= 0.")


def recipe_defaults(settings: RecipeSettings) -> dict[str, Any]:
    """Return what a recipe says, where the user says nothing."""
    return {"optimizer": "adamw", **settings._asdict()}


def said_settings(options: Options) -> RecipeSettings:
    """Return what was said, or a recipe before, as a recipe's settings."""
    said = {name: getattr(options, name) for name in RecipeSettings._fields}
    return RecipeSettings(**{**said, "learning_rate": options.rate})


def loss_options(options: Options, loss: str) -> dict[str, float]:
    """Return the numbers that the loss takes."""
    if "label_smoothing" in dict(get_loss(loss).options):
        return {"label_smoothing": options.label_smoothing}
    if options.label_smoothing:
        raise ValueError("--label-smoothing is for classes, but the target is a number.")
    return {}


def make_config(options: Options, n_in: int, n_out: int) -> jaxmlp.MLPConfig:
    """Make the network that the options describe."""
    return jaxmlp.MLPConfig(
        layer_sizes=(n_in, *options.layers, n_out),
        activation=options.activation,
        dropout=options.dropout > 0,
        **layer_options(options),
    )


def layer_options(options: Options) -> dict[str, Any]:
    """Return those fields of the layers' config that no recipe has a say in."""
    return {
        "weight_init": options.init,
        "batch_norm": options.batch_norm,
        "dtype": "float64" if options.dtype == "float64" else "float32",
        "compute_dtype": "bfloat16" if options.dtype == "bfloat16" else None,
    }


def make_optimizer(options: Options, n_steps: int) -> jaxmlp.Optimizer:
    """Make the update rule, with its schedule and clipping."""
    rate = make_schedule(options.schedule, options.rate, n_steps)
    rule = get_optimizer_factory(options.optimizer)(rate)
    return rule if options.clip is None else chain(clip_by_global_norm(options.clip), rule)
