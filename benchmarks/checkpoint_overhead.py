"""What it costs to save a training after every epoch: the same fit with and without, in turns.

python -m benchmarks.checkpoint_overhead [--rounds 5]
"""

import argparse
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp import Checkpoints, MLPConfig, adam, fit, init

RESULTS = Path(__file__).parent / "results" / "checkpoint_overhead.json"
_EPOCHS = 4


def measure(sizes: tuple[int, ...], rows: int, rounds: int) -> dict[str, object]:
    """Time fits with a checkpoint an epoch, and without.

    Args:
        sizes: of the layers.
        rows: of the data, so many that an epoch takes a second and more.
        rounds: fits of each kind.

    Returns:
        Medians: "epoch_seconds" without, "with", "cost" (a share of the time).
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, sizes[0])).astype(np.float32)
    y = rng.integers(0, sizes[-1], rows)
    config = MLPConfig(sizes)
    params = init(config, jax.random.key(0))

    def train(checkpoint: Checkpoints | None) -> float:
        begin = time.perf_counter()
        fit(
            config, params, (x, y), loss="softmax_cross_entropy", optimizer=adam(1e-3),
            epochs=_EPOCHS, key=jax.random.key(1), batch_size=256, checkpoint=checkpoint, every=1,
        )  # fmt: skip
        return (time.perf_counter() - begin) / _EPOCHS

    plain, saved = [], []
    with tempfile.TemporaryDirectory() as folder:
        train(Checkpoints(Path(folder, "warm"), every=1))
        for k in range(rounds):
            plain.append(train(None))
            saved.append(train(Checkpoints(Path(folder, str(k)), every=1)))
    without, with_ = float(np.median(plain)), float(np.median(saved))
    return {
        "network": "-".join(map(str, sizes)), "rows": rows, "epoch_seconds": without,
        "with": with_, "cost": with_ / without - 1,
    }  # fmt: skip


def main() -> None:
    """Measure two networks, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows = [
        measure((64, 128, 10), 1_500_000 // 2, args.rounds),
        measure((784, 512, 512, 10), 60_000, args.rounds),
    ]
    shown = [
        {**row, "epoch_seconds": f"{row['epoch_seconds']:.2f} s", "with": f"{row['with']:.2f} s",
         "cost": f"{row['cost']:+.1%}"}
        for row in rows
    ]  # fmt: skip
    print(markdown_table(shown))
    write_json(args.out, {**environment(), "rounds": args.rounds, "rows": rows})


if __name__ == "__main__":
    main()
