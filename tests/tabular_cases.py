"""Shared by the tests of networks for tables: input sides of every kind, and rows that try them."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from oracles import make_targets

import jaxmlp
from jaxmlp import FrontConfig, MLPConfig, TabularConfig, TabularParams
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.front import init_front
from jaxmlp.tabular_config import link_of

TRAIN_ROWS = 12
COLUMNS = ("normal", "ties", "constant", "huge", "other", "category")


@st.composite
def fronts(draw, embeddings=("piecewise", "periodic", None)):
    """Draw an input side, and what each of its columns holds."""
    kinds = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5))
    numbers = [c for c, kind in enumerate(kinds) if kind not in ("other", "category")]
    config = FrontConfig(
        len(kinds),
        numbers=tuple(draw(st.permutations(numbers))),
        categories=tuple(
            (c, draw(st.integers(1, 4))) for c, kind in enumerate(kinds) if kind == "category"
        ),
        embedding=draw(st.sampled_from(embeddings)),
        width=draw(st.integers(2, 4)),
        bins=draw(st.integers(2, 6)),
        frequencies=draw(st.integers(1, 3)),
        category_width=draw(st.integers(1, 3)),
        scale=draw(st.booleans()),
        members=draw(st.integers(1, 3)),
    )
    return config, tuple(kinds)


def draw_column(rng, kind, rows):
    """Draw the training rows of a column."""
    return {
        "normal": rng.normal(size=rows),
        "ties": rng.integers(0, 3, rows).astype(float),
        "constant": np.full(rows, 2.5),
        "huge": 1e6 + rng.lognormal(0, 3, rows),
        "other": rng.normal(size=rows),
        "category": rng.integers(0, 4, rows).astype(float),
    }[kind]


def draw_front(config, kinds, seed, batch=5):
    """Draw every parameter of a front, and rows: of training, on edges, outside, of no level."""
    rng = np.random.default_rng(seed)
    table = np.stack([draw_column(rng, kind, TRAIN_ROWS) for kind in kinds], axis=1)
    bins = piecewise_bins(table[:, config.numbers], config.bins) if config.numbers else None
    front = init_front(config, jax.random.key(seed), bins, "float64")
    constants = front.numbers[:2] if config.embedding == "piecewise" and config.numbers else ()
    front = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)), front)
    if constants:
        numbers = front.numbers._replace(starts=constants[0], widths=constants[1])
        front = front._replace(numbers=numbers)
    x = table[rng.integers(0, TRAIN_ROWS, batch)]
    for place, column in enumerate(config.numbers):
        starts = bins[0][place][bins[0][place] < 1e38]
        spread = np.ptp(table[:, column]) + 1
        wanted = [rng.choice(starts), table[:, column].max(), starts[0] - spread,
                  table[:, column].max() + spread]  # fmt: skip
        x[rng.integers(0, batch, 4), column] = wanted
    for column, _ in config.categories:
        x[rng.integers(0, batch, 2), column] = (-1.0, 7.0)
    return front, x, bins


def make_network(case, seed, batch, loss="squared_error", n_out=2, **layers):
    """A network with drawn parameters, and rows and targets in float64."""
    front_config, kinds = case
    front, x, _ = draw_front(front_config, kinds, seed, batch)
    layers = {"activation": "tanh", "bias_init": 0.1, **layers}
    sizes = (front_config.n_out, 4, 3, n_out)
    mlp = MLPConfig(sizes, dtype="float64", **layers)
    config = TabularConfig(front_config, mlp, link_of(loss))
    params = TabularParams(front, jaxmlp.init(mlp, jax.random.key(seed)))
    rng = np.random.default_rng(seed)
    y = make_targets(rng, loss, batch, n_out)
    y = jnp.asarray(y, jnp.int32 if y.dtype.kind == "i" else jnp.float64)
    return config, params, jnp.asarray(x), y
