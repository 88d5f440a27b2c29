"""Inference in the lecture's four steps: load, prepare, predict, post-process.

    model = load("model.safetensors")
    x = prepare(model, table)                       # columns by name, the saved standardization
    p = infer(model, x)                             # probabilities; or logits, or embeddings
    classes, shares = top_k(p, 3)                   # the most likely classes

`infer` works in blocks whose sizes are powers of two: however many rows come, few programs are
compiled. For inputs that do not fit in memory, `infer_blocks` takes and gives one part at a time.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmlp.blocks import BLOCK_ROWS, stream_blocks
from jaxmlp.checks import check_feature_shape, check_numbers, unknown_name
from jaxmlp.data import Preprocessing, Standardizer
from jaxmlp.data.arrays import check_matrix
from jaxmlp.losses import get_loss
from jaxmlp.models.behind_backbone import through_backbone
from jaxmlp.models.model import Model, NetworkLike, as_model, single_network
from jaxmlp.models.surgery import features, hidden_layer
from jaxmlp.networks import (
    NetworkConfig,
    NetworkParams,
    functions_of,
    layers_inputs,
    layers_of,
    mlp_of,
)
from jaxmlp.tabular_config import link_of
from jaxmlp.tabular_network import average_logits
from jaxmlp.types import State

OUTPUTS = ("probabilities", "logits", "embeddings")


class ColumnMatch(NamedTuple):
    """How a table's columns fit a model's features.

    Attributes:
        order: position in the table of each feature, in the model's order.
        extra: columns that the model does not know; they are left out.
        reordered: whether the features stand in another order than the model's.
    """

    order: tuple[int, ...]
    extra: tuple[str, ...]
    reordered: bool


def match_columns(
    expected: Sequence[str], given: Sequence[str], what: str = "the table"
) -> ColumnMatch:
    """Find a model's features among the columns of a table.

    Args:
        expected: the model's feature names.
        given: the table's column names.
        what: what to call the table in messages.

    Returns:
        The match. If no name is known at all but the number is right, the table's names mean
        nothing to the model, and the columns are taken as they stand.

    Raises:
        ValueError: if features are missing, or a column that is needed occurs twice.

    Example:
        >>> match_columns(["width", "height"], ["height", "target", "width"])
        ColumnMatch(order=(2, 0), extra=('target',), reordered=True)

    Reference: lecture, chapter VIII, inference 2 (the format that the model asks for).
    """
    positions = {name: k for k, name in enumerate(given)}
    missing = [name for name in expected if name not in positions]
    if len(missing) == len(expected) == len(given):
        return ColumnMatch(tuple(range(len(given))), (), False)
    if missing:
        named = ", ".join(map(repr, missing[:3])) + ", ..." * (len(missing) > 3)
        count = f"s {named} ({len(missing)} in all)" if len(missing) > 1 else f" {named}"
        raise ValueError(f"{what} lacks the column{count} of the {len(expected)} features.")
    twice = [name for name in expected if list(given).count(name) > 1]
    if twice:
        raise ValueError(f"{what} has the column {twice[0]!r} twice; leave one of them out.")
    order = tuple(positions[name] for name in expected)
    known = set(expected)
    extra = tuple(name for name in given if name not in known)
    return ColumnMatch(order, extra, list(order) != sorted(order))


def prepare(
    model: NetworkLike,
    data: Any,
    *,
    what: str = "data",
    first_row: int = 0,
    notify: Callable[[str], None] = lambda note: None,
) -> np.ndarray:
    """Bring raw data into the form that a model's network takes.

    Columns are found by name in a DataFrame, by position in an array; then the model's own
    preprocessing is applied.

    Args:
        model: the model; any network passes for one (`as_model`).
        data: (rows, features): a DataFrame, which may have other columns besides and in any
            order, or an array. Of a model behind a backbone also a list of what that takes: paths
            or bytes of images or sounds. Columns that go through it are texts, or paths.
        what: what to call the data in messages.
        first_row: number of the first row, for messages about a part of a larger table.
        notify: called with a sentence about what is no error but may be a mistake: columns that
            the model does not know, values in other units than those it was trained on, levels
            of a category that training never saw.

    Returns:
        Inputs for the network, (rows, n_in), float64 for a model in float64, else float32.

    Raises:
        TypeError: if an entry is no number.
        ValueError: for missing columns, another number of them, NaN or infinity, or no rows.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 1))
        >>> model = Model(config, init(config, jax.random.key(0)), feature_names=("a", "b"))
        >>> import pandas as pd
        >>> prepare(model, pd.DataFrame({"b": [2.0], "c": [3.0], "a": [1.0]})).tolist()
        [[1.0, 2.0]]

    Reference: lecture, chapter VIII, inference 2 (prepare the data).
    """
    model = as_model(model)
    dtype = np.float64 if model.config.dtype == "float64" else np.float32
    data = through_backbone(model, data, notify)
    if isinstance(model.preprocessing, Standardizer | None):
        x = _standardize(model, data, what, first_row, notify)
    else:  # knows its own columns
        x = _transform(model.preprocessing, data, what, notify)
    return x.astype(dtype, copy=False)


def _standardize(
    model: Model, data: Any, what: str, first_row: int, notify: Callable[[str], None]
) -> np.ndarray:
    names, n_in = model.feature_names, model.config.layer_sizes[0]
    columns = getattr(data, "columns", None)
    if columns is not None:
        if names is not None:
            match = match_columns(names, [str(column) for column in columns], what)
            data = data.iloc[:, list(match.order)]
            if match.extra:
                named = ", ".join(match.extra[:5]) + ", ..." * (len(match.extra) > 5)
                notify(f"the model does not use the columns {named}")
        data = data.to_numpy()
    shape = np.shape(data)
    if len(shape) == 2 and shape[1] != n_in:
        raise ValueError(f"{what} has {shape[1]} columns, but the model takes {n_in} features.")
    x = check_matrix(what, data, names, first_row=first_row)
    standardizer = model.preprocessing
    if not isinstance(standardizer, Standardizer):
        return x
    warning = standardizer.foreign_range(x)
    if warning:
        notify(warning)
    return standardizer.transform(x)


def _transform(
    preprocessing: Preprocessing, data: Any, what: str, notify: Callable[[str], None]
) -> np.ndarray:
    try:
        for remark in getattr(preprocessing, "remarks", lambda data: ())(data):
            notify(remark)
        return preprocessing.transform(data)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def infer(
    model: NetworkLike,
    x: Float[np.ndarray, "rows n_in"],
    *,
    output: str = "probabilities",
    layer: int = -1,
    block_rows: int = BLOCK_ROWS,
) -> Float[np.ndarray, "rows width"]:
    """Run a model over any number of rows, in blocks of few shapes.

    Args:
        model: the model; any network passes for one (`as_model`).
        x: inputs as the network takes them, from `prepare`, (rows, n_in).
        output: "logits"; "probabilities", the loss's link of the logits (for a regression: the
            predicted values, in the units of the targets); or "embeddings", the features of a
            hidden layer, which an ensemble has not. Of an ensemble, "probabilities" are the mean
            of its networks', and "logits" those that have it as their link.
        layer: which hidden layer "embeddings" are taken from.
        block_rows: rows computed at a time.

    Returns:
        (rows, n_out), or (rows, width of the layer), on the host.

    Raises:
        ValueError: for an unknown output, another number of features, or no rows.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 8, 3))
        >>> model = Model(config, init(config, jax.random.key(0)))
        >>> infer(model, np.ones((5, 2), np.float32), output="embeddings").shape
        (5, 8)

    Reference: lecture, chapter VIII, inference 3 (logits, probabilities, embeddings).
    """
    model = as_model(model)
    check_feature_shape(model.config.layer_sizes, check_numbers("x", x).shape)
    parts = infer_blocks(model, [x], output=output, layer=layer, block_rows=block_rows)
    return np.concatenate(list(parts))


def infer_blocks(
    model: NetworkLike,
    blocks: Iterable[Float[np.ndarray, "rows n_in"]],
    *,
    output: str = "probabilities",
    layer: int = -1,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Float[np.ndarray, "rows width"]]:
    """Run a model over a stream of inputs; only one block is in memory at a time.

    Args:
        model: the model; any network passes for one (`as_model`).
        blocks: parts of the inputs, of any lengths; larger ones are divided.
        output: as for `infer`.
        layer: as for `infer`.
        block_rows: rows computed at a time.

    Yields:
        The outputs, in order, (at most block_rows, width).

    Raises:
        ValueError: for an unknown output or layer; for shapes that do not fit.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 8, 3))
        >>> model = Model(config, init(config, jax.random.key(0)))
        >>> stream = (np.ones((rows, 2), np.float32) for rows in (5, 3))
        >>> [part.shape for part in infer_blocks(model, stream, output="logits")]
        [(5, 3), (3, 3)]
    """
    model = as_model(model)
    if output not in OUTPUTS:
        raise unknown_name("output", output, OUTPUTS)
    if output == "embeddings":
        layer = hidden_layer(mlp_of(single_network(model).config), layer)
    params, state = model.params, model.state
    if model.ensemble:
        params, state = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), (params, state), *model.ensemble
        )
    compute = partial(
        _compute, model.config, params, state,
        loss=model.loss, output=output, layer=layer, averaged=bool(model.ensemble),
    )  # fmt: skip
    for outputs in stream_blocks(compute, blocks, block_rows=block_rows):
        if output == "probabilities" and model.target_transform is not None:
            outputs = model.target_transform.inverse_transform(outputs)
        yield outputs


@partial(jax.jit, static_argnames=("loss", "output", "layer", "averaged"))
def _compute(
    config: NetworkConfig,
    params: NetworkParams,
    state: State,
    x: Float[Array, "rows n_in"],
    *,
    loss: str,
    output: str,
    layer: int,
    averaged: bool,
) -> jax.Array:
    """Run one network, or several whose parameters have a leading axis."""
    if output == "embeddings":
        layers, h = layers_of(params), layers_inputs(config, params, x)
        found = features(mlp_of(config), layers, h, layer, state=state)
        return jnp.mean(found.reshape(-1, len(x), found.shape[1]), axis=0)  # over the members

    def logits_of(network: tuple[NetworkParams, State]) -> jax.Array:
        found: jax.Array = functions_of(config).predict(config, network[0], x, state=network[1])
        return found

    if averaged:
        each = jax.lax.map(logits_of, (params, state))
        logits = average_logits(link_of(loss), each)
    else:
        logits = logits_of((params, state))
    return get_loss(loss).link(logits) if output == "probabilities" else logits


def predictions(model: Model, data: Any) -> np.ndarray:
    """Predict from raw data; `Model.predict` describes it."""
    if model.class_names is not None:
        likeliest = probabilities(model, data).argmax(axis=1)
        names: np.ndarray = np.asarray(model.class_names, dtype=object)[likeliest]
        return names
    outputs = infer(model, prepare(model, data, notify=_warn))
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def probabilities(model: Model, data: Any) -> Float[np.ndarray, "rows classes"]:
    """Return each class's probability; `Model.predict_proba` describes it."""
    if get_loss(model.loss).task != "classification":
        raise ValueError(f"a model trained with {model.loss} predicts numbers; use predict.")
    return class_probabilities(infer(model, prepare(model, data, notify=_warn)))


def _warn(note: str) -> None:
    warnings.warn(note, stacklevel=5)


def class_probabilities(
    outputs: Float[np.ndarray, "rows n_out"],
) -> Float[np.ndarray, "rows classes"]:
    """Return one column a class: a single output p is the probability of class 1 of two.

    >>> class_probabilities(np.array([[0.25]])).tolist()
    [[0.75, 0.25]]
    """
    return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def top_k(
    probabilities: Float[np.ndarray, "rows classes"], k: int
) -> tuple[Int[np.ndarray, "rows k"], Float[np.ndarray, "rows k"]]:
    """Find the k most likely classes of each row, the likeliest first.

    Args:
        probabilities: (rows, classes), or (rows, 1) for two classes.
        k: how many, at most the number of classes.

    Returns:
        Class indices and their probabilities, (rows, k) each; equal ones by index. k = 1 is the
        argmax.

    Raises:
        ValueError: if k is below 1 or above the number of classes.

    Example:
        >>> classes, shares = top_k(np.array([[0.2, 0.5, 0.3]]), 2)
        >>> classes.tolist(), shares.tolist()
        ([[1, 2]], [[0.5, 0.3]])

    Reference: lecture, chapter VIII, inference 4 (argmax).
    """
    probabilities = class_probabilities(probabilities)
    if not 1 <= k <= probabilities.shape[1]:
        raise ValueError(
            f"k is {k}, but there are {probabilities.shape[1]} classes; give 1 to "
            f"{probabilities.shape[1]}."
        )
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(probabilities, order, axis=1)
