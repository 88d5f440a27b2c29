"""`jaxmlp finetune`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import jax
import numpy as np
import typer
from rich.console import Console

from jaxmlp import training
from jaxmlp.checks import unknown_name
from jaxmlp.cli import arguments
from jaxmlp.cli.answer import show_answer, show_written
from jaxmlp.cli.arguments import DATA, NETWORK, OUTPUT, TRAINING, option
from jaxmlp.cli.claims import claimed_folder
from jaxmlp.cli.display import EpochTable, show_confusions, show_findings, show_scores
from jaxmlp.cli.labelled import load_labelled
from jaxmlp.cli.language import Language, chosen_language
from jaxmlp.cli.measuring import METRIC_NAMES
from jaxmlp.cli.options import parse_layers
from jaxmlp.cli.run_folder import environment, read_run
from jaxmlp.data import DataSplit
from jaxmlp.diagnostics.doctor import diagnose
from jaxmlp.finetuning import MODES, Finetuned
from jaxmlp.finetuning import finetune as finetune_model
from jaxmlp.formatting import format_share
from jaxmlp.losses import get_loss
from jaxmlp.models import Model, calibrate, infer, load, reliability
from jaxmlp.report.outcome import Outcome, measure_outcome
from jaxmlp.report.run_record import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODES = "; ".join(f"{name}: {says}" for name, says in MODES.items())


@dataclass(frozen=True)
class _FinetuneOptions:
    """Everything that a fine-tuning was asked for."""

    run: str
    data: str
    mode: str
    target: str | None
    classes: str | None
    per_class: int | None
    layer: int
    hidden: tuple[int, ...]
    keep_head: bool
    freeze: int | None
    learning_rate: float | None
    batch_size: int
    epochs: int | None
    l2: float
    patience: int | None
    calibrate: bool
    seed: int


def finetune(
    run: Annotated[Path, typer.Argument(help="A folder that train wrote, or its model file.")],
    data: Annotated[
        str,
        typer.Argument(help="A .csv file with a heading, or digits, mnist, fashion-mnist."),
    ],
    mode: Annotated[str, option(TRAINING, "features, finetune or transfer.")] = "finetune",
    target: arguments.Target = None,
    classes: Annotated[
        str | None,
        option(DATA, "Classes to learn, such as 8,9; default: all.", default=False),
    ] = None,
    per_class: Annotated[
        int | None,
        option(DATA, "Train on so few examples of each class.", default=False),
    ] = None,
    data_dir: arguments.DataDir = None,
    layer: Annotated[
        int, option(NETWORK, "Last hidden layer to keep, from 0; -1 is the last one.")
    ] = -1,
    hidden: Annotated[str, option(NETWORK, "Sizes of new hidden layers in the head.")] = "",
    keep_head: Annotated[
        bool, option(NETWORK, "Go on with the old head: same classes.", "--keep-head")
    ] = False,
    frozen: Annotated[
        int | None,
        option(
            TRAINING,
            "Low layers that do not train, in mode finetune; default: half of the hidden.",
            "--freeze",
            default=False,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        option(
            TRAINING,
            "Adam's, of the new head; old layers get a tenth. Default: 0.001.",
            "--learning-rate",
            "--lr",
            default=False,
        ),
    ] = None,
    batch_size: arguments.BatchSize = 32,
    epochs: Annotated[
        int | None,
        option(
            TRAINING,
            "Passes over the data, in each phase; default: about 2,000 steps, 10 to 200.",
            default=False,
        ),
    ] = None,
    l2: arguments.L2 = 0.0,
    patience: arguments.Patience = None,
    temper: Annotated[
        bool,
        option(
            OUTPUT,
            "Fit a temperature on the validation part, and draw the reliability.",
            "--calibrate",
        ),
    ] = False,
    seed: arguments.Seed = 0,
    out: arguments.Out = None,
    force: arguments.Force = False,
    quiet: arguments.Quiet = False,
    as_json: arguments.AsJson = False,
    language: Language = None,
) -> None:
    """Teach a trained network a new task, in one of the lecture's three ways.

    features: a new head on the fixed features of the trunk.

    finetune: a new head; low layers frozen, high ones trained at a small rate.

    transfer: a new head, trained alone first; then all layers at a small rate.

        jaxmlp finetune runs/mnist-1 fashion-mnist --mode transfer --per-class 50
    """  # fmt: skip
    options = _FinetuneOptions(
        str(run), data, mode, target, classes, per_class, layer, parse_layers(hidden), keep_head,
        frozen, learning_rate, batch_size, epochs, l2, patience, temper, seed,
    )  # fmt: skip
    _check_options(options)
    spoken = chosen_language(language)
    name, started = f"{Path(data).stem}-{mode}", {"command": "finetune", **asdict(options)}
    with (
        claimed_folder(out, name, force, started) as folder,
        jax.enable_x64(True),  # the model may be one in float64; one in float32 stays that
    ):
        console = Console(quiet=quiet or as_json, highlight=False)
        answer = None if as_json else partial(show_answer, folder)
        code = _run_finetuning(options, data_dir, folder, console, answer, spoken)
    if as_json:
        print(json.dumps({"folder": str(folder), **read_run(folder)}, ensure_ascii=False))
    else:
        show_written(folder)
    raise typer.Exit(code)


def _check_options(options: _FinetuneOptions) -> None:
    if options.mode not in MODES:
        raise unknown_name("mode", options.mode, MODES)
    if options.freeze is not None and (options.mode != "finetune" or options.freeze < 0):
        raise ValueError("--freeze takes a number of layers >= 0, in --mode finetune only.")
    for name, value, least in (
        ("--epochs", options.epochs, 1),
        ("--batch-size", options.batch_size, 0),
        ("--seed", options.seed, 0),
    ):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; give at least {least}.")


def _run_finetuning(
    options: _FinetuneOptions,
    data_dir: Path | None,
    folder: Path,
    console: Console,
    answer: Callable[[Outcome], None] | None,
    language: str,
) -> int:
    """Load, train, test, answer, diagnose and write; return the exit code."""
    old = load(Path(options.run))
    if get_loss(old.loss).task != "classification" or old.config.layer_sizes[-1] == 1:
        raise ValueError(
            f"{options.run} was trained with {old.loss}; from the command line, networks with one "
            "output a class are fine-tuned. jaxmlp.finetuning.finetune takes any loss."
        )
    names = tuple(options.classes.split(",")) if options.classes else ()
    parts = load_labelled(
        old, options.data, data_dir=data_dir, target=options.target, classes=names,
        per_class=options.per_class, seed=options.seed,
    )  # fmt: skip
    if options.keep_head and parts.train.class_names != old.class_names:
        raise ValueError(
            f"--keep-head needs the old classes, but {options.data} has others; leave it out."
        )
    options = replace(options, epochs=options.epochs or _epochs(options, len(parts.train.x)))
    _introduce(console, options, old, parts)
    tuned = _train(console, options, old, parts)
    result = tuned.results[-1]
    if result.status is training.FitStatus.DIVERGED and result.best_epoch == 0:
        raise ValueError("training diverged, and nothing was written. Try a lower --lr.")
    pictures: dict[str, Figure] = {}
    if options.calibrate:
        model, pictures = _calibrate(console, tuned.model, parts)
        tuned = replace(tuned, model=model)
    run = _record(console, options, tuned, parts, answer)
    show_findings(console, run.findings, language)
    from jaxmlp.cli.run_output import write_run  # here, for it imports matplotlib

    write_run(folder, run, pictures=pictures)
    return 130 if result.status is training.FitStatus.INTERRUPTED else 0


def _epochs(options: _FinetuneOptions, n_rows: int) -> int:
    """Few examples make few steps an epoch, and need more of these."""
    steps = -(-n_rows // (options.batch_size or n_rows))
    return min(200, max(10, 2000 // steps))


def _introduce(console: Console, options: _FinetuneOptions, old: Model, parts: DataSplit) -> None:
    sizes = "-".join(str(size) for size in old.config.layer_sizes)
    counts = "{:,} training, {:,} validation, {:,} test examples".format(
        *(len(part.x) for part in parts)
    )
    n_classes = len(parts.train.class_names or ())
    console.print(f"[bold]{options.data}[/bold]: {counts}, of {n_classes} classes")
    console.print(f"pretrained network {sizes} of {options.run}")
    console.print(f"{options.mode}: {MODES[options.mode]}\n")


class _Phases:
    """A table of epochs for each phase; a callback for `fit`."""

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        self.table: EpochTable | None = None
        self.last: Mapping[str, float] = {}

    def __call__(self, progress: training.Progress) -> None:
        if self.table is None or progress.epoch == 1:
            self.close()
            self.table = EpochTable(self.console, self.epochs)
            self.table.__enter__()
        self.table(progress)
        self.last = progress.row

    def close(self) -> None:
        """End a phase: its last epoch is always shown."""
        if self.table is not None:
            self.table.__exit__()
            self.table.show(self.last)
            self.console.print()


def _train(console: Console, options: _FinetuneOptions, old: Model, parts: DataSplit) -> Finetuned:
    train, validation, _ = parts
    epochs = options.epochs or 1
    phases = _Phases(console, epochs)
    stopping = None
    if options.patience is not None:
        stopping = training.EarlyStopping(patience=options.patience)
    tuned = finetune_model(
        old._replace(preprocessing=None),  # the parts are prepared already
        (train.x, train.y),
        mode=options.mode,
        key=jax.random.key(options.seed),
        epochs=epochs,
        batch_size=options.batch_size or None,
        learning_rate=options.learning_rate,
        n_out=None if options.keep_head else len(train.class_names or ()),
        class_names=train.class_names,
        layer=options.layer,
        hidden=options.hidden,
        keep_head=options.keep_head,
        frozen=None if options.freeze is None else tuple(range(options.freeze)),
        validation_data=(validation.x, validation.y),
        early_stopping=stopping,
        l2=options.l2,
        callbacks=(phases,),
    )
    phases.close()
    trained = tuned.model.config.n_layers - len(tuned.frozen)
    seconds = sum(float(np.sum(result.history["seconds"])) for result in tuned.results)
    status = tuned.results[-1].status.name.lower().replace("_", " ")
    console.print(
        f"{status}: {trained} of {tuned.model.config.n_layers} layers trained in the last phase "
        f"({seconds:.2f} s without compilation)\n"
    )
    model = tuned.model._replace(preprocessing=old.preprocessing, feature_names=old.feature_names)
    return Finetuned(model, tuned.results, tuned.frozen)


def _calibrate(
    console: Console, model: Model, parts: DataSplit
) -> tuple[Model, "dict[str, Figure]"]:
    """Fit the temperature; if the validation part does not determine it, say so and go on."""
    validation, test = parts.validation, parts.test
    try:
        calibrated, T = calibrate(model, validation.x, validation.y)
    except ValueError as error:
        console.print(f"not calibrated: {error}")
        return model, {}
    found = {
        name: reliability(infer(m, test.x), test.y)
        for name, m in (("before", model), (f"after, T = {T:.2f}", calibrated))
    }
    before, after = (bins.error for bins in found.values())
    console.print(
        f"temperature {T:.3f}; calibration error on the test part {format_share(before, 2)} -> "
        f"{format_share(after, 2)}\n"
    )
    from jaxmlp.report.calibration import reliability_diagram  # here, for it imports matplotlib

    return calibrated, {"reliability.png": reliability_diagram(found, title="Test part")}


def _record(
    console: Console,
    options: _FinetuneOptions,
    tuned: Finetuned,
    parts: DataSplit,
    answer: Callable[[Outcome], None] | None,
) -> RunRecord:
    """Test what was learnt, say how good it is, and look for what is wrong with it."""
    model, result = tuned.model, tuned.results[-1]
    outcome = measure_outcome(model, parts.test.x, parts.test.y)
    metrics = {f"test_{METRIC_NAMES.get(k, k)}": s.value for k, s in outcome.scores.items()}
    model = model._replace(metrics={**model.metrics, **metrics})
    show_scores(console, outcome.scores)
    if outcome.counts is not None:
        show_confusions(console, outcome.counts, model.class_names or ())
    if answer is not None:
        answer(outcome)
    train = (parts.train.x, parts.train.y)
    findings = diagnose(
        model.config, model.params, train, loss=model.loss, state=model.state, trial_steps=0
    )
    settings = {"options": asdict(options), "frozen": list(tuned.frozen), **environment()}
    title = f"jaxmlp finetune {options.run} {options.data} ({options.mode})"
    return RunRecord(title, model, result, train, outcome, findings, settings)
