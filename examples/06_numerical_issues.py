"""Chapter VI: five numerical diseases, each demonstrated, diagnosed and cured.

Vanishing and exploding gradients, dead ReLUs, equal weights, ill-conditioning, rounding; both
readings of the slide's N(0, 0.01); and a 20-layer sigmoid network, cured one remedy at a time.

    python examples/06_numerical_issues.py [--out DIR]
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import jaxmlp
from jaxmlp.diagnostics import Severity, examine, findings, precision_report
from jaxmlp.initializers import constant, normal

INK, FAINT, ILL, WELL = "#333333", "#DDDDDD", "#D55E00", "#0072B2"
LOSS, DEPTH, WIDTH = "softmax_cross_entropy", 10, 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "output")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    data = spirals()

    print("1. Six diseases: what the library says, and the cure")
    stories = [story(data) for story in (vanishing, exploding, dead, symmetric, ill_conditioned)]
    draw_stories(stories).savefig(out / "06_diseases_and_cures.png")
    rounding(data)

    print("\n2. The slide's N(0, 0.01), read in two ways")
    two_readings(data).savefig(out / "06_two_readings.png")

    print("\n3. Twenty sigmoid layers of N(0, 0.01): one remedy after another")
    twenty_layers(data).savefig(out / "06_twenty_layers.png")
    print(f"\nPictures: {', '.join(str(p) for p in sorted(out.glob('06_*.png')))}")


def spirals(rows=600, classes=3):
    """Three spiral arms in the plane, standardized: no straight line tells them apart."""
    rng = np.random.default_rng(0)
    y = np.arange(rows) % classes
    radius = np.sqrt(rng.uniform(0.02, 1, rows))
    angle = 5 * radius + 2 * np.pi * y / classes + 0.1 * rng.normal(size=rows)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), y.astype(np.int32)


def network(activation, depth=DEPTH, **settings):
    return jaxmlp.MLPConfig((2, *(WIDTH,) * depth, 3), activation=activation, **settings)


def train(config, params, data, optimizer, epochs=60):
    """The loss after every epoch."""
    result = jaxmlp.fit(
        config, params, data, loss=LOSS, optimizer=optimizer, epochs=epochs, key=jax.random.key(1)
    )
    losses = np.full(epochs, np.nan)
    losses[: result.history.n_epochs] = result.history["train_loss"]
    return losses


def tell(title, exam, kind):
    """Print what the doctor says of the ill network; it has to name the disease."""
    finding = next(f for f in findings(exam) if f.kind == kind)
    assert finding.severity >= Severity.WARNING
    print(f"\n   {title}")
    print("   " + str(finding).replace("\n", "\n   "))


def story(title, kind, ill, well, names, data, optimizer, well_data=None, measure=None):
    """Diagnose the ill network, train both, and keep what the picture needs."""
    cases = ((*ill, data), (*well, data if well_data is None else well_data))
    exams = [examine(*case, loss=LOSS) for case in cases]  # diagnose() is findings(examine())
    tell(title, exams[0], kind)
    curves = [train(*case, optimizer) for case in cases]
    print(f"   final loss: {names[0]} {curves[0][-1]:.3f}, {names[1]} {curves[1][-1]:.3f}")
    assert not curves[0][-1] < 2 * curves[1][-1]
    return title, names, curves, [measure(exam) for exam in exams]


def start(config, seed=0):
    """Parameters, and the config without its initializers: networks that differ only there share
    their compiled programs."""
    params = jaxmlp.init(config, jax.random.key(seed))
    return config.replace(weight_init="auto", bias_init=0.0), params


def gradient_reaching(exam):
    """Layer by layer, relative to the output layer."""
    signal = exam.flow.signal / exam.flow.signal[-1]
    return "layer", "gradient that arrives", np.arange(len(signal)), signal, "log"


def vanishing(data):
    return story(
        "Vanishing gradient",
        "vanishing_gradient",
        start(network("tanh", weight_init=normal(0.01))),
        start(network("tanh")),
        ("N(0, 0.01)", "Xavier"),
        data,
        jaxmlp.sgd(0.05),
        measure=gradient_reaching,
    )


def exploding(data):
    return story(
        "Exploding gradient",
        "exploding_gradient",
        start(network("relu", weight_init=normal(1.0))),
        start(network("relu")),
        ("N(0, 1)", "He"),
        data,
        jaxmlp.sgd(0.02),
        measure=gradient_reaching,
    )


def dead(data):
    def active(exam):
        share = 1 - np.sort(exam.activity[0].flat)
        return (
            "unit of the first layer, sorted",
            "share of examples it is on",
            None,
            share,
            "linear",
        )

    return story(
        "Dead ReLUs",
        "dead_units",
        start(network("relu", depth=2, bias_init=-4.0)),
        start(network("relu", depth=2)),
        ("biases at -4", "biases at 0"),
        data,
        jaxmlp.sgd(0.2),
        measure=active,
    )


def symmetric(data):
    def columns(exam):
        W = np.asarray(exam.params[1].W)
        distance = np.linalg.norm(W - W[:, :1], axis=0)
        return "unit of the second layer", "distance to unit 0's weights", None, distance, "linear"

    return story(
        "Equal weights",
        "symmetric_weights",
        start(network("tanh", depth=2, weight_init=constant(0.2))),
        start(network("tanh", depth=2)),
        ("all 0.2", "Xavier"),
        data,
        jaxmlp.sgd(0.2),
        measure=columns,
    )


def ill_conditioned(data):
    x, y = data
    # Two features that nearly repeat each other: their difference is a thousandth of their size.
    twins = np.stack([x[:, 0], x[:, 0] + 0.003 * x[:, 1]], axis=1)
    twins = (twins / twins.std(axis=0)).astype(np.float32)
    values, vectors = np.linalg.eigh(np.cov(twins.T.astype(np.float64)))
    white = ((twins - twins.mean(axis=0)) @ vectors / np.sqrt(values)).astype(np.float32)

    def spread(exam):
        eigenvalues = np.linalg.eigvalsh(np.cov(exam.x.T.astype(np.float64)))[::-1]
        return "direction", "variance of the inputs", np.arange(2), eigenvalues, "log"

    config = network("tanh", depth=2)
    return story(
        "Ill-conditioning",
        "ill_conditioning",
        start(config),
        start(config),
        ("twin features", "whitened"),
        (twins, y),
        jaxmlp.sgd(0.2),
        well_data=(white, y),
        measure=spread,
    )


def rounding(data):
    """The same examples far from the origin: float32 keeps seven digits of the position."""
    config, params = start(network("relu", depth=2))
    x = data[0].astype(np.float64)
    print("\n   Rounding: inputs 10,000 + x against x")
    lost = []
    for name, inputs in (("10,000 + x", x + 1e4), ("x", x)):
        report = precision_report(config, params, (inputs, data[1]), LOSS)
        row = report.worst("float32")
        lost.append(row.lost)
        print(
            f"   {name:11} float32 loses most at layer {row.layer} ({row.tensor}): {row.lost:.1f} "
            f"digits, {row.digits:.1f} are left"
        )
    assert lost[0] > lost[1] + 1
    print("   Cure: subtract the mean before rounding to float32 (Standardizer).")


def two_readings(data):
    """Gradient flow for 0.01 as the standard deviation and as the variance, and for Xavier."""
    readings = {
        "standard deviation 0.01": normal(0.01),
        "variance 0.01 (standard deviation 0.1)": normal(0.1),
        "Xavier": "xavier_normal",
    }
    colors, flows, curves = (ILL, "#E69F00", WELL), {}, {}
    for name, weight_init in readings.items():
        config, params = start(network("tanh", weight_init=weight_init))
        exam = examine(config, params, data, loss=LOSS)
        flows[name] = exam.flow.signal / exam.flow.signal[-1]
        curves[name] = train(config, params, data, jaxmlp.sgd(0.05))
        print(
            f"   {name:38} gradient at layer 0: {flows[name][0]:.0e} of that at the top; "
            f"final loss {curves[name][-1]:.3f}"
        )
    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, flow), color in zip(flows.items(), colors, strict=True):
        left.plot(flow, "o-", color=color, linewidth=2, markersize=4, label=name)
        right.plot(1 + np.arange(len(curves[name])), curves[name], color=color, linewidth=2)
    plain(left, "layer", "gradient that arrives (top = 1)", log=True)
    plain(right, "epoch", "training loss")
    left.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.suptitle(
        f"{DEPTH} hidden tanh layers of {WIDTH}: what N(0, 0.01) means decides",
        color=INK, fontsize=11, x=0.01, ha="left",
    )  # fmt: skip
    return figure


def twenty_layers(data):
    """The table of final losses: as it is, then with one remedy after another."""
    clipped = jaxmlp.chain(jaxmlp.clip_by_global_norm(1.0), jaxmlp.adam(1e-3))
    bad, sgd = normal(0.01), jaxmlp.sgd(0.03)
    remedies = {
        "sigmoid, N(0, 0.01)": (network("sigmoid", 20, weight_init=bad), sgd),
        "sigmoid, Xavier": (network("sigmoid", 20), sgd),
        "... and batch norm": (network("sigmoid", 20, batch_norm=True), sgd),
        "tanh, Xavier": (network("tanh", 20), sgd),
        "... and Adam, clipped": (network("tanh", 20), clipped),
    }
    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    shades = (ILL, "#E69F00", "#CC79A7", "#009E73", WELL)
    final = {}
    for (name, (config, optimizer)), color in zip(remedies.items(), shades, strict=True):
        curve = train(*start(config), data, optimizer, epochs=100)
        final[name] = curve[-1]
        print(f"   {name:22} final loss {curve[-1]:.4f}")
        axes.plot(1 + np.arange(len(curve)), curve, color=color, linewidth=2, label=name)
    assert abs(final["sigmoid, N(0, 0.01)"] - np.log(3)) < 0.02  # chance level: it learns nothing
    assert final["... and Adam, clipped"] < 0.1
    plain(axes, "epoch", "training loss")
    axes.set_ylim(bottom=0)
    axes.axhline(np.log(3), color=INK, linewidth=1, linestyle=":")
    axes.text(100, np.log(3) + 0.02, "chance: ln 3", color=INK, fontsize=8, ha="right")
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    axes.set_title(
        "Twenty hidden layers: one remedy after another", color=INK, fontsize=11, loc="left"
    )
    return figure


def draw_stories(stories):
    """One row a disease: its mark before and after, and both learning curves."""
    figure = Figure(figsize=(9, 2.6 * len(stories)), dpi=150, layout="constrained")
    rows = figure.subplots(len(stories), 2)
    for (title, names, curves, marks), (left, right) in zip(stories, rows, strict=True):
        styles = ((ILL, "o-"), (WELL, "s--"))
        for (x_label, y_label, x, y, scale), name, (color, style) in zip(
            marks, names, styles, strict=True
        ):
            x = np.arange(len(y)) if x is None else x
            left.plot(x, y, style, color=color, linewidth=2, markersize=4, label=name)
            plain(left, x_label, y_label, log=scale == "log")
        for curve, name, (color, style) in zip(curves, names, styles, strict=True):
            epochs = 1 + np.arange(len(curve))
            right.plot(epochs, curve, style[1:], color=color, linewidth=2, label=name)
            over = np.flatnonzero(~np.isfinite(curve))
            if len(over):
                right.plot(1, 1.3, "x", color=color, markersize=9, markeredgewidth=2)
                right.text(3.5, 1.3, "diverges at once", color=color, fontsize=8, va="center")
        plain(right, "epoch", "training loss")
        right.set_ylim(bottom=0)
        left.set_title(title, color=INK, fontsize=11, loc="left")
        right.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure


def plain(axes, x_label, y_label, log=False):
    """Little ink besides the data."""
    axes.set_xlabel(x_label, color=INK, fontsize=9)
    axes.set_ylabel(y_label, color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if log:
        axes.set_yscale("log")


if __name__ == "__main__":
    main()
