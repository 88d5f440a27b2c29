"""False alarms: the gradient check on random networks whose gradients are right.

A thousand networks are drawn: width 1 to 256, depth 1 to 4, every activation, loss and dtype
(bfloat16 also as the compute dtype of float32 parameters), with and without an L2 penalty, sample
weights, label smoothing, batch normalization and dropout, with exact zeros among the features
and, now and then, a row that is all zero (where every ReLU stands on its kink). No leaf may fail;
what stays inconclusive is counted by dtype.

Run: python -m benchmarks.verification_false_alarms [--networks 1000] [--seed 0] [--threads 2]
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import environment, write_json
from jaxmlp.activations import ACTIVATIONS
from jaxmlp.config import MLPConfig
from jaxmlp.losses import LOSSES
from jaxmlp.types import Layer, Params
from jaxmlp.verification import GradientReport, Verdict
from jaxmlp.verification.registry import Problem, check_problem, draw_data

RESULTS = Path(__file__).parent / "results" / "verification_false_alarms.json"
MIXED = "float32 parameters, bfloat16 products"
PRECISIONS = {"float64": 0.35, "float32": 0.35, "bfloat16": 0.15, MIXED: 0.15}


def draw_problem(seed: int) -> tuple[str, Problem]:
    """Draw one network; call it under `jax.enable_x64(True)`. Returns its precision's name too."""
    rng = np.random.default_rng(seed)
    precision = str(rng.choice(list(PRECISIONS), p=list(PRECISIONS.values())))
    loss = str(rng.choice(list(LOSSES)))
    sizes = np.round(2 ** rng.uniform(0, 8, rng.integers(2, 6))).astype(int)
    n_out = min(int(sizes[-1]), 32)
    sizes = (*map(int, sizes[:-1]), max(2, n_out) if loss == "softmax_cross_entropy" else n_out)
    n_hidden, batch = len(sizes) - 2, int(rng.integers(2, 17))
    batch_norm = tuple(bool(b) for b in rng.random(n_hidden) < 0.3) if rng.random() < 0.3 else False
    dropout = tuple(bool(b) for b in rng.random(n_hidden) < 0.3) if rng.random() < 0.2 else False
    config = MLPConfig(
        sizes,
        tuple(str(a) for a in rng.choice(list(ACTIVATIONS), n_hidden)),
        bias_init=float(rng.choice([0.0, 0.1])),
        batch_norm=batch_norm,
        dropout=dropout,
        dtype=precision.split()[0],
        compute_dtype="bfloat16" if precision == MIXED else None,
    )
    x, y = draw_data(loss, batch, sizes[0], sizes[-1], seed)
    x[0] *= rng.random() > 0.2
    options: dict[str, Any] = {"l2": float(rng.choice([0.0, 0.1]))}
    if rng.random() < 0.3:
        options["sample_weight"] = rng.uniform(0.0, 2.0, batch)
    if "cross_entropy" in loss and rng.random() < 0.3:
        options["loss_options"] = {"label_smoothing": 0.1}
    if any(config.dropped):
        options |= {"key": jax.random.key(seed), "dropout_rate": 0.3}
    return precision, Problem(config, loss, draw_params(config, rng), x, y, options)


def draw_params(config: MLPConfig, rng: np.random.Generator) -> Params:
    """Draw weights of Xavier's, He's or a small variance, in numpy: nothing to compile."""
    layers = []
    for l, (n_in, n_out) in enumerate(pairwise(config.layer_sizes)):
        stddev = rng.choice([np.sqrt(2 / (n_in + n_out)), np.sqrt(2 / n_in), 0.01])
        W, b = stddev * rng.normal(size=(n_in, n_out)), np.full(n_out, config.bias_init)
        gamma = rng.uniform(0.5, 1.5, n_out)
        layer = Layer(W, None, gamma, b) if config.normalized[l] else Layer(W, b)
        layers.append(jax.tree.map(lambda a: jnp.asarray(a, config.dtype), layer))
    return tuple(layers)


def check_seed(seed: int) -> tuple[str, Problem, GradientReport, float]:
    """Draw and check one network."""
    start = time.perf_counter()
    with jax.enable_x64(True):
        precision, problem = draw_problem(seed)
        report = check_problem(problem, seed)
    return precision, problem, report, time.perf_counter() - start


def run(n_networks: int, seed: int, threads: int, log: Callable[[str], Any]) -> dict[str, Any]:
    """Check all networks and count the verdicts of their leaves."""
    counts: Counter[tuple[str, Verdict]] = Counter()
    failed, worst_seconds, start = [], 0.0, time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(check_seed, range(seed, seed + n_networks))
        for i, (precision, problem, report, seconds) in enumerate(found):
            counts.update((precision, leaf.verdict) for leaf in report.leaves)
            worst_seconds = max(worst_seconds, seconds)
            if report.verdict is Verdict.FAIL:
                failed.append({"seed": seed + i, "sizes": problem.config.layer_sizes})
                log(f"FALSE ALARM, seed {seed + i}: {problem.config} {problem.loss}\n{report}")
            if i % 50 == 49:
                log(f"{i + 1} networks, {time.perf_counter() - start:.0f} s")
    leaves = {
        name: {str(verdict): counts[name, verdict] for verdict in Verdict} for name in PRECISIONS
    }
    return {
        "networks": n_networks,
        "seed": seed,
        "false_alarms": failed,
        "leaves": leaves,
        "inconclusive_share": {
            name: row["inconclusive"] / max(1, sum(row.values())) for name, row in leaves.items()
        },
        "seconds": round(time.perf_counter() - start, 1),
        "slowest_network_seconds": round(worst_seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    result = run(
        options.networks, options.seed, options.threads, lambda line: print(line, flush=True)
    )
    write_json(options.out, {"environment": environment(), **result})
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
