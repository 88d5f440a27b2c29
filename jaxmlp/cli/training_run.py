"""A run of `jaxmlp train`: training, test, answer; then proof, diagnosis, report, folder."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

import jaxmlp
from jaxmlp import recipes, training
from jaxmlp.cli.answer import show_outcome
from jaxmlp.cli.claims import CHECKPOINTS
from jaxmlp.cli.display import (
    EpochTable,
    describe_front,
    show_findings,
)
from jaxmlp.cli.measuring import measure_model
from jaxmlp.cli.options import (
    Options,
    layer_options,
    loss_options,
    make_config,
    make_optimizer,
    said_settings,
)
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.prepared_table import PreparedTable
from jaxmlp.cli.processes import end_followers, own_rows
from jaxmlp.cli.proof import gradient_error
from jaxmlp.cli.run_folder import environment
from jaxmlp.cli.table_summary import show_doubts, show_table
from jaxmlp.cli.trees import fit_trees, show_trees
from jaxmlp.cli.units import units_of
from jaxmlp.data.tables.pitfalls import Doubt
from jaxmlp.diagnostics import Diagnostics
from jaxmlp.diagnostics.doctor import diagnose
from jaxmlp.networks import NetworkConfig, NetworkParams
from jaxmlp.optimizers import Optimizer, chain, clip_by_global_norm
from jaxmlp.report.outcome import Outcome
from jaxmlp.report.run_record import RunRecord
from jaxmlp.training.result import Callback

_MONITOR_EVERY, _MONITOR_RECORDS = 10, 300  # steps between two looks at the layers; looks at most


class Improvement(NamedTuple):
    """What more time came to after a first training.

    Attributes:
        options: of the best network.
        result: of its training.
        ensemble: (params, state) of networks whose predictions are averaged with its.
        record: what was done, JSON-ready.
        interrupted: whether Ctrl-C ended it.
        data: as the best network takes them, if it is other data.
        kind: what was done, "budget" or "tuning".
    """

    options: Options
    result: training.FitResult
    ensemble: tuple[Any, ...] = ()
    record: Mapping[str, object] | None = None
    interrupted: bool = False
    data: PreparedData | None = None
    kind: str = "budget"


_Improve = Callable[[training.FitResult, float, str], Improvement]
"""(result, seconds, metric) of a first training -> what more time came to."""


def run_training(
    options: Options,
    data: PreparedData,
    folder: Path,
    console: Console,
    table_settings: Mapping[str, object] | None = None,
    improve: _Improve | None = None,
    checkpoint: training.Checkpoints | None = None,
    keep_checkpoints: bool = False,
    distributed: bool = False,
    answer: Callable[[Outcome], None] | None = None,
    language: str = "en",
) -> int:
    """Train, test, answer, prove, diagnose and write; return the exit code.

    What a user waits for comes first: proof, diagnosis and report compile and draw for longer than
    a small network trains. If the proof fails, nothing is written.

    Args:
        options: of the run.
        data: its data.
        folder: where to write.
        console: where to print; a quiet one shows nothing.
        table_settings: what the user said about a table, JSON-ready.
        improve: what more is done after the training, if that was not interrupted.
        checkpoint: where and how often the training is saved, or None.
        keep_checkpoints: whether that is kept when the run has ended.
        distributed: whether other processes train along; only the first one returns.
        answer: told what the test showed as soon as that is known.
        language: of the findings that are printed; those that are written are in English.
    """
    plan = make_plan(options, data)
    _introduce(console, options, data, plan.config)
    begin = time.perf_counter()
    with _table_of_epochs(console, options, data) as epochs:
        how: Any = {"checkpoint": checkpoint, "distributed": distributed}
        result = fit_network(options, data, plan, (epochs,), **how)
        seconds = time.perf_counter() - begin
        if result.history.n_epochs:
            epochs.show(result.history.rows()[-1])
    end_followers()
    if result.status is training.FitStatus.DIVERGED and result.best_epoch == 0:
        _prove(console, options, data, plan)
        raise ValueError(
            f"training {_divergence(result)}, before an epoch ended, and nothing was written. "
            f"Try --learning-rate {options.rate / 10:g} or --clip 1."
        )
    _say_how_it_ended(console, options, result)
    found = Improvement(options, result)
    if improve is not None and result.status is not training.FitStatus.INTERRUPTED:
        found = improve(result, seconds, plan.best)
        data = found.data or data
        options, result, plan = found.options, found.result, make_plan(found.options, data)
    model, outcome = measure_model(data, result, ensemble=found.ensemble, console=console)
    show_outcome(console, outcome, data)
    if answer is not None:
        answer(outcome)
    doubts = _find_doubts(console, data)
    _prove(console, options, data, plan)
    trees = {}
    if options.trees and isinstance(data, PreparedTable):
        fitted = fit_trees(data, options.seed)
        show_trees(console, outcome, fitted)
        trees = {"trees": fitted.to_dict()}
    findings = diagnose(
        result.config, result, (data.train.x, data.train.y), loss=data.loss, trial_steps=0,
        optimizer=plan.optimizer, validation_data=(data.validation.x, data.validation.y),
    )  # fmt: skip
    show_findings(console, findings, language)
    table = {} if table_settings is None else {"table": dict(table_settings)}
    run = RunRecord(
        f"jaxmlp train {Path(options.data).name}", model,
        replace(result, history=units_of(data).history(result.history)),
        (data.train.x, data.train.y), outcome, findings,
        {
            "options": asdict(options), **table, **trees, **environment(),
            **({} if found.record is None else {found.kind: found.record}),
        },
        doubts,
    )  # fmt: skip
    schema = data.schema.to_dict() if isinstance(data, PreparedTable) else None
    from jaxmlp.cli.run_output import write_run  # here, for it imports matplotlib

    write_run(folder, run, schema=schema, kept=(CHECKPOINTS,) if keep_checkpoints else ())
    interrupted = found.interrupted or (
        found.record is None and result.status is training.FitStatus.INTERRUPTED
    )
    return 130 if interrupted else 0


class _TrainingPlan(NamedTuple):
    """What options come to for certain data.

    Attributes:
        config: the network; one output a class, or one for a number.
        batch_size: rows a step, at most all of them.
        n_steps: of the whole training.
        params: where it starts.
        optimizer: the update rule, with its schedule over these steps.
        dropout_rate: probability to drop, or its schedule.
        best: what decides which epoch is kept.
        latest: whether the latest of equally good epochs is kept.
        drop_last: whether rows that do not fill a batch are left out.
    """

    config: NetworkConfig
    batch_size: int
    n_steps: int
    params: NetworkParams
    optimizer: Optimizer
    dropout_rate: Any
    best: str = "validation_loss"
    latest: bool = False
    drop_last: bool = False


def make_plan(
    options: Options, data: PreparedData, params: NetworkParams | None = None
) -> _TrainingPlan:
    """Fit options to the data of a run; `params` are drawn by its seed where there are none."""
    if isinstance(data, PreparedTable) and options.recipe != "plain":
        return _plan_recipe(options, data, params)
    n_rows, n_in = data.n_train, data.train.x.shape[1]
    config = make_config(options, n_in, len(data.train.class_names or (0,)))
    batch_size = min(options.batch_size or n_rows, n_rows)
    n_steps = options.epochs * -(-n_rows // batch_size)
    if params is None:
        params = _draw_layers(data, config, jax.random.key(options.seed))
    optimizer = make_optimizer(options, n_steps)
    return _TrainingPlan(config, batch_size, n_steps, params, optimizer, options.dropout)


def draw_params(options: Options, data: PreparedData, config: Any, key: jax.Array) -> NetworkParams:
    """Draw the parameters of a network as options have it; `config` may drop out where they not."""
    if isinstance(data, PreparedTable) and options.recipe != "plain":
        plan = replace(_fit_recipe(options, data), config=config)
        return recipes.initial_params(plan, key, data.train.x, data.train.y)
    return _draw_layers(data, config, key)


def _fit_recipe(options: Options, data: PreparedTable) -> recipes.RecipePlan:
    """Fit a recipe to a table, but for what was said."""
    train = data.train
    return recipes.make_plan(
        recipes.get_recipe(options.recipe), data.preprocessing, data.n_train, data.loss,
        len(train.class_names or (0,)), settings=said_settings(options),
        layer_options=layer_options(options),
    )  # fmt: skip


def _plan_recipe(
    options: Options, data: PreparedTable, params: NetworkParams | None
) -> _TrainingPlan:
    """Plan a training that follows a recipe."""
    plan, train = _fit_recipe(options, data), data.train
    if params is None:
        params = recipes.initial_params(plan, jax.random.key(options.seed), train.x, train.y)
    rule = recipes.make_optimizer(plan, params)
    if options.clip is not None:
        rule = chain(clip_by_global_norm(options.clip), rule)
    return _TrainingPlan(
        plan.config, plan.batch_size, plan.n_steps, params, rule, plan.dropout_rate, plan.best,
        plan.recipe.latest, plan.recipe.drop_last,
    )  # fmt: skip


def _table_of_epochs(console: Console, options: Options, data: PreparedData) -> EpochTable:
    """Make the table that suits the task."""
    metric = "rmse" if data.train.class_names is None else "accuracy"
    return EpochTable(console, options.epochs, metric, units_of(data))


def _introduce(
    console: Console, options: Options, data: PreparedData, config: NetworkConfig
) -> None:
    parts = data.n_train, len(data.validation.x), len(data.test.x)
    sizes = "-".join(str(size) for size in config.layer_sizes)
    if isinstance(config, jaxmlp.TabularConfig):
        sizes = f"of recipe {options.recipe}, {describe_front(config)}{sizes}"
    if isinstance(data, PreparedTable):
        show_table(console, data)
    console.print(
        "[bold]{}[/bold]: {:,} training, {:,} validation, {:,} test examples".format(
            data.name, *parts
        )
    )
    console.print(
        f"network {sizes}, {options.activation}, {config.n_parameters:,} parameters; "
        f"{options.optimizer}, learning rate {options.rate:g}"
        + (f" ({options.schedule})" if options.schedule != "constant" else "")
        + (f"; {data.loss.replace('_', ' ')}" if isinstance(data, PreparedTable) else "")
    )


def _find_doubts(console: Console, data: PreparedData) -> tuple[Doubt, ...]:
    """Look for leaks, which takes scikit-learn, and print them; return all doubts."""
    if not isinstance(data, PreparedTable):
        return ()
    leaks = data.find_leaks()
    show_doubts(console, leaks)
    return (*leaks, *data.doubts)


def _prove(console: Console, options: Options, data: PreparedData, plan: _TrainingPlan) -> None:
    error = gradient_error(
        plan.config, data.loss, data.train.x, data.train.y, plan.params, seed=options.seed,
        l2=options.l2, dropout_rate=options.dropout,
        loss_options=loss_options(options, data.loss),
    )  # fmt: skip
    if not error < 1e-9:
        raise ValueError(
            f"the gradient by hand differs from jax.grad's by {error:.1e}; please report this bug, "
            "and train with --gradient autodiff meanwhile."
        )
    console.print(
        f"\ngradient by hand = jax.grad, to a relative difference of {error:.1e} (float64)"
    )


def fit_network(
    options: Options,
    data: PreparedData,
    plan: _TrainingPlan,
    callbacks: tuple[Callback, ...] = (),
    *,
    observed: bool = True,
    checkpoint: training.Checkpoints | None = None,
    distributed: bool = False,
) -> training.FitResult:
    """Train the network of a run; with others, on this process's share of the rows."""
    stopping = None
    if options.patience is not None:
        stopping = training.EarlyStopping(plan.best, options.patience, latest=plan.latest)
    every = max(_MONITOR_EVERY, plan.n_steps // _MONITOR_RECORDS)
    rows, validation = own_rows(data) if distributed else (data.rows, data.validation)
    return training.fit(
        plan.config,
        plan.params,
        rows,
        loss=data.loss,
        optimizer=plan.optimizer,
        epochs=options.epochs,
        key=jax.random.key(options.seed + 1),
        batch_size=plan.batch_size,
        drop_last=plan.drop_last,
        l2=options.l2,
        gradient=options.gradient,
        validation_data=(validation.x, validation.y),
        early_stopping=stopping,
        dropout_rate=plan.dropout_rate,
        loss_options=loss_options(options, data.loss),
        callbacks=callbacks,
        diagnostics=Diagnostics(every=every) if observed and not distributed else None,
        checkpoint=checkpoint,
        distributed=distributed,
    )


def _draw_layers(data: PreparedData, config: jaxmlp.MLPConfig, key: jax.Array) -> jaxmlp.Params:
    """Draw the parameters; counts start at their mean, which the network need not find first."""
    params = jaxmlp.init(config, key)
    if data.loss != "poisson":
        return params
    mean = max(float(np.mean(data.train.y)), 1e-3)
    return (*params[:-1], params[-1]._replace(b=params[-1].b + jnp.log(mean)))


def _divergence(result: training.FitResult) -> str:
    text = f"diverged at step {int(result.carry.stopped_at)}"
    origin = getattr(result.diagnostics, "non_finite", None)
    return text if origin is None else f"{text} (first not finite: {origin})"


def _say_how_it_ended(console: Console, options: Options, result: training.FitResult) -> None:
    status, best, n_epochs = result.status, result.best_epoch, result.history.n_epochs
    if status is training.FitStatus.EARLY_STOPPED:
        text = f"stopped early; the parameters of epoch {best} are kept"
    elif status is training.FitStatus.DIVERGED:
        text = (
            f"{_divergence(result)}; the parameters of epoch {best} are kept. "
            f"Try --learning-rate {options.rate / 10:g} or --clip 1"
        )
    elif status is training.FitStatus.INTERRUPTED:
        text = f"interrupted; the parameters of epoch {best} are kept"
    else:
        text = f"trained for {n_epochs} epochs"
        text += f"; the parameters of epoch {best} are kept" if result.epoch != n_epochs else ""
    seconds = float(np.sum(result.history["seconds"]))
    console.print(f"\n{text} ({seconds:.2f} s without compilation)\n")
