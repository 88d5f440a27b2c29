"""`jaxmlp train`: its options."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console

from jaxmlp.cli import arguments
from jaxmlp.cli.budget import Budget, spend
from jaxmlp.cli.options import (
    Options,
    check_options,
    parse_layers,
    recipe_defaults,
)
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.prepared_table import TableOptions, is_table, load_data
from jaxmlp.cli.repeats import Repetition, repeat_training, say_divergences, show_summary, summarize
from jaxmlp.cli.run_folder import choose_folder, read_run
from jaxmlp.cli.standard_input import STANDARD_INPUT
from jaxmlp.cli.training_run import conclude, run_training
from jaxmlp.cli.turns import SWEPT_SCHEDULES
from jaxmlp.files import write_atomically
from jaxmlp.recipes import get_recipe, recipe_settings

_DEFAULTS = Options()


def train(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A .csv, .csv.gz or .parquet file; - for the standard input; or digits, mnist, "
            "fashion-mnist.",
            show_default=True,
        ),
    ] = _DEFAULTS.data,
    target: arguments.Target = None,
    task: arguments.Task = None,
    drop: arguments.Drop = "",
    category: arguments.Category = "",
    number: arguments.Number = "",
    missing: arguments.Missing = "",
    no_header: arguments.NoHeader = False,
    delimiter: arguments.Delimiter = "",
    skip: arguments.Skip = 0,
    sheet: arguments.Sheet = "",
    schema: arguments.SchemaFile = None,
    group: arguments.Group = None,
    time: arguments.Time = None,
    scaling: arguments.Scaling = "robust",
    data_dir: arguments.DataDir = None,
    recipe: arguments.Recipe = None,
    layers: arguments.Layers = "128",
    activation: arguments.ActivationName = _DEFAULTS.activation,
    init: arguments.Init = _DEFAULTS.init,
    batch_norm: arguments.BatchNorm = False,
    dropout: arguments.Dropout = 0.0,
    optimizer: arguments.OptimizerName = _DEFAULTS.optimizer,
    learning_rate: arguments.LearningRate = None,
    schedule: arguments.Schedule = _DEFAULTS.schedule,
    batch_size: arguments.BatchSize = _DEFAULTS.batch_size,
    epochs: arguments.Epochs = _DEFAULTS.epochs,
    l2: arguments.L2 = 0.0,
    label_smoothing: arguments.LabelSmoothing = 0.0,
    clip: arguments.Clip = None,
    patience: arguments.Patience = None,
    gradient: arguments.GradientName = _DEFAULTS.gradient,
    dtype: arguments.Dtype = _DEFAULTS.dtype,
    seed: arguments.Seed = 0,
    seeds: Annotated[
        int,
        arguments.option(
            arguments.TRAINING, "Splits and trainings, of seeds from --seed on, to average over."
        ),
    ] = 1,
    folds: Annotated[
        int,
        arguments.option(
            arguments.TRAINING,
            "Cross-validate a table in so many folds; the folder keeps the first one's network.",
        ),
    ] = 0,
    budget: arguments.Budget = None,
    trees: arguments.Trees = False,
    out: arguments.Out = None,
    force: arguments.Force = False,
    quiet: arguments.Quiet = False,
    as_json: arguments.AsJson = False,
) -> None:
    """Train a network, prove its gradient first, and keep what it learnt.

    Without arguments it trains on handwritten digits in a few seconds:

        jaxmlp train

    A table needs the column to predict; what it understood of the others is printed first:

        jaxmlp train data.csv --target y

    Whether the network pays, boosted trees on the same rows tell:

        jaxmlp train data.csv --target y --trees

    Given a minute, it looks for better numbers first:

        jaxmlp train data.csv --target y --budget 60

    How much of the result is luck, five splits and trainings tell:

        jaxmlp train data.csv --target y --seeds 5

    Or five folds, each of which tests what was learnt from the other four:

        jaxmlp train data.csv --target y --folds 5

    A larger set, from its files:

        jaxmlp train fashion-mnist --data-dir data --layers 512,256 --epochs 20
    """  # fmt: skip
    options = Options(
        data, parse_layers(layers), activation, init, batch_norm, dropout, optimizer, learning_rate,
        schedule, batch_size, epochs, l2, label_smoothing, clip, patience, gradient, dtype, seed,
    )  # fmt: skip
    table = TableOptions(
        target, task, schema, group, time, drop, category, number, scaling,
        missing, not no_header, delimiter, skip, sheet,
    )  # fmt: skip
    options = replace(options, recipe=_choose_recipe(context, recipe, options), trees=trees)
    for name, said in (("--trees", trees), ("--budget", budget is not None)):
        if said and not is_table(data):
            raise ValueError(f"{name} goes with a table, but {data} is none.")
    if budget is not None:
        _check_budget(budget, options, seeds, folds)
    check_options(options)
    chosen = get_recipe(options.recipe)
    table = replace(table, max_one_hot=chosen.max_one_hot, clamp=chosen.clamp, folds=folds)
    name = "stdin" if data == STANDARD_INPUT else Path(data).name.split(".")[0]
    folder = choose_folder(out, name, force)
    _check_repeats(data, seeds, folds)
    settings = None
    with jax.enable_x64(True) if dtype == "float64" else nullcontext():
        prepared = load_data(data, data_dir, table, seed)
        if is_table(data):
            options = replace(options, **_unsaid(context, _suitable(options.recipe, prepared)))
            settings = table.to_dict()
        console = Console(quiet=quiet or as_json, highlight=False)
        improve = None
        if budget is not None:
            improve = partial(spend, Budget(budget), console, options, prepared)
        code, outcome = run_training(options, prepared, folder, console, settings, improve)
        if not as_json:
            conclude(outcome, folder)
        if (folds or seeds > 1) and not code:
            name, count = ("folds", folds) if folds else ("seeds", seeds)
            load = partial(load_data, data, data_dir)
            further = _further_trainings(options, table, load, name, count)
            _repeat(console, further, folder, name, shown=not as_json)
    if as_json:
        print(json.dumps({"folder": str(folder), **read_run(folder)}, ensure_ascii=False))
    raise typer.Exit(code)


def _check_budget(budget: float, options: Options, seeds: int, folds: int) -> None:
    if not 0 < budget < math.inf:
        raise ValueError(f"--budget is {budget:g}; give seconds, such as 60.")
    if folds or seeds > 1:
        raise ValueError(
            f"--budget makes one run as good as it can, and {'--folds' if folds else '--seeds'} "
            "repeats a run to see how it varies; give one of them."
        )
    if options.schedule not in SWEPT_SCHEDULES:
        known = ", ".join(SWEPT_SCHEDULES)
        raise ValueError(
            f"--budget trains several learning rates in one program, which --schedule "
            f"{options.schedule} has no place for; give one of {known}."
        )


def _choose_recipe(context: typer.Context, recipe: str | None, options: Options) -> str:
    """Return the recipe that was asked for; else of a table that which suits tables."""
    if not is_table(options.data):
        if recipe not in (None, "plain"):
            raise ValueError(f"--recipe goes with a table, but {options.data} is none.")
        return "plain"
    chosen = recipe or (
        "tabm" if options.optimizer == "adamw" or not _said(context, "optimizer") else "plain"
    )
    if chosen != "plain" and _said(context, "optimizer") and options.optimizer != "adamw":
        raise ValueError(
            f"the recipe {chosen} trains with adamw; leave --optimizer {options.optimizer} out, or "
            "add --recipe plain."
        )
    return chosen


def _suitable(recipe: str, data: PreparedData) -> dict[str, Any]:
    """Return what suits a table where the user says nothing."""
    n_rows, names = len(data.train.x), data.train.class_names
    task = "regression" if names is None else "classification"
    return recipe_defaults(recipe_settings(get_recipe(recipe), n_rows, task, len(names or (0,))))


def _check_repeats(data: str, seeds: int, folds: int) -> None:
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; give at least 1.")
    if folds and seeds > 1:
        raise ValueError("--folds and --seeds each repeat the training; give one of them.")
    if folds and folds < 2:
        raise ValueError(f"--folds is {folds}; give at least 2, or 0 for a single split.")
    if folds and not is_table(data):
        raise ValueError(f"--folds goes with a table, but {data} is none; --seeds goes with both.")
    if (folds or seeds > 1) and data == STANDARD_INPUT:
        name = "--folds" if folds else "--seeds"
        raise ValueError(f"{name} reads the data several times; give a file instead of -.")


def _further_trainings(
    options: Options,
    table: TableOptions,
    load: Callable[[TableOptions, int], PreparedData],
    name: str,
    count: int,
) -> list[Repetition]:
    """Return what follows the first of so many seeds or folds."""
    seed = options.seed
    if name == "folds":
        tables = [replace(table, fold=k) for k in range(1, count)]
        return [Repetition(options, partial(load, own, seed)) for own in tables]
    seeds = range(seed + 1, seed + count)
    return [Repetition(replace(options, seed=k), partial(load, table, k)) for k in seeds]


_HEADINGS = {
    "folds": "over {} folds, each tested once; the network of the first is kept",
    "seeds": "over {} seeds, each with its own split and initial weights",
}


def _repeat(
    console: Console, further: list[Repetition], folder: Path, name: str, shown: bool
) -> None:
    """Train further, add what all trainings reached to the run, and show it, --quiet or not."""
    run = read_run(folder)
    repeated = repeat_training(console, further)
    metrics = [run["metrics"], *repeated.metrics]
    summary = summarize(metrics)
    content = {**run, name: {"metrics": metrics, "summary": summary}}
    content[name]["diverged"] = repeated.n_diverged
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / "run.json", text.encode())
    console = Console(quiet=not shown, highlight=False)
    console.print()
    say_divergences(console, repeated, len(further))
    show_summary(console, summary, _HEADINGS[name].format(len(metrics)))


def _said(context: typer.Context, name: str) -> bool:
    """Whether the user gave an option."""
    return getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"


def _unsaid(context: typer.Context, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return those defaults whose options the user did not give."""
    unsaid = {name: value for name, value in defaults.items() if not _said(context, name)}
    if "optimizer" not in unsaid:  # another rule has a rate of its own
        unsaid.pop("learning_rate", None)
    return unsaid
