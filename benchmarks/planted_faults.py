"""The doctor examined: faults planted in networks and data, and healthy runs.

Every fault is planted in five architectures with five seeds each; a case counts as detected if
`diagnose` names the planted kind as a warning or worse. Healthy networks are diagnosed before
training and again after it, with history and validation data: half of them stopped early, half
after 8 epochs. One alarm in either makes the run a false alarm. The thresholds were argued, then
tried on seeds 0 to 4; the table is of seeds from 100.

    python -m benchmarks.planted_faults [--first-seed 100] [--seeds 5] [--healthy-seeds 20]
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxmlp
from benchmarks.harness import environment, markdown_table, write_json
from jaxmlp.diagnostics import FindingKind as Kind
from jaxmlp.diagnostics import Severity, diagnose
from jaxmlp.initializers import constant, normal

RESULTS = Path(__file__).parent / "results" / "planted_faults.json"
N_FEATURES, N_CLASSES, N_ROWS = 10, 4, 600
SOFTMAX, SIGMOID = "softmax_cross_entropy", "sigmoid_binary_cross_entropy"
SQUARED = "squared_error"


class Network(NamedTuple):
    """A healthy architecture: what a fault is planted in."""

    width: int
    depth: int
    activation: str
    loss: str = SOFTMAX
    batch_norm: bool = False

    @property
    def n_out(self) -> int:
        """One output, or one a class."""
        return N_CLASSES if self.loss == SOFTMAX else 1

    def config(self, **changes: Any) -> jaxmlp.MLPConfig:
        """The library's description of it."""
        sizes = (N_FEATURES, *(self.width,) * self.depth, self.n_out)
        settings = {"activation": self.activation, "batch_norm": self.batch_norm, **changes}
        return jaxmlp.MLPConfig(sizes, **settings)


class Case(NamedTuple):
    """The arguments of `diagnose`."""

    config: jaxmlp.MLPConfig
    params: Any
    data: tuple[np.ndarray, np.ndarray]
    loss: str
    optimizer: Any = None
    validation_data: Any = None


SMALL = (
    Network(32, 1, "relu"),
    Network(32, 2, "tanh"),
    Network(48, 6, "relu"),
    Network(32, 1, "sigmoid", SIGMOID),
    Network(32, 2, "gelu", SQUARED),
)
DEEP = (
    Network(32, 6, "sigmoid"),
    Network(24, 10, "sigmoid", SIGMOID),
    Network(32, 8, "tanh"),
    Network(48, 6, "relu"),
    Network(32, 6, "gelu", SQUARED),
)
GROWING = (
    Network(48, 6, "relu"),
    Network(32, 10, "relu", SIGMOID),
    Network(32, 6, "leaky_relu"),
    Network(32, 6, "gelu", SQUARED),
    Network(24, 8, "elu"),
)
MORTAL = (
    Network(32, 1, "relu"),
    Network(48, 6, "relu"),
    Network(32, 2, "relu", SIGMOID),
    Network(32, 2, "gelu", SQUARED),
    Network(24, 3, "elu"),
)
BOUNDED = (
    Network(32, 2, "tanh"),
    Network(32, 1, "sigmoid", SIGMOID),
    Network(32, 1, "tanh", SQUARED),
    Network(24, 3, "tanh"),
    Network(64, 2, "sigmoid"),
)
REGRESSION = (
    Network(32, 1, "relu", SQUARED),
    Network(32, 2, "gelu", SQUARED),
    Network(32, 2, "tanh", SQUARED),
    Network(24, 3, "elu", SQUARED),
    Network(48, 6, "relu", SQUARED),
)
HEALTHY = (
    *SMALL,
    *REGRESSION[2:4],
    Network(24, 3, "elu"),
    Network(32, 2, "leaky_relu", SIGMOID),
    Network(32, 8, "tanh", batch_norm=True),
    Network(64, 2, "sigmoid"),
    Network(32, 2, "relu", batch_norm=True),
)


def draw_data(network: Network, seed: int, rows: int = N_ROWS, mix: Any = None) -> Any:
    """Standardized features and targets that a random tanh network makes of them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, N_FEATURES))
    teacher = np.tanh(z @ rng.normal(size=(N_FEATURES, 16)) / 3)
    scores = teacher @ rng.normal(size=(16, N_CLASSES)) + 0.1 * rng.normal(size=(rows, N_CLASSES))
    x = z if mix is None else z @ mix(rng)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    scores = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    if network.loss == SOFTMAX:
        y = scores.argmax(axis=1)
    else:
        y = scores[:, 0] if network.loss == SQUARED else (scores[:, 0] > 0).astype(int)
    return x.astype(np.float32), y.astype(np.float32 if network.loss == SQUARED else np.int32)


def healthy(network: Network, seed: int, **changes: Any) -> Case:
    """An untrained network as it should be; `changes` go to the config."""
    config = network.config(**changes)
    params = jaxmlp.init(config, jax.random.key(seed))
    return Case(config, params, draw_data(network, seed), network.loss, jaxmlp.adam(1e-3))


def trained(case: Case, seed: int, epochs: int, stop: bool = False, n_train: int = N_ROWS) -> Case:
    """The same after training on the first rows; the others are held out."""
    x, y = case.data
    part, held_out = (x[:n_train], y[:n_train]), (x[n_train:], y[n_train:])
    result = jaxmlp.fit(
        case.config, case.params, part, loss=case.loss, optimizer=case.optimizer, epochs=epochs,
        key=jax.random.key(seed + 1), validation_data=held_out,
        early_stopping=jaxmlp.EarlyStopping(patience=10) if stop else None,
    )  # fmt: skip
    return case._replace(params=result, data=part, validation_data=held_out)


def rescaled(case: Case, transform: Callable[[np.ndarray], np.ndarray]) -> Case:
    """Other features, the same targets."""
    return case._replace(data=(transform(case.data[0]).astype(np.float32), case.data[1]))


def larger_weights(network: Network, seed: int, factor: float) -> Case:
    """Weights `factor` times as large as they should be, in the hidden layers."""
    case = healthy(network, seed)
    *below, top = case.params
    return case._replace(params=(*(layer._replace(W=factor * layer.W) for layer in below), top))


def one_large_feature(x: np.ndarray) -> np.ndarray:
    scale = np.ones(x.shape[1])
    scale[3] = 1000.0
    return x * scale


def nearly_repeated(rng: np.random.Generator) -> np.ndarray:
    """Mixes features so that their covariance has eigenvalues from 1 down to 1e-7."""
    U, V = (np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0] for _ in range(2))
    return U * np.geomspace(1, 10**-3.5, N_FEATURES) @ V


def ill_conditioned(network: Network, seed: int) -> Case:
    return healthy(network, seed)._replace(data=draw_data(network, seed, mix=nearly_repeated))


def noisy_labels(network: Network, seed: int) -> Case:
    """Sixty examples, half of all targets shuffled, four hundred epochs."""
    x, y = draw_data(network, seed, rows=360)
    rng = np.random.default_rng(seed + 1000)
    some = rng.permutation(360)[:180]
    y[some] = y[rng.permutation(some)]
    case = healthy(network, seed)._replace(data=(x, y), optimizer=jaxmlp.adam(3e-3))
    return trained(case, seed, epochs=400, n_train=60)


def labels_as_amounts(network: Network, seed: int) -> Case:
    classes = network._replace(loss=SOFTMAX)
    return healthy(network, seed)._replace(data=draw_data(classes, seed), optimizer=None)


def amounts_as_labels(network: Network, seed: int) -> Case:
    x, y = draw_data(network, seed)
    case = healthy(network, seed)._replace(optimizer=None)
    return case._replace(data=(x, 1 / (1 + np.exp(-y))), loss=SIGMOID)


def one_hot_as_questions(network: Network, seed: int) -> Case:
    classes = network._replace(loss=SOFTMAX)
    x, y = draw_data(classes, seed)
    case = healthy(classes, seed)._replace(optimizer=None)
    return case._replace(data=(x, np.eye(N_CLASSES)[y]), loss=SIGMOID)


def missing_value(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[7, 2] = np.nan
    return x


def diverged(network: Network, seed: int) -> Case:
    case = healthy(network, seed)._replace(optimizer=jaxmlp.sgd(3e38))
    return trained(case._replace(data=draw_data(network, seed, rows=N_ROWS + 60)), seed, epochs=10)


class Plant(NamedTuple):
    """A fault: what is done, to which networks, and what the doctor should say."""

    fault: str
    kind: Kind
    networks: tuple[Network, ...]
    make: Callable[[Network, int], Case]


def _with(optimizer: Any) -> Callable[[Network, int], Case]:
    return lambda network, seed: healthy(network, seed)._replace(optimizer=optimizer)


PLANTS = (
    Plant(
        "deep, weights N(0, 0.01)", Kind.VANISHING_GRADIENT, DEEP,
        lambda n, s: healthy(n, s, weight_init=normal(0.01)),
    ),
    Plant(
        "deep, weights 5 times too large", Kind.EXPLODING_GRADIENT, GROWING,
        lambda n, s: larger_weights(n, s, 5.0),
    ),
    Plant("biases at -8", Kind.DEAD_UNITS, MORTAL, lambda n, s: healthy(n, s, bias_init=-8.0)),
    Plant(
        "weights 20 times too large", Kind.SATURATED_UNITS, BOUNDED,
        lambda n, s: larger_weights(n, s, 20.0),
    ),
    Plant(
        "all weights 0.3", Kind.SYMMETRIC_WEIGHTS, SMALL,
        lambda n, s: healthy(n, s, weight_init=constant(0.3)),
    ),
    Plant(
        "all weights 0", Kind.SYMMETRIC_WEIGHTS, SMALL,
        lambda n, s: healthy(n, s, weight_init="zeros"),
    ),
    Plant("features nearly repeat each other", Kind.ILL_CONDITIONING, SMALL, ill_conditioned),
    Plant("Adam at 3", Kind.LEARNING_RATE_TOO_LARGE, SMALL, _with(jaxmlp.adam(3.0))),
    Plant("gradient descent at 100", Kind.LEARNING_RATE_TOO_LARGE, SMALL, _with(jaxmlp.sgd(100.0))),
    Plant("Adam at 1e-6", Kind.LEARNING_RATE_TOO_SMALL, SMALL, _with(jaxmlp.adam(1e-6))),
    Plant(
        "gradient descent at 1e-5", Kind.LEARNING_RATE_TOO_SMALL, SMALL, _with(jaxmlp.sgd(1e-5))
    ),
    Plant(
        "one feature 1000 times larger", Kind.UNSCALED_INPUTS, SMALL,
        lambda n, s: rescaled(healthy(n, s), one_large_feature),
    ),
    Plant(
        "features from 0 to 255", Kind.UNSCALED_INPUTS, SMALL,
        lambda n, s: rescaled(healthy(n, s), lambda x: 255 / (1 + np.exp(-x))),
    ),
    Plant(
        "features 100 +- 1", Kind.UNSCALED_INPUTS, SMALL,
        lambda n, s: rescaled(healthy(n, s), lambda x: x + 100),
    ),
    Plant(
        "targets 5000 +- 1000", Kind.UNSCALED_TARGETS, REGRESSION,
        lambda n, s: (c := healthy(n, s))._replace(data=(c.data[0], 5000 + 1000 * c.data[1])),
    ),
    Plant("60 noisy examples, 400 epochs", Kind.OVERFITTING, SMALL, noisy_labels),
    Plant("class labels, squared error", Kind.LOSS_MISMATCH, REGRESSION, labels_as_amounts),
    Plant("amounts, binary cross-entropy", Kind.LOSS_MISMATCH, REGRESSION, amounts_as_labels),
    Plant("one-hot, binary cross-entropy", Kind.LOSS_MISMATCH, REGRESSION, one_hot_as_questions),
    Plant(
        "a missing value", Kind.NON_FINITE, SMALL,
        lambda n, s: rescaled(healthy(n, s), missing_value),
    ),
    Plant("a run that diverged", Kind.NON_FINITE, SMALL, diverged),
)  # fmt: skip


def alarms(case: Case) -> list[Any]:
    """The doctor's warnings, worst first."""
    found = diagnose(
        case.config, case.params, case.data, loss=case.loss, optimizer=case.optimizer,
        validation_data=case.validation_data,
    )  # fmt: skip
    return [finding for finding in found if finding.severity >= Severity.WARNING]


def run_plant(plant: Plant, seeds: range, log: Callable[[str], Any]) -> dict[str, Any]:
    """All networks and seeds of one fault."""
    detected, cases, others = 0, 0, Counter[str]()
    for network in plant.networks:
        for seed in seeds:
            kinds = {finding.kind for finding in alarms(plant.make(network, seed))}
            cases += 1
            detected += plant.kind in kinds
            others.update(kind.value for kind in kinds - {plant.kind})
            if plant.kind not in kinds:
                log(f"  missed: {plant.fault}, {network}, seed {seed}: {sorted(kinds)}")
    return {
        "fault": plant.fault,
        "kind": plant.kind.value,
        "cases": cases,
        "detected": detected,
        "also named": ", ".join(f"{kind} {n}" for kind, n in others.most_common(3)),
    }


OPTIMIZERS = (jaxmlp.adam(1e-3), jaxmlp.sgd(0.1), jaxmlp.momentum(0.2), jaxmlp.rmsprop(1e-3))


def run_healthy(seeds: range, log: Callable[[str], Any]) -> dict[str, Any]:
    """Healthy networks before and after training."""
    runs, false_alarms = 0, []
    for i, network in enumerate(HEALTHY):
        for seed in seeds:
            optimizer = OPTIMIZERS[i % 4 if network.loss != SQUARED else 0]
            fresh = healthy(network, seed)._replace(optimizer=optimizer)
            # Of 900 rows the first 600 are trained on: the shapes, and programs, of all the rest.
            longer = fresh._replace(data=draw_data(network, seed, rows=N_ROWS * 3 // 2))
            stop = seed % 2 == 0
            named = alarms(fresh) + alarms(trained(longer, seed, 60 if stop else 8, stop))
            runs += 1
            if named:
                found = sorted({finding.kind.value for finding in named})
                false_alarms.append({"network": str(network), "seed": seed, "kinds": found})
                log(f"  false alarm: {network}, seed {seed}: {'; '.join(map(str, named))}")
    return {"runs": runs, "false_alarms": false_alarms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--healthy-seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    begin, first = time.perf_counter(), options.first_seed

    def log(line: str) -> None:
        print(f"{time.perf_counter() - begin:5.0f} s  {line}", flush=True)

    rows = []
    for plant in PLANTS:
        rows.append(run_plant(plant, range(first, first + options.seeds), log))
        log(f"{plant.fault}: {rows[-1]['detected']} of {rows[-1]['cases']}")
    healthy_runs = run_healthy(range(first, first + options.healthy_seeds), log)
    summary = {
        "faults": rows,
        "detection": sum(r["detected"] for r in rows) / sum(r["cases"] for r in rows),
        "healthy_runs": healthy_runs["runs"],
        "false_alarm_rate": len(healthy_runs["false_alarms"]) / healthy_runs["runs"],
        "false_alarms": healthy_runs["false_alarms"],
        "first_seed": first,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    write_json(options.out, {"environment": environment(), **summary})
    print(markdown_table(rows))
    print(
        f"\ndetection {summary['detection']:.1%}; false alarms in "
        f"{len(healthy_runs['false_alarms'])} of {healthy_runs['runs']} healthy runs "
        f"({summary['false_alarm_rate']:.1%}); {summary['seconds']} s"
    )


if __name__ == "__main__":
    main()
