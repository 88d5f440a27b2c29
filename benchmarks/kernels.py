"""Are the kernels faster than the compiler's own programs, and do they find the same?

    python -m benchmarks.kernels [--rounds 7] [--out FILE]     on a GPU
    python -m benchmarks.kernels --quick                       anywhere: does everything work here?

(a) The gradient of one step of five layers of 64 (16 outputs) on 2^16 and 2^18 rows:
`value_and_grad` against `value_and_grad_fused`. (b) A sweep over learning rates of 64-128-16 at
batch 32, five epochs, of 1, 132 and 1,024 members: `kernel="xla"` with all members in one `vmap`
against `kernel="fused"`. Products of float32 as JAX does them (`JAX_DEFAULT_MATMUL_PRECISION`
decides on TF32), and in bfloat16. Contenders take turns; times are medians. On a CPU the kernels
are interpreted, so that only --quick runs, and its times mean nothing.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.harness import environment, markdown_table, write_json
from benchmarks.harness.environment import on_cpu
from benchmarks.harness.timing import interleave
from jaxmlp import MLPConfig, init, value_and_grad
from jaxmlp.kernels import value_and_grad_fused
from jaxmlp.sweeps import SweepResult, sweep

LOSS = "softmax_cross_entropy"
NARROW, MEMBER, QUICK = (64, 64, 64, 64, 64, 16), (64, 128, 16), (16, 16, 16)
DTYPES = {"float32": None, "bfloat16 products": "bfloat16"}
BATCH, EPOCHS, MEMBER_ROWS = 32, 5, 1440


def draw(n_rows: int, n_in: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows, and labels that can be learnt."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, n_in)).astype(np.float32)
    return x, (x @ rng.normal(size=(n_in, 16))).argmax(axis=1).astype(np.int32)


def compare(what: str, works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Time the compiler's program and the kernel in turns."""
    found = interleave(works, rounds, least_seconds=0.05)
    xla, fused = found["xla"].median, found["fused"].median
    return {"work": what, "xla (ms)": xla * 1e3, "fused (ms)": fused * 1e3, "times": xla / fused}


def gradients(quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """(a); the difference is the largest of a leaf, as a share of its largest entry."""
    sizes, counts = (QUICK, (300,)) if quick else (NARROW, (1 << 16, 1 << 18))
    for n_rows in counts:
        x, y = map(jax.device_put, draw(n_rows, sizes[0]))
        for name, dtype in DTYPES.items():
            config = MLPConfig(sizes, compute_dtype=dtype)
            params = init(config, jax.random.key(0))
            makers = {"xla": value_and_grad, "fused": value_and_grad_fused}
            works = {
                kernel: partial(jax.jit(make(config, LOSS)), params, x, y)
                for kernel, make in makers.items()
            }
            row = compare(f"gradient, {n_rows:,} rows, {name}", works, rounds)
            yield row | {"difference": _difference(*(work()[1] for work in works.values()))}


def _difference(a: Any, b: Any) -> float:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.max(np.abs(p - q)) / np.max(np.abs(p))) for p, q in pairs)


def members(quick: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """(b); the difference is that of the members' mean losses."""
    sizes, n_rows, counts = (QUICK, 96, (2,)) if quick else (MEMBER, MEMBER_ROWS, (1, 132, 1024))
    data = draw(n_rows, sizes[0])
    for count in counts:
        for name, dtype in DTYPES.items():
            config = MLPConfig(sizes, compute_dtype=dtype)

            def train(kernel: str, config: MLPConfig = config, count: int = count) -> SweepResult:
                return sweep(
                    config, data, loss=LOSS, epochs=EPOCHS, batch_size=BATCH, kernel=kernel,
                    grid={"learning_rate": np.geomspace(1e-4, 1e-2, count)}, executor="vmap",
                    key=jax.random.key(0),
                )  # fmt: skip

            works = {kernel: partial(train, kernel) for kernel in ("xla", "fused")}
            row = compare(f"sweep, {count:,} members, {name}", works, rounds)
            losses = [work().metrics[:, -1, 0].mean() for work in works.values()]
            yield row | {"difference": float(abs(losses[1] / losses[0] - 1))}


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if on_cpu() and not options.quick:
        parser.error("kernels are interpreted on a CPU, whose times mean nothing: pass --quick")
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}; give at least 1")
    rows = []
    for study in (gradients, members):
        for row in study(options.quick, 1 if options.quick else options.rounds):
            rows.append(row)
            print(markdown_table([row]), flush=True)
    if options.out is not None:
        write_json(options.out, {"environment": environment(), "rows": rows})
        print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
