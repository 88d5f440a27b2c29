"""`jaxmlp train`."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from rich.console import Console

import jaxmlp
from jaxmlp import training
from jaxmlp.cli.display import EpochTable, confusion_counts, show_confusions, show_findings
from jaxmlp.cli.options import (
    LOSS,
    SCHEDULES,
    Options,
    check_options,
    make_config,
    make_optimizer,
    parse_layers,
)
from jaxmlp.cli.problem import Problem, load_problem
from jaxmlp.cli.proof import gradient_error
from jaxmlp.cli.run_folder import choose_folder, environment, write_run
from jaxmlp.diagnostics import monitor_layers
from jaxmlp.diagnostics.doctor import diagnose
from jaxmlp.optimizers import OPTIMIZERS
from jaxmlp.report.run_report import run_report
from jaxmlp.transfer import Model

DEFAULTS = Options()
MONITOR_EVERY, MONITOR_RECORDS = 10, 300  # steps between two looks at the layers; looks at most
_DATA, _NETWORK, _TRAINING, _OUTPUT = "Data", "Network", "Training", "Output"


def train(
    data: Annotated[
        str, typer.Argument(help="digits, mnist or fashion-mnist.", show_default=True)
    ] = DEFAULTS.data,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR", rich_help_panel=_DATA
        ),
    ] = None,
    layers: Annotated[
        str,
        typer.Option(help="Sizes of the hidden layers, such as 512,256.", rich_help_panel=_NETWORK),
    ] = "128",
    activation: Annotated[
        str,
        typer.Option(help="Of the hidden layers: relu, tanh, gelu, ...", rich_help_panel=_NETWORK),
    ] = DEFAULTS.activation,
    init: Annotated[
        str,
        typer.Option(
            help="Weight initializer; auto: He or Xavier, by activation.", rich_help_panel=_NETWORK
        ),
    ] = DEFAULTS.init,
    batch_norm: Annotated[
        bool,
        typer.Option("--batch-norm", help="Normalize the hidden layers.", rich_help_panel=_NETWORK),
    ] = False,
    dropout: Annotated[
        float, typer.Option(help="Probability to drop a hidden unit.", rich_help_panel=_NETWORK)
    ] = 0.0,
    optimizer: Annotated[
        str, typer.Option(help=f"{', '.join(OPTIMIZERS)}.", rich_help_panel=_TRAINING)
    ] = DEFAULTS.optimizer,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            "--lr",
            help="Default: 0.001 for adam; each rule has its own.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help=f"Of the learning rate: {', '.join(SCHEDULES)}.", rich_help_panel=_TRAINING
        ),
    ] = DEFAULTS.schedule,
    batch_size: Annotated[
        int, typer.Option(help="Examples a step; 0 takes all of them.", rich_help_panel=_TRAINING)
    ] = DEFAULTS.batch_size,
    epochs: Annotated[
        int, typer.Option(help="Passes over the data.", rich_help_panel=_TRAINING)
    ] = DEFAULTS.epochs,
    l2: Annotated[
        float, typer.Option(help="Weight of the L2 penalty.", rich_help_panel=_TRAINING)
    ] = 0.0,
    label_smoothing: Annotated[
        float,
        typer.Option(help="Share of the label spread over all classes.", rich_help_panel=_TRAINING),
    ] = 0.0,
    clip: Annotated[
        float | None,
        typer.Option(
            help="Largest norm of the gradient.", show_default=False, rich_help_panel=_TRAINING
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation loss, and keep the best.",
            show_default=False,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    gradient: Annotated[
        str,
        typer.Option(help="manual (by hand) or autodiff (jax.grad).", rich_help_panel=_TRAINING),
    ] = DEFAULTS.gradient,
    dtype: Annotated[
        str,
        typer.Option(
            help="float32, float64, or bfloat16 products with float32 weights.",
            rich_help_panel=_TRAINING,
        ),
    ] = DEFAULTS.dtype,
    seed: Annotated[
        int, typer.Option(help="Of splits, weights and order.", rich_help_panel=_TRAINING)
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write; default: the next runs/DATA-NUMBER.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing --out.", rich_help_panel=_OUTPUT)
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Print the test accuracy and the folder only.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> None:
    """Train a network, prove its gradient first, and keep what it learnt.

    Without arguments it trains on handwritten digits in a few seconds:

        jaxmlp train

    A larger set, from its files:

        jaxmlp train fashion-mnist --data-dir data --layers 512,256 --epochs 20
    """  # fmt: skip
    options = Options(
        data, parse_layers(layers), activation, init, batch_norm, dropout, optimizer, learning_rate,
        schedule, batch_size, epochs, l2, label_smoothing, clip, patience, gradient, dtype, seed,
    )  # fmt: skip
    check_options(options)
    folder = choose_folder(out, data, force)
    with jax.enable_x64(True) if dtype == "float64" else nullcontext():
        code = run_training(options, load_problem(data, data_dir, seed), folder, quiet)
    raise typer.Exit(code)


def run_training(options: Options, problem: Problem, folder: Path, quiet: bool) -> int:
    """Prove, train, test and write; return the exit code."""
    console = Console(quiet=quiet, highlight=False)
    names = problem.train.class_names or ()
    config = make_config(options, problem.train.x.shape[1], len(names))
    batch_size = options.batch_size or len(problem.train.x)
    n_steps = options.epochs * -(-len(problem.train.x) // batch_size)
    optimizer = make_optimizer(options, n_steps)
    _introduce(console, options, problem, config)
    _prove(console, options, problem, config)
    with EpochTable(console, options.epochs) as table:
        result = _fit(options, problem, config, optimizer, batch_size, table)
        if result.history.n_epochs:
            table.show(result.history.rows()[-1])
    if result.status is training.FitStatus.DIVERGED and result.best_epoch == 0:
        raise ValueError(
            f"training diverged at step {int(result.carry.stopped_at)}, before an epoch ended, and "
            f"nothing was written. Try --learning-rate {options.rate / 10:g} or --clip 1."
        )
    _say_how_it_ended(console, options, result)
    counts, metrics = _test(options, problem, config, result)
    show_confusions(console, counts, names)
    findings = diagnose(
        config, result, (problem.train.x, problem.train.y), loss=LOSS, optimizer=optimizer,
        validation_data=(problem.validation.x, problem.validation.y), trial_steps=0,
    )  # fmt: skip
    show_findings(console, findings)
    model = Model(
        config, result.params, result.state, LOSS, problem.standardizer,
        problem.train.feature_names, names, metrics,
    )  # fmt: skip
    settings = {"options": asdict(options), **environment()}
    page = run_report(
        f"jaxmlp train {options.data}",
        model,
        result,
        (problem.train.x, problem.train.y),
        findings,
        settings,
        counts,
    )
    write_run(folder, model, result, counts, settings, page)
    accuracy, n_test = metrics["test_accuracy"], int(counts.sum())
    Console(highlight=False).print(
        f"test accuracy [bold]{accuracy:.2%}[/bold] ({np.trace(counts)} of {n_test})"
    )
    Console(highlight=False, soft_wrap=True).print(
        f"wrote {folder}: model, history, pictures, settings"
    )
    return 130 if result.status is training.FitStatus.INTERRUPTED else 0


def _introduce(console: Console, options: Options, problem: Problem, config: Any) -> None:
    parts = (len(part.x) for part in (problem.train, problem.validation, problem.test))
    sizes = "-".join(str(size) for size in config.layer_sizes)
    console.print(
        "[bold]{}[/bold]: {:,} training, {:,} validation, {:,} test examples".format(
            options.data, *parts
        )
    )
    console.print(
        f"network {sizes}, {options.activation}, {config.n_parameters:,} parameters; "
        f"{options.optimizer}, learning rate {options.rate:g}"
        + (f" ({options.schedule})" if options.schedule != "constant" else "")
    )


def _prove(console: Console, options: Options, problem: Problem, config: Any) -> None:
    error = gradient_error(
        config, LOSS, problem.train.x, problem.train.y, seed=options.seed,
        l2=options.l2, dropout_rate=options.dropout,
        loss_options={"label_smoothing": options.label_smoothing},
    )  # fmt: skip
    if not error < 1e-9:
        raise ValueError(
            f"the gradient by hand differs from jax.grad's by {error:.1e}; please report this bug, "
            "and train with --gradient autodiff meanwhile."
        )
    console.print(
        f"gradient by hand = jax.grad, to a relative difference of {error:.1e} (float64)\n"
    )


def _fit(
    options: Options,
    problem: Problem,
    config: Any,
    optimizer: Any,
    batch_size: int,
    table: EpochTable,
) -> training.FitResult:
    stopping = None
    n_steps = options.epochs * -(-len(problem.train.x) // batch_size)
    if options.patience is not None:
        stopping = training.EarlyStopping(patience=options.patience)
    return training.fit(
        config,
        jaxmlp.init(config, jax.random.key(options.seed)),
        (problem.train.x, problem.train.y),
        loss=LOSS,
        optimizer=optimizer,
        epochs=options.epochs,
        key=jax.random.key(options.seed + 1),
        batch_size=batch_size,
        l2=options.l2,
        gradient=options.gradient,
        validation_data=(problem.validation.x, problem.validation.y),
        early_stopping=stopping,
        dropout_rate=options.dropout,
        loss_options={"label_smoothing": options.label_smoothing},
        callbacks=(table,),
        monitor=monitor_layers(config),
        monitor_every=max(MONITOR_EVERY, n_steps // MONITOR_RECORDS),
    )


def _say_how_it_ended(console: Console, options: Options, result: training.FitResult) -> None:
    status, best = result.status, result.best_epoch
    if status is training.FitStatus.EARLY_STOPPED:
        text = f"stopped early; the parameters of epoch {best} are kept"
    elif status is training.FitStatus.DIVERGED:
        text = (
            f"diverged at step {int(result.carry.stopped_at)}; the parameters of epoch {best} are "
            f"kept. Try --learning-rate {options.rate / 10:g} or --clip 1"
        )
    elif status is training.FitStatus.INTERRUPTED:
        text = f"interrupted; the parameters of epoch {best} are kept"
    else:
        text = f"trained for {result.history.n_epochs} epochs"
    seconds = float(np.sum(result.history["seconds"]))
    console.print(f"\n{text} ({seconds:.2f} s without compilation)\n")


def _test(
    options: Options, problem: Problem, config: Any, result: training.FitResult
) -> tuple[np.ndarray, dict[str, float]]:
    test = problem.test
    metrics = training.evaluate(config, result.params, (test.x, test.y), LOSS, state=result.state)
    x = jnp.asarray(test.x)
    outputs = jaxmlp.predict(config, result.params, x, state=result.state)
    predicted = np.asarray(outputs).argmax(axis=1)
    counts = confusion_counts(test.y, predicted, len(test.class_names or ()))
    return counts, {f"test_{name}": value for name, value in metrics.items()}
