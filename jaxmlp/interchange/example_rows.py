"""A few rows with the answers of the network, by which an export checks itself where it runs."""

from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.interchange.export_plan import Plan
from jaxmlp.interchange.table_plan import (
    Amounts,
    Days,
    Numbers,
    Places,
    PlannedColumn,
    Projection,
    Rank,
    Scaled,
    TablePlan,
)
from jaxmlp.models.model import Model
from jaxmlp.networks import functions_of, mlp_of

_N_ROWS = 4
_FIRST_DAY, _LAST_DAY = -25_567, 47_481  # years 1900 to 2099, which any program knows

Cells: TypeAlias = dict[str, list[str | float | None]]


class ExampleRows(NamedTuple):
    """Raw features x, (rows, n_in), or a table's cells; and their logits, (rows, n_out).

    Attributes:
        x: an array in the model's dtype; or name -> cells, None where one is missing.
        logits: in the model's dtype.
    """

    x: np.ndarray | Cells
    logits: np.ndarray


def example_rows(model: Model, plan: Plan) -> ExampleRows:
    """Draw features, as wide as the training data if the model knows them; ask the network.

    Args:
        model: the model.
        plan: its plan, in whose dtype the network computes.

    Returns:
        The rows; the same for the same model. In the last row of a table every cell is missing.
    """
    x = _features(plan) if plan.table is None else _cells(plan.table)
    layers = mlp_of(model.config).replace(dtype=plan.dtype.name, compute_dtype=None)
    config: Any = replace(model.config, mlp=layers) if plan.front is not None else layers
    params = jax.tree.map(lambda leaf: leaf.astype(plan.dtype), model.params)
    prepared = x if model.preprocessing is None else model.preprocessing.transform(x)
    inputs = jnp.asarray(prepared, plan.dtype)
    logits = functions_of(config).predict(config, params, inputs, state=model.state)
    return ExampleRows(x, np.asarray(logits))


def _features(plan: Plan) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(_N_ROWS, plan.n_in))
    if plan.inputs is not None:
        x = x * plan.inputs.scale + plan.inputs.center
    return x.astype(plan.dtype)


def _cells(table: TablePlan) -> Cells:
    rng = np.random.default_rng(0)
    return {
        column.name: [*(_cell(column, rng) for _ in range(_N_ROWS - 1)), None]
        for column in table.columns
    }


def _cell(column: PlannedColumn, rng: np.random.Generator) -> str | float:
    if isinstance(column.reading, Places):
        return str(rng.choice([*column.reading.words, "another word"]))
    value, part = float(rng.normal()), column.parts[0]
    if isinstance(part, Projection):
        return "".join(rng.choice(part.terms, 5)).strip() or "a text"
    if isinstance(part, Scaled):
        value = part.center + part.scale * value
    elif isinstance(part, Rank) and len(part.knots):
        value = float(rng.choice(part.knots))
    if isinstance(column.reading, Numbers | Amounts):
        text = f"{value:.6g}"
        if isinstance(column.reading, Amounts):
            text = text if column.reading.style == "." else text.replace(".", ",")
            return f"{text} {column.reading.unit}"
        return float(text) if column.reading.style == "." else text.replace(".", ",")
    assert isinstance(column.reading, Days)
    day = np.datetime64(int(np.clip(value, _FIRST_DAY, _LAST_DAY)), "D")
    parts = dict(zip("ymd", str(day).split("-"), strict=True))
    written = "-".join(parts[part] for part in column.reading.order)
    return f"{written} {rng.integers(24):02}:{rng.integers(60):02}"
