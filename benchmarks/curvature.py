"""Extreme Hessian eigenvalues: against the dense matrix, and of a million parameters in time.

python -m benchmarks.curvature
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.diagnostics import curvature

RESULTS = Path(__file__).parent / "results" / "curvature.json"
LOSS = "softmax_cross_entropy"


def measure(sizes: tuple[int, ...], rows: int, dense: bool) -> dict[str, Any]:
    """Forty products with the Hessian over `rows` random examples, compilation included."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(rows, sizes[0])), jnp.float32)
    y = jnp.asarray(rng.integers(0, sizes[-1], rows), jnp.int32)
    config = jaxmlp.MLPConfig(sizes, activation="tanh")
    params = jaxmlp.init(config, jax.random.key(0))
    begin = time.perf_counter()
    found = curvature(config, params, (x, y), LOSS, steps=40)
    row = {
        "network": "-".join(map(str, sizes)),
        "parameters": config.n_parameters,
        "examples": rows,
        "products": found.products,
        "seconds": time.perf_counter() - begin,
        "largest": found.largest,
        "its error bound": found.largest_error,
        "smallest": found.smallest,
        "largest, dense": "",
        "relative difference": "",
    }
    if dense:
        flat, unravel = ravel_pytree(params)
        J = jaxmlp.objective(config, LOSS)
        H = jax.jit(jax.hessian(lambda v: J(unravel(v), x, y)))(flat)
        top = float(np.linalg.eigvalsh(np.asarray(H, np.float64))[-1])
        row |= {"largest, dense": top, "relative difference": abs(found.largest / top - 1)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = [
        measure((10, 30, 20, 3), 64, dense=True),
        measure((784, 800, 450, 10), 512, dense=False),
    ]
    write_json(options.out, {"environment": environment(), "rows": rows})
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
