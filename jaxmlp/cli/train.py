"""`jaxmlp train`: its options."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import jax
import typer

from jaxmlp.cli.options import (
    SCHEDULES,
    Options,
    check_options,
    parse_layers,
    table_defaults,
)
from jaxmlp.cli.problem import Problem, load_problem
from jaxmlp.cli.run_folder import choose_folder
from jaxmlp.cli.table_problem import TableOptions, load_table_problem
from jaxmlp.cli.training_run import run_training
from jaxmlp.data.tables import is_table_file
from jaxmlp.optimizers import OPTIMIZERS

DEFAULTS = Options()
_DATA, _TABLE, _NETWORK = "Data", "Tables", "Network"
_TRAINING, _OUTPUT = "Training", "Output"


def train(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A .csv, .csv.gz or .parquet file; or digits, mnist, fashion-mnist.",
            show_default=True,
        ),
    ] = DEFAULTS.data,
    target: Annotated[
        str | None,
        typer.Option(help="Column to predict.", show_default=False, rich_help_panel=_TABLE),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classification or regression; inferred from the target.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    drop: Annotated[
        str,
        typer.Option(help="Columns to leave out, such as a,b.", rich_help_panel=_TABLE),
    ] = "",
    category: Annotated[
        str, typer.Option(help="Columns that are categories.", rich_help_panel=_TABLE)
    ] = "",
    number: Annotated[
        str, typer.Option(help="Columns that are numbers.", rich_help_panel=_TABLE)
    ] = "",
    schema: Annotated[
        Path | None,
        typer.Option(
            help="JSON or TOML file that says what the columns are, as a run writes it.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Column whose equal rows stay in one part of the split.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Column to split by: early rows train, late ones test.",
            show_default=False,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    scaling: Annotated[
        str,
        typer.Option(help="Of numbers: robust, standard or quantile.", rich_help_panel=_TABLE),
    ] = "robust",
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

    A table needs the column to predict; what it understood of the others is printed first:

        jaxmlp train data.csv --target y

    A larger set, from its files:

        jaxmlp train fashion-mnist --data-dir data --layers 512,256 --epochs 20
    """  # fmt: skip
    options = Options(
        data, parse_layers(layers), activation, init, batch_norm, dropout, optimizer, learning_rate,
        schedule, batch_size, epochs, l2, label_smoothing, clip, patience, gradient, dtype, seed,
    )  # fmt: skip
    table = TableOptions(target, task, schema, group, time, drop, category, number, scaling)
    is_table = is_table_file(data)
    if not is_table and table != TableOptions():
        raise ValueError(f"--target and its like go with a table, but {data} is none.")
    check_options(options)
    folder = choose_folder(out, Path(data).name.split(".")[0] if is_table else data, force)
    settings = None
    with jax.enable_x64(True) if dtype == "float64" else nullcontext():
        if is_table:
            problem: Problem = load_table_problem(data, table, seed)
            suitable = table_defaults(len(problem.train.x), problem.train.class_names is not None)
            options = replace(options, **_unsaid(context, suitable))
            settings = {**asdict(table), "schema": None if schema is None else str(schema)}
        else:
            problem = load_problem(data, data_dir, seed)
        code = run_training(options, problem, folder, quiet, settings)
    raise typer.Exit(code)


def _unsaid(context: typer.Context, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return those defaults whose options the user did not give."""
    unsaid = {
        name: value
        for name, value in defaults.items()
        if getattr(context.get_parameter_source(name), "name", "") == "DEFAULT"
    }
    if "optimizer" not in unsaid:  # another rule has a rate of its own
        unsaid.pop("learning_rate", None)
    return unsaid
