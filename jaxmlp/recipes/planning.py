"""What a recipe comes to for a certain table: the network, its start, and its training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxmlp import network, tabular_network
from jaxmlp.config import MLPConfig
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.bins import piecewise_bins
from jaxmlp.data_init import init_from_data
from jaxmlp.front_config import FrontConfig
from jaxmlp.losses import Loss, check_loss_options, get_loss
from jaxmlp.networks import NetworkConfig, NetworkParams, layers_of, trainable
from jaxmlp.optimizers import Optimizer, adam, chain, flat_cosine, make_schedule, scale_by_leaf
from jaxmlp.recipes.recipe import Recipe
from jaxmlp.tabular_config import TabularConfig, TabularParams, link_of
from jaxmlp.training import EarlyStopping, FitResult, fit
from jaxmlp.training.result import Callback
from jaxmlp.types import Key, Layer

_SMALL_TABLE = 1_000  # training rows


class RecipeSettings(NamedTuple):
    """What a recipe says for a table of so many rows, and so many classes or numbers.

    Attributes:
        layers: units of the hidden layers.
        activation: of these.
        learning_rate: at its highest.
        schedule: of the learning rate.
        batch_size: rows a step.
        epochs: passes over the training rows.
        dropout: probability to drop, in the first half of the run.
        label_smoothing: of classes.
        patience: epochs without improvement before training stops; the best epoch is kept.
    """

    layers: tuple[int, ...]
    activation: str
    learning_rate: float
    schedule: str
    batch_size: int
    epochs: int
    dropout: float
    label_smoothing: float
    patience: int


@dataclass(frozen=True)
class RecipePlan:
    """A recipe, fitted to a table.

    Attributes:
        recipe: the recipe.
        settings: what it says for this table, or what was said instead.
        config: the network.
        loss: the loss.
        n_rows: training rows.
        loss_options: numbers that the loss takes.
    """

    recipe: Recipe
    settings: RecipeSettings
    config: NetworkConfig
    loss: Loss
    n_rows: int
    loss_options: Mapping[str, float]

    @property
    def batch_size(self) -> int:
        """Rows a step, at most all of them."""
        return min(self.settings.batch_size or self.n_rows, self.n_rows)

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        full, rest = divmod(self.n_rows, self.batch_size)
        return self.settings.epochs * (full + (rest > 0 and not self.recipe.drop_last))

    @property
    def best(self) -> str:
        """What decides which epoch is kept."""
        return self.recipe.best[self.loss.task == "regression"]

    @property
    def dropout_rate(self) -> Any:
        """The schedule of dropout: constant for half of the run, then falling to 0."""
        return flat_cosine(self.settings.dropout, self.n_steps)


def recipe_settings(recipe: Recipe, n_rows: int, task: str, n_out: int) -> RecipeSettings:
    """Return what a recipe says for a table.

    Args:
        recipe: the recipe.
        n_rows: training rows.
        task: "classification" or "regression".
        n_out: outputs of the network.

    Example:
        >>> from jaxmlp.recipes import get_recipe
        >>> recipe_settings(get_recipe("tabm"), 12_000, "regression", 1).epochs
        55
    """
    numbers = task == "regression"
    long = numbers or n_out > recipe.many_classes
    widen = 2 if long and not numbers else 1
    epochs = round(recipe.steps[long] * recipe.batch_size / n_rows)
    epochs = max(recipe.min_epochs, min(epochs, recipe.max_epochs[long]))
    settings = RecipeSettings(
        tuple(widen * units for units in recipe.hidden_sizes),
        recipe.activation[numbers],
        recipe.learning_rate[numbers],
        recipe.schedule,
        recipe.batch_size,
        epochs,
        recipe.dropout[numbers],
        0.0 if numbers else recipe.label_smoothing,
        epochs if recipe.patience is None else max(10, int(epochs * recipe.patience)),
    )
    return settings._replace(**dict(recipe.small[numbers])) if n_rows < _SMALL_TABLE else settings


def make_plan(
    recipe: Recipe,
    preprocessor: TablePreprocessor,
    n_rows: int,
    loss: str | Loss,
    n_out: int,
    *,
    settings: RecipeSettings | None = None,
    layer_options: Mapping[str, Any] | None = None,
    loss_options: Mapping[str, float] | None = None,
) -> RecipePlan:
    """Fit a recipe to a table.

    Args:
        recipe: the recipe.
        preprocessor: of the table, fitted with the recipe's `max_one_hot`.
        n_rows: training rows.
        loss: the loss.
        n_out: outputs of the network: classes, or numbers.
        settings: instead of the recipe's own.
        layer_options: further fields of the layers' `MLPConfig`, such as dtype.
        loss_options: numbers that the loss takes; label smoothing is the settings'.

    Returns:
        The plan. A recipe without embeddings, scale and members has ordinary layers only.
    """
    loss = get_loss(loss)
    settings = settings or recipe_settings(recipe, n_rows, loss.task, n_out)
    front = FrontConfig(
        preprocessor.n_features, preprocessor.number_columns, preprocessor.level_columns,
        recipe.embedding, recipe.width, recipe.bins, recipe.frequencies, recipe.sigma,
        recipe.category_width, recipe.scale, recipe.members,
    )  # fmt: skip
    layers = MLPConfig(
        (front.n_out, *settings.layers, n_out),
        activation=settings.activation,
        dropout=settings.dropout > 0,
        parametric_activation=recipe.parametric,
        **(layer_options or {}),
    )
    plain = not front.n_parameters
    config = layers if plain else TabularConfig(front, layers, link_of(loss))
    known = dict(loss.options)
    smoothing = {"label_smoothing": settings.label_smoothing} if "label_smoothing" in known else {}
    options = check_loss_options(loss, {**smoothing, **(loss_options or {})})
    return RecipePlan(recipe, settings, config, loss, n_rows, options)


def initial_params(
    plan: RecipePlan, key: Key, x: Float[np.ndarray, "rows n_in"], y: np.ndarray
) -> NetworkParams:
    """Draw the parameters; counts start at their mean, which the network need not find first.

    Args:
        plan: the plan.
        key: a random key.
        x: prepared training rows, from which the bins are laid.
        y: their targets.

    Returns:
        The parameters.
    """
    config = plan.config
    params: NetworkParams
    if isinstance(config, TabularConfig):
        bins = None
        if config.front.embedding == "piecewise" and config.front.numbers:
            bins = piecewise_bins(x[:, list(config.front.numbers)], config.front.bins)
        params = tabular_network.init(config, key, bins)
    else:
        params = network.init(config, key)
    if plan.recipe.start == "data":
        params = init_from_data(config, params, key, x)
    layers = layers_of(params)
    if plan.recipe.start == "normal":
        layers = tuple(_normal(layer, jax.random.fold_in(key, l)) for l, layer in enumerate(layers))
        layers = (*layers[:-1], jax.tree.map(jnp.zeros_like, layers[-1]))
    if plan.loss.name == "poisson":
        mean = max(float(np.mean(y)), 1e-3)
        layers = (*layers[:-1], layers[-1]._replace(b=layers[-1].b + jnp.log(mean)))
    return params._replace(layers=layers) if isinstance(params, TabularParams) else layers


def _normal(layer: Layer, key: Key) -> Layer:
    """Draw W ~ N(0, 1/n_in) and b ~ N(0, 1)."""
    first, second = jax.random.split(key)
    W = jax.random.normal(first, layer.W.shape, layer.W.dtype) * layer.W.shape[0] ** -0.5
    if layer.b is None:
        return layer._replace(W=W)
    return layer._replace(W=W, b=jax.random.normal(second, layer.b.shape, layer.b.dtype))


def make_optimizer(plan: RecipePlan, params: NetworkParams) -> Optimizer:
    """Make the update rule: Adam with the recipe's schedules, and rates by group."""
    recipe, settings = plan.recipe, plan.settings
    trained = trainable(params, ())
    weights = [layer.W.shape[0] ** (-0.5 * recipe.by_fan_in) for layer in layers_of(trained)]
    rates = {"embeddings": recipe.embedding_rate, "scale": recipe.scale_rate}
    squared = recipe.squared_decay
    # What the rule decays by, the factors multiply: 1 here is a decay with the factor once.
    decays = rates if squared else dict.fromkeys(rates, 1.0)
    rule = adam(
        make_schedule(settings.schedule, settings.learning_rate, plan.n_steps),
        b2=recipe.b2,
        weight_decay=flat_cosine(recipe.weight_decay, plan.n_steps),
        mask=_by_group(
            trained, **decays, biases=0.0, alphas=recipe.alpha_rate if squared else 0.0,
            weights=[1 / factor for factor in weights],
        ),
    )  # fmt: skip
    factors = _by_group(
        trained, **rates, biases=recipe.bias_rate, alphas=recipe.alpha_rate, weights=weights
    )
    return chain(rule, scale_by_leaf(factors))


def _by_group(
    params: NetworkParams,
    *,
    embeddings: float,
    scale: float,
    biases: float,
    alphas: float,
    weights: Sequence[float],
) -> Any:
    """One number for each array, by what it is; of what has no name here, 1."""
    numbers = jax.tree.map(lambda _: 1.0, params)
    layers = tuple(
        ones._replace(
            W=weight,
            b=None if ones.b is None else biases,
            alpha=None if ones.alpha is None else alphas,
        )
        for ones, weight in zip(layers_of(numbers), weights, strict=True)
    )
    if not isinstance(numbers, TabularParams):
        return layers
    front = numbers.front
    embedded = jax.tree.map(lambda _: embeddings, front.numbers)
    front = front._replace(numbers=embedded, s=None if front.s is None else scale)
    return TabularParams(front, layers)


def fit_plan(
    plan: RecipePlan,
    train: tuple[Any, Any],
    validation: tuple[Any, Any] | None,
    *,
    seed: int = 0,
    sample_weight: Any = None,
    clip: Optimizer | None = None,
    callbacks: Iterable[Callback] = (),
    **options: Any,
) -> FitResult:
    """Train a network for a table by a recipe.

    Args:
        plan: the plan.
        train: (x, y): prepared rows, and targets as the loss takes them.
        validation: likewise; its loss decides which epoch is kept. None keeps the last.
        seed: of parameters, shuffling and dropout.
        sample_weight: non-negative weights of the training rows.
        clip: what is done to gradients first.
        callbacks: as `jaxmlp.fit` takes them.
        options: further ones of `jaxmlp.fit`, such as diagnostics and l2.

    Returns:
        The result.
    """
    params = initial_params(plan, jax.random.key(seed), np.asarray(train[0]), np.asarray(train[1]))
    rule = make_optimizer(plan, params)
    stopping = None
    if validation is not None:
        stopping = EarlyStopping(plan.best, plan.settings.patience, latest=plan.recipe.latest)
    return fit(
        plan.config, params, train, loss=plan.loss,
        optimizer=rule if clip is None else chain(clip, rule),
        epochs=plan.settings.epochs, key=jax.random.key(seed + 1), batch_size=plan.batch_size,
        validation_data=validation, early_stopping=stopping, sample_weight=sample_weight,
        dropout_rate=plan.dropout_rate, loss_options=plan.loss_options, callbacks=callbacks,
        drop_last=plan.recipe.drop_last,
        **options,
    )  # fmt: skip
