"""What frozen layers cost: FLOPs of a gradient by the compiler's count, processor time of a step.

    python -m benchmarks.frozen_layers [--out FILE] [--repeats 15]

The network is 784-512-512-512-10, ReLU, batch 128, float32. FLOPs are `cost_analysis()` of the
compiled gradient of the layers that train; "needed" counts the products that the mathematics asks
for: forward, dW of each layer that trains, dX above the lowest of them. Times are processor time of
this process, measured in turns, as medians of ratios: one step (gradient, Adam, update) with all
but the head frozen over the same written out in jnp (forward pass, the head's gradient, Adam); and
a step of `finetune` on cached features over a step of `fit` of the head alone, both as the time
that further epochs take (the features themselves are computed once).
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxmlp
from benchmarks import RESULTS
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.finetuning import finetune
from jaxmlp.models import Model, Network, detach_head, infer

SIZES, BATCH, LOSS = (784, 512, 512, 512, 10), 128, "softmax_cross_entropy"
CONFIG = jaxmlp.MLPConfig(SIZES)
TRUNK = (0, 1, 2)
CALLS, ROWS, EPOCHS = 100, 6400, 200


def problem(rows: int) -> tuple[jaxmlp.Params, jax.Array, jax.Array]:
    """Draw parameters and data."""
    x = jax.random.normal(jax.random.key(1), (rows, SIZES[0]))
    y = jax.random.randint(jax.random.key(2), (rows,), 0, SIZES[-1])
    return jaxmlp.init(CONFIG, jax.random.key(0)), x, y


def flops_table() -> list[dict[str, Any]]:
    """One row for each number of frozen layers, counted from below."""
    params, x, y = problem(BATCH)
    products = [2 * BATCH * a * b for a, b in itertools.pairwise(SIZES)]
    rows = []
    for n in range(len(products)):
        gradient = jaxmlp.value_and_grad(CONFIG, LOSS, frozen=tuple(range(n)))

        def trained(params: Any, x: Any, y: Any, gradient: Any = gradient, n: int = n) -> Any:
            return gradient(params, x, y)[1][n:]

        analysis: Any = jax.jit(trained).lower(params, x, y).compile().cost_analysis()
        needed = sum(products) + sum(products[n:]) + sum(products[n + 1 :])
        frozen = sum(products[:n]) / sum(products)
        rows.append(
            {
                "frozen layers": n,
                "share of the weights": f"{frozen:.0%}",
                "MFLOP": analysis["flops"] / 1e6,
                "needed": needed / 1e6,
                "of unfrozen": analysis["flops"] / rows[0]["MFLOP"] / 1e6 if rows else 1.0,
            }
        )
    return rows


def frozen_step() -> tuple[Callable[[], float], Callable[[], float]]:
    """The library's step with a frozen trunk, and the same by hand."""
    params, x, y = problem(BATCH)
    optimizer = jaxmlp.adam(1e-3)
    gradient = jaxmlp.value_and_grad(CONFIG, LOSS, frozen=TRUNK)

    @jax.jit
    def ours(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = gradient(params, x, y)
        updates, state = optimizer.update(grads[3:], state, params[3:])
        return value, jaxmlp.apply_updates(params[3:], updates), state

    @jax.jit
    def by_hand(params: Any, state: Any, x: Any, y: Any) -> Any:
        h = x
        for layer in params[:3]:
            h = jnp.maximum(h @ layer.W + layer.b, 0)
        log_p = jax.nn.log_softmax(h @ params[3].W + params[3].b)
        target = jax.nn.one_hot(y, SIZES[-1])
        d = (jnp.exp(log_p) - target) / BATCH
        grads = (jaxmlp.Layer(h.T @ d, d.sum(axis=0)),)
        updates, state = optimizer.update(grads, state, params[3:])
        value = -jnp.mean(jnp.sum(target * log_p, axis=1))
        return value, jaxmlp.apply_updates(params[3:], updates), state

    arguments = params, optimizer.init(params[3:]), x, y
    for a, b in zip(
        jax.tree.leaves(ours(*arguments)), jax.tree.leaves(by_hand(*arguments)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    return (
        lambda: seconds_of(lambda: [ours(*arguments) for _ in range(CALLS)]),
        lambda: seconds_of(lambda: [by_hand(*arguments) for _ in range(CALLS)]),
    )


def cached_run() -> tuple[Callable[[], float], Callable[[], float]]:
    """A whole fine-tuning on cached features, and the head's run on features that are given."""
    params, x, y = problem(ROWS)
    data, network = (np.asarray(x), np.asarray(y)), Network(CONFIG, params)
    options: Any = {"batch_size": BATCH, "key": jax.random.key(3)}
    rule, head = jaxmlp.adam(1e-3), detach_head(network)
    features = infer(Model(*network), data[0], output="embeddings")

    def ours(epochs: int) -> Any:
        options["epochs"] = epochs
        new = finetune(network, data, mode="features", optimizer=rule, keep_head=True, **options)
        return new.model.params

    def alone(epochs: int) -> Any:
        options["epochs"] = epochs
        result = jaxmlp.fit(
            head.config, head.params, (features, data[1]), loss=LOSS, optimizer=rule, **options
        )
        return result.params

    return lambda: longer(ours), lambda: longer(alone)


def longer(run: Callable[[int], Any]) -> float:
    """Processor time that `EPOCHS` more epochs take: what is done once cancels."""
    return seconds_of(lambda: run(2 + EPOCHS)) - seconds_of(lambda: run(2))


def seconds_of(work: Callable[[], Any]) -> float:
    """Processor time of this process, in seconds."""
    begin = time.process_time()
    jax.block_until_ready(work())
    return time.process_time() - begin


def ratio(pair: tuple[Callable[[], float], Callable[[], float]], repeats: int) -> dict[str, float]:
    """Measure in turns; the median of the ratios, and their quartiles."""
    for measure in pair:
        measure()  # compiles
    ratios = sorted(pair[0]() / pair[1]() for _ in range(repeats))
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return {"median": statistics.median(ratios), "lower quartile": low, "upper quartile": high}


def main() -> None:
    """Measure, print tables, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "frozen_layers.json")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    flops = flops_table()
    print(markdown_table(flops))
    times = [
        {
            "ratio": "frozen trunk / forward and the head's backward",
            **ratio(frozen_step(), options.repeats),
        },
        {"ratio": "cached features / head alone", **ratio(cached_run(), options.repeats)},
    ]
    print(markdown_table(times))
    write_json(options.out, {"environment": environment(), "flops": flops, "times": times})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
