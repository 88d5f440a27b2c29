"""`jaxmlp train`: its options."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import typer
from rich.console import Console

from jaxmlp.cli import arguments
from jaxmlp.cli.answer import show_answer, show_written
from jaxmlp.cli.backbone_tuning import check_blocks, tune_backbone
from jaxmlp.cli.budget import Budget, spend
from jaxmlp.cli.calls import Call, call_of, checkpoints_of, resumed_call
from jaxmlp.cli.claims import claimed_folder, reclaimed_folder
from jaxmlp.cli.extraction import load_backbone
from jaxmlp.cli.feature_columns import TableBackbone
from jaxmlp.cli.language import Language, chosen_language
from jaxmlp.cli.media import PreparedMedia, load_media
from jaxmlp.cli.options import (
    Options,
    check_options,
    parse_layers,
    recipe_defaults,
)
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.prepared_stream import is_streamed, load_stream, run_name
from jaxmlp.cli.prepared_table import is_table, load_data
from jaxmlp.cli.processes import join, shared_folder
from jaxmlp.cli.repeats import Repetition, repeat_training, say_divergences, show_summary, summarize
from jaxmlp.cli.run_folder import read_run
from jaxmlp.cli.standard_input import STANDARD_INPUT
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.train_checks import (
    COLUMNS,
    check_backbone,
    check_budget,
    check_checkpoints,
    check_repeats,
    check_stream,
    choose_columns,
)
from jaxmlp.cli.training_run import run_training
from jaxmlp.distributed import is_first
from jaxmlp.files import write_atomically
from jaxmlp.recipes import get_recipe, recipe_settings
from jaxmlp.training.checkpoints import TERMINATED

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
    text: arguments.Text = None,
    image: arguments.ImageColumns = None,
    sound: arguments.SoundColumns = None,
    missing: arguments.Missing = "",
    no_header: arguments.NoHeader = False,
    delimiter: arguments.Delimiter = "",
    skip: arguments.Skip = 0,
    sheet: arguments.Sheet = "",
    schema: arguments.SchemaFile = None,
    group: arguments.Group = None,
    time: arguments.Time = None,
    scaling: arguments.Scaling = "robust",
    stream: arguments.Stream = None,
    backbone: arguments.BackboneName = None,
    backbone_weights: arguments.BackboneWeights = "pretrained",
    tune_epochs: arguments.TuneEpochs = 0,
    freeze: arguments.FrozenBlocks = None,
    backbone_rate: arguments.BackboneRate = 2e-5,
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
    language: Language = None,
    checkpoint_every: arguments.CheckpointEvery = None,
    resume: arguments.Resume = None,
    keep_checkpoints: arguments.KeepCheckpoints = False,
    distributed: arguments.Distributed = False,
    coordinator: arguments.Coordinator = None,
    processes: arguments.NProcesses = None,
    process_id: arguments.ProcessId = None,
) -> None:
    """Train a network, test it, prove its gradient, and keep what it learnt.

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

    A run that was killed goes on from its last checkpoint, of which there is one a minute:

        jaxmlp train --resume runs/fashion-mnist-1

    Photos in a folder with a folder for each class, through a network that knows images:

        jaxmlp train photos/ --backbone torchvision:resnet50

    Then with the network's upper half trained along, where the photos are not like its own:

        jaxmlp train photos/ --backbone torchvision:resnet50 --tune-epochs 5

    Texts of a table, or photos that it names, likewise, beside its numbers and categories:

        jaxmlp train reviews.csv --target label --text review --backbone package:all-MiniLM-L6-v2
        jaxmlp train photos.csv --target label --image path --backbone torchvision:resnet50

    A large network on many machines, each of which runs the same command (here of SLURM):

        srun jaxmlp train fashion-mnist --layers 4096,4096 --batch-size 4096 --distributed
    """  # fmt: skip
    call = call_of(context)
    if resume is not None:
        call = resumed_call(call, resume)
    raise typer.Exit(_run(call))


def _run(call: Call) -> int:
    """Train as was asked for; return the exit code."""
    o = SimpleNamespace(**call.parameters)
    options = Options(
        o.data, parse_layers(o.layers), o.activation, o.init, o.batch_norm, o.dropout, o.optimizer,
        o.learning_rate, o.schedule, o.batch_size, o.epochs, o.l2, o.label_smoothing, o.clip,
        o.patience, o.gradient, o.dtype, o.seed,
    )  # fmt: skip
    table = TableOptions(
        o.target, o.task, o.schema, o.group, o.time, o.drop, o.category, o.number, o.scaling,
        o.missing, not o.no_header, o.delimiter, o.skip, o.sheet, text=tuple(o.text or ()),
    )  # fmt: skip
    options = replace(options, recipe=_choose_recipe(call, options), trees=o.trees)
    for name, said in (("--trees", o.trees), ("--budget", o.budget is not None)):
        if said and not is_table(o.data):
            raise ValueError(f"{name} goes with a table, but {o.data} is none.")
    if o.budget is not None:
        check_budget(o.budget, options, o.seeds, o.folds)
    check_options(options)
    chosen_language(o.language)
    chosen = get_recipe(options.recipe)
    check_backbone(o)
    streamed = is_streamed(o.data, o.stream)
    if streamed:
        check_stream(o)
    table = replace(
        table, max_one_hot=chosen.max_one_hot, clamp=chosen.clamp, folds=o.folds, stream=streamed
    )
    check_repeats(o.data, o.seeds, o.folds)
    check_checkpoints(o)
    join(o)
    name = "stdin" if o.data == STANDARD_INPUT else run_name(o.data)
    claim = (
        claimed_folder(o.out, name, o.force, call.to_dict())
        if o.resume is None
        else reclaimed_folder(o.resume)
    )
    with shared_folder(claim, o.distributed) as folder:
        try:
            code = _train(call, o, options, table, folder)
        except SystemExit as stop:
            if stop.code == TERMINATED and is_first():
                said = f"stopped by SIGTERM; go on with: jaxmlp train --resume {folder}"
                print(said, file=sys.stderr)
            raise
    return code


def _train(
    call: Call, o: SimpleNamespace, options: Options, table: TableOptions, folder: Path
) -> int:
    """Train into a folder that is claimed; return the exit code."""
    settings = None
    with jax.enable_x64(True) if o.dtype == "float64" else nullcontext():
        quiet = o.quiet or o.as_json or not is_first()
        console = Console(quiet=quiet, highlight=False)
        backbone = None
        if o.backbone is not None and is_table(o.data):
            backbone = _table_backbone(o, console)
            table = _choose_features(o, table, backbone.backbone.kind)
        load = partial(load_data, o.data, o.data_dir, backbone=backbone)
        if o.backbone is not None and backbone is None:
            prepared: PreparedData = load_media(
                o.data, o.backbone, weights=o.backbone_weights, seed=o.seed, console=console
            )
        elif table.stream:
            prepared = load_stream(o.data, table, o.seed)
        else:
            prepared = load(table, o.seed)
        if is_table(o.data):
            options = replace(options, **_unsaid(call, _suitable(options.recipe, prepared)))
            settings = table.to_dict()
        improve, checkpoint = None, None
        if o.budget is not None:
            improve = partial(spend, Budget(o.budget), console, options, prepared)
        elif o.tune_epochs and isinstance(prepared, PreparedMedia):
            check_blocks(prepared, o.freeze)
            improve = partial(
                tune_backbone, o.tune_epochs, o.freeze or (), o.backbone_rate, options, prepared,
                console,
            )  # fmt: skip
        elif o.data != STANDARD_INPUT:
            checkpoint = checkpoints_of(o.checkpoint_every, folder, o.resume is not None)
            if o.distributed and checkpoint is not None:
                console.print(
                    "if one process ends, all end; start all of them again with: "
                    f"jaxmlp train --resume {folder} --distributed ...",
                    soft_wrap=True,
                )
            if o.resume is not None:
                console.print(f"going on with {folder}, from its newest checkpoint if it has one")
        code = run_training(
            options, prepared, folder, console, settings, improve, checkpoint, o.keep_checkpoints,
            o.distributed, None if o.as_json else partial(show_answer, folder),
            chosen_language(o.language),
        )  # fmt: skip
        if not o.as_json:
            show_written(folder)
        if (o.folds or o.seeds > 1) and not code:
            name, count = ("folds", o.folds) if o.folds else ("seeds", o.seeds)
            further = _further_trainings(options, table, load, name, count)
            _repeat(console, further, folder, name, shown=not o.as_json)
    if o.as_json:
        print(json.dumps({"folder": str(folder), **read_run(folder)}, ensure_ascii=False))
    return code


def _table_backbone(o: SimpleNamespace, console: Console) -> TableBackbone:
    """Load what makes features of a table's columns; paths begin at the table's folder."""
    folder = Path() if o.data == STANDARD_INPUT else Path(o.data).parent
    return TableBackbone(load_backbone(o.backbone, o.backbone_weights), folder, console)


def _choose_features(o: SimpleNamespace, table: TableOptions, kind: str) -> TableOptions:
    """Say which columns go through a backbone; texts that do not are texts as without it."""
    said = {name: tuple(getattr(o, name) or ()) for name in COLUMNS}
    features = choose_columns(kind, o.backbone, said)
    return replace(table, features=features, text=() if kind == "text" else table.text)


def _choose_recipe(call: Call, options: Options) -> str:
    """Return the recipe that was asked for; else of a table that which suits tables."""
    recipe: str | None = call.parameters["recipe"]
    if not is_table(options.data):
        if recipe not in (None, "plain"):
            raise ValueError(f"--recipe goes with a table, but {options.data} is none.")
        return "plain"
    chosen = recipe or (
        "tabm" if options.optimizer == "adamw" or "optimizer" not in call.said else "plain"
    )
    if chosen != "plain" and "optimizer" in call.said and options.optimizer != "adamw":
        raise ValueError(
            f"the recipe {chosen} trains with adamw; leave --optimizer {options.optimizer} out, or "
            "add --recipe plain."
        )
    return chosen


def _suitable(recipe: str, data: PreparedData) -> dict[str, Any]:
    """Return what suits a table where the user says nothing."""
    n_rows, names = data.n_train, data.train.class_names
    task = "regression" if names is None else "classification"
    return recipe_defaults(recipe_settings(get_recipe(recipe), n_rows, task, len(names or (0,))))


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


def _unsaid(call: Call, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return those defaults whose options the user did not give."""
    unsaid = {name: value for name, value in defaults.items() if name not in call.said}
    if "optimizer" not in unsaid:  # another rule has a rate of its own
        unsaid.pop("learning_rate", None)
    return unsaid
