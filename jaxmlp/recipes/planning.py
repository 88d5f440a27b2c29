"""What a recipe comes to for a certain table: the network, its start, and its training."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxmlp import tabular_network
from jaxmlp.config import MLPConfig
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.bins import piecewise_bins
from jaxmlp.front_config import FrontConfig
from jaxmlp.losses import Loss, get_loss
from jaxmlp.optimizers import Optimizer, adam, chain, cosine, coslog4, flat_cosine, scale_by_leaf
from jaxmlp.recipes.recipe import Recipe
from jaxmlp.tabular_config import TabularConfig, TabularParams, link_of
from jaxmlp.training import EarlyStopping, FitResult, fit
from jaxmlp.training.result import Callback
from jaxmlp.types import Key

_SMALL_TABLE = 1_000  # training rows


class RecipePlan(NamedTuple):
    """A recipe, fitted to a table.

    Attributes:
        recipe: the recipe.
        config: the network.
        loss: the loss.
        batch_size: rows a step.
        epochs: passes over the training rows.
        n_steps: of the whole run.
    """

    recipe: Recipe
    config: TabularConfig
    loss: Loss
    batch_size: int
    epochs: int
    n_steps: int

    @property
    def loss_options(self) -> dict[str, float]:
        """Numbers that the loss takes."""
        smooth = "label_smoothing" in dict(self.loss.options)
        return {"label_smoothing": self.recipe.label_smoothing} if smooth else {}

    @property
    def dropout_rate(self) -> Any:
        """The schedule of dropout."""
        return flat_cosine(self.recipe.dropout, self.n_steps)


def make_plan(
    recipe: Recipe,
    preprocessor: TablePreprocessor,
    n_rows: int,
    loss: str | Loss,
    n_out: int,
    *,
    dtype: str = "float32",
) -> RecipePlan:
    """Fit a recipe to a table.

    Args:
        recipe: the recipe.
        preprocessor: of the table, fitted with the recipe's `max_one_hot`.
        n_rows: training rows.
        loss: the loss.
        n_out: outputs of the network: classes, or numbers.
        dtype: of the parameters.

    Returns:
        The plan.
    """
    loss = get_loss(loss)
    numbers = loss.task == "regression"
    many = not numbers and n_out > recipe.many_classes
    front = FrontConfig(
        preprocessor.n_features, preprocessor.number_columns, preprocessor.level_columns,
        recipe.embedding, recipe.width, recipe.bins, recipe.frequencies, recipe.sigma,
        recipe.category_width, recipe.scale, recipe.members,
    )  # fmt: skip
    hidden = tuple(size * (2 if many else 1) for size in recipe.hidden_sizes)
    mlp = MLPConfig(
        (front.n_out, *hidden, n_out),
        activation=recipe.activation[numbers],
        dropout=recipe.dropout > 0,
        dtype=dtype,
    )
    config = TabularConfig(front, mlp, link_of(loss))
    size = recipe.small_batch_size if n_rows < _SMALL_TABLE else recipe.batch_size
    batch_size = min(size, n_rows)
    per_epoch = math.ceil(n_rows / batch_size)
    epochs = round(recipe.steps[numbers or many] / per_epoch)
    epochs = max(recipe.min_epochs, min(epochs, recipe.max_epochs[numbers or many]))
    return RecipePlan(recipe, config, loss, batch_size, epochs, epochs * per_epoch)


def initial_params(
    plan: RecipePlan, key: Key, x: Float[np.ndarray, "rows n_in"], y: np.ndarray
) -> TabularParams:
    """Draw the parameters; counts start at their mean, which the network need not find first.

    Args:
        plan: the plan.
        key: a random key.
        x: prepared training rows, from which the bins are laid.
        y: their targets.

    Returns:
        The parameters.
    """
    config, bins = plan.config, None
    if config.front.embedding == "piecewise" and config.front.numbers:
        bins = piecewise_bins(x[:, list(config.front.numbers)], config.front.bins)
    params = tabular_network.init(config, key, bins)
    if plan.loss.name == "poisson":
        last = params.layers[-1]
        mean = max(float(np.mean(y)), 1e-3)
        layers = (*params.layers[:-1], last._replace(b=last.b + jnp.log(mean)))
        params = params._replace(layers=layers)
    return params


def make_optimizer(plan: RecipePlan, params: TabularParams) -> Optimizer:
    """Make the update rule: Adam with the recipe's schedules, and rates by group."""
    recipe = plan.recipe
    rate = recipe.learning_rate[plan.loss.task == "regression"]
    schedules: dict[str, Any] = {
        "cosine": cosine,
        "coslog4": coslog4,
        "constant": lambda rate, steps: rate,
    }
    rule = adam(
        schedules[recipe.schedule](rate, plan.n_steps), b2=recipe.b2,
        weight_decay=flat_cosine(recipe.weight_decay, plan.n_steps),
        mask=_decays(params),
    )  # fmt: skip
    return chain(rule, scale_by_leaf(_rate_factors(recipe, params)))


def _rate_factors(recipe: Recipe, params: TabularParams) -> TabularParams:
    """The factor of the learning rate of each array."""
    trained = tabular_network.trainable(params, ())
    front = trained.front._replace(
        numbers=jax.tree.map(lambda _: recipe.embedding_rate, trained.front.numbers),
        E=None if trained.front.E is None else 1.0,
        s=None if trained.front.s is None else recipe.scale_rate,
        r=None if trained.front.r is None else 1.0,
    )
    layers = tuple(
        jax.tree.map(lambda _: 1.0, layer)._replace(b=recipe.bias_rate) for layer in trained.layers
    )
    return TabularParams(front, layers)


def _decays(params: TabularParams) -> TabularParams:
    """Which arrays decay: all but biases."""
    trained = tabular_network.trainable(params, ())
    yes = jax.tree.map(lambda _: True, trained)
    return yes._replace(layers=tuple(layer._replace(b=False) for layer in yes.layers))


def fit_recipe(
    plan: RecipePlan,
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None,
    *,
    seed: int = 0,
    sample_weight: Any = None,
    callbacks: Iterable[Callback] = (),
    diagnostics: Any = None,
) -> FitResult:
    """Train a network for a table by a recipe.

    Args:
        plan: the plan.
        train: (x, y): prepared rows, and targets as the loss takes them.
        validation: likewise; its loss decides which epoch is kept. None keeps the last.
        seed: of parameters, shuffling and dropout.
        sample_weight: non-negative weights of the training rows.
        callbacks: as `jaxmlp.fit` takes them.
        diagnostics: likewise.

    Returns:
        The result.
    """
    params = initial_params(plan, jax.random.key(seed), np.asarray(train[0]), np.asarray(train[1]))
    stopping = EarlyStopping(patience=plan.epochs) if validation is not None else None
    return fit(
        plan.config, params, train, loss=plan.loss, optimizer=make_optimizer(plan, params),
        epochs=plan.epochs, key=jax.random.key(seed + 1), batch_size=plan.batch_size,
        validation_data=validation, early_stopping=stopping, sample_weight=sample_weight,
        dropout_rate=plan.dropout_rate, loss_options=plan.loss_options, callbacks=callbacks,
        diagnostics=diagnostics,
    )  # fmt: skip
