"""The machine's floor: how fast it multiplies matrices, and how fast it moves memory."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.environment import cpu_count, on_cpu, product_precision
from benchmarks.harness.results import Row

ADAM_PASSES = 7  # reads parameter, gradient and both moments; writes parameter and moments
WORKING_SET = 4 << 20  # floats that parameters, gradients and moments of a large MLP take (16 MiB)


class Floor(NamedTuple):
    """Best rates seen.

    Attributes:
        products: of large float32 products, FLOP/s, by who computed them.
        memory: of a += b on arrays larger than the caches, bytes/s, by who moved them.
        working_set: the same on arrays of 16 MiB, which may fit a cache.
    """

    products: dict[str, float]
    memory: dict[str, float]
    working_set: dict[str, float]

    def seconds(self, layer_sizes: Sequence[int], batch_size: int) -> float:
        """Return the time of a training step with Adam that nothing but the machine bounds."""
        n_parameters = sum((a + 1) * b for a, b in itertools.pairwise(layer_sizes))
        products = step_flops(layer_sizes, batch_size) / max(self.products.values())
        return products + ADAM_PASSES * 4 * n_parameters / max(self.memory.values())

    def best(self, other: "Floor") -> "Floor":
        """Return the better of two measurements."""
        return Floor(
            *(
                {name: max(a.get(name, 0.0), b.get(name, 0.0)) for name in {**a, **b}}
                for a, b in zip(self, other, strict=True)
            )
        )


def step_flops(layer_sizes: Sequence[int], batch_size: int) -> float:
    """Count the products of a step: forward, dW, and dX of every layer but the first.

    >>> step_flops((3, 4, 2), 10)  # 2 * 10 * (12 + 8) twice, and 2 * 10 * 8
    960.0
    """
    weights = [a * b for a, b in itertools.pairwise(layer_sizes)]
    return 2.0 * batch_size * (3 * sum(weights) - weights[0])


Shape = tuple[int, int]
Product = Callable[[Any, Any], Any]


def step_products(
    layer_sizes: Sequence[int], batch_size: int
) -> Iterator[tuple[str, Product, Shape, Shape]]:
    """List the products of a step: a name, what it computes of two matrices, and their shapes.

    >>> [name for name, *_ in step_products((3, 4, 2), 10)]
    ['h W 0', 'h^T dz 0', 'h W 1', 'h^T dz 1', 'dz W^T 1']
    """
    for l, (n_in, n_out) in enumerate(itertools.pairwise(layer_sizes)):
        h, W, d_z = (batch_size, n_in), (n_in, n_out), (batch_size, n_out)
        yield f"h W {l}", lambda h, W: h @ W, h, W
        yield f"h^T dz {l}", lambda h, d_z: h.T @ d_z, h, d_z
        if l:
            yield f"dz W^T {l}", lambda d_z, W: d_z @ W.T, d_z, W


def time_step_products(layer_sizes: Sequence[int], batch_size: int, repeats: int = 20) -> float:
    """Time the products of a step alone, each in its own shape, by numpy: seconds.

    They are smaller than those that show a machine's best rate; this says how much of a step above
    the floor they explain.
    """
    rng = np.random.default_rng(0)
    works: dict[str, Callable[[], Any]] = {}
    for name, product, *shapes in step_products(layer_sizes, batch_size):
        a, b = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        works[name] = partial(product, a, b)
    return sum(_best_times(works, repeats).values())


def measure_floor(quick: bool = False, repeats: int = 5) -> Floor:
    """Measure products and memory, by numpy and by JAX; the best of `repeats`."""
    sizes = (512,) if quick else (2048, 3072) if on_cpu() else (4096, 8192)
    large = (4 << 20) if quick else _floats_beyond_caches()
    return Floor(
        _products(sizes, repeats), _memory(large, repeats), _memory(WORKING_SET, 4 * repeats)
    )


def rows(floor: Floor) -> list[Row]:
    """Return the floor as rows of a result."""
    named = (
        ("large float32 products", "rate", "FLOP/s", floor.products),
        ("a += b, larger than the caches", "bandwidth", "bytes/s", floor.memory),
        ("a += b, 16 MiB each", "bandwidth", "bytes/s", floor.working_set),
    )
    details = {"products of float32": product_precision()}
    return [
        Row("floor", case, who, metric, unit, value, details=details)
        for case, metric, unit, found in named
        for who, value in found.items()
    ]


def _products(sizes: Sequence[int], repeats: int) -> dict[str, float]:
    multiply = jax.jit(jnp.matmul)
    best: dict[str, float] = {}
    for n in sizes:
        a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
        works: dict[str, Callable[[], Any]] = {"jax": _bind(multiply, jnp.asarray(a))}
        if on_cpu():
            works["numpy"] = _bind(np.matmul, a)
        for who, seconds in _best_times(works, repeats).items():
            best[who] = max(best.get(who, 0.0), 2.0 * n**3 / seconds)
    return best


def _bind(function: Callable[..., Any], a: Any) -> Callable[[], Any]:
    return lambda: function(a, a)


def _memory(n_floats: int, repeats: int) -> dict[str, float]:
    """a += b: two reads and a write, in place, as an optimizer does it."""
    add = jax.jit(jnp.add, donate_argnums=0)
    state = [jnp.zeros(n_floats, jnp.float32), jnp.ones(n_floats, jnp.float32)]

    def by_jax() -> Any:
        state[0] = add(*state)
        return state[0]

    works: dict[str, Callable[[], Any]] = {"jax": by_jax}
    if not on_cpu():
        return {who: 12.0 * n_floats / s for who, s in _best_times(works, repeats).items()}
    threads = cpu_count()
    parts: list[Any] = [
        (np.zeros(n_floats // threads, np.float32), np.ones(n_floats // threads, np.float32))
        for _ in range(threads)
    ]
    with ThreadPoolExecutor(threads) as pool:
        works["numpy, a thread per core"] = lambda: list(
            pool.map(lambda part: np.add(part[0], part[1], out=part[0]), parts)
        )
        return {who: 12.0 * n_floats / s for who, s in _best_times(works, repeats).items()}


def _best_times(works: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Least seconds of a call, after one to warm up, in turns."""
    times: dict[str, list[float]] = {who: [] for who in works}
    for _ in range(repeats + 1):
        for who, work in works.items():
            begin = time.perf_counter()
            jax.block_until_ready(work())
            times[who].append(time.perf_counter() - begin)
    return {who: min(found[1:]) for who, found in times.items()}


def _floats_beyond_caches() -> int:
    """Number of floats of one array: the last cache's size, between 64 and 512 MiB."""
    sizes = [64 << 20]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        if text[:-1].isdigit() and text[-1] in units:
            sizes.append(int(text[:-1]) * units[text[-1]])
    return min(max(sizes), 512 << 20) // 4
