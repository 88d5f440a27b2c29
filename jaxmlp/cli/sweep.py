"""`jaxmlp sweep`."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import jaxmlp
from jaxmlp.cli import arguments
from jaxmlp.cli.arguments import option
from jaxmlp.cli.claims import claimed_folder
from jaxmlp.cli.options import Options, parse_layers
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.prepared_table import PreparedTable, load_data
from jaxmlp.cli.run_folder import environment, whole_folder, write_json
from jaxmlp.cli.sweep_parts import merge_folders, parse_shard
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.units import sweep_in_units
from jaxmlp.formatting import format_number, format_share
from jaxmlp.models import Model, save
from jaxmlp.models.model_file import MODEL_FILE
from jaxmlp.optimizers import get_optimizer_factory
from jaxmlp.sweeps import SweepResult
from jaxmlp.sweeps import shard as shard_grid
from jaxmlp.sweeps.folds import make_pairs
from jaxmlp.training import EarlyStopping
from jaxmlp.training.stopping import higher_is_better

_SWEEP = "Sweep"  # a panel of the help
_SHOWN = 10


def sweep(
    data: Annotated[
        str, typer.Argument(help="digits, mnist, fashion-mnist; or a table's file, as for train.")
    ] = "digits",
    grid: Annotated[
        list[str] | None,
        option(
            _SWEEP,
            "NAME=VALUE,VALUE,... as often as wanted: learning_rate, l2, dropout_rate, "
            "label_smoothing, init_scale, activation, ...  "
            "\\[default: learning_rate=1e-4,...,1e-1]",
            "--grid",
            "-g",
            default=False,
        ),
    ] = None,
    seeds: Annotated[int, option(_SWEEP, "Runs of each setting.")] = 3,
    folds: Annotated[
        int, option(_SWEEP, "Cross-validate in so many folds; 0 measures on the validation part.")
    ] = 0,
    halving: Annotated[
        bool, option(_SWEEP, "Train all a little, the better ones longer.", "--halving")
    ] = False,
    executor: Annotated[
        str | None,
        option(
            _SWEEP,
            '"vmap", "one", "chunks of 16" or "measure"; a table decides without.',
            default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        option(
            _SWEEP,
            "Train part I of N only, I/N; --merge puts the parts together.",
            default=False,
        ),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        option(
            _SWEEP,
            "A folder that --shard wrote; once for each part, and nothing is trained.",
            default=False,
        ),
    ] = None,
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
    layers: arguments.Layers = "128",
    activation: arguments.ActivationName = "relu",
    optimizer: arguments.OptimizerName = "adam",
    batch_size: arguments.BatchSize = 64,
    epochs: arguments.Epochs = 30,
    patience: arguments.Patience = None,
    seed: arguments.Seed = 0,
    out: arguments.Out = None,
    force: arguments.Force = False,
    as_json: arguments.AsJson = False,
) -> None:
    """Train many networks in one program, and keep the best.

    Twelve learning rates and penalties, three seeds each:

        jaxmlp sweep digits -g learning_rate=1e-4,1e-3,1e-2 -g l2=0,1e-5,1e-4,1e-3

    The same by two processes or machines, each with half of the settings:

        jaxmlp sweep digits -g l2=0,1e-5,1e-4,1e-3 --shard 1/2 --out part-1

        jaxmlp sweep digits -g l2=0,1e-5,1e-4,1e-3 --shard 2/2 --out part-2

        jaxmlp sweep --merge part-1 --merge part-2 --out whole
    """
    if merge:
        _merge(merge, out, force, as_json)
        return
    call = {
        "data": data, "grid": grid, "seeds": seeds, "folds": folds, "layers": layers,
        "activation": activation, "optimizer": optimizer, "batch_size": batch_size,
        "epochs": epochs, "patience": patience, "seed": seed, "target": target,
    }  # fmt: skip
    part = None if shard is None else parse_shard(shard)
    if part is not None and halving:
        raise ValueError("--halving compares all networks with each other; leave --shard out.")
    values = _parse_grid(grid or ["learning_rate=1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1"])
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; give at least 1.")
    if halving and folds:
        raise ValueError("--halving compares on the validation part; leave out --folds.")
    values["seed"] = list(range(seeds))
    factory = get_optimizer_factory(optimizer)
    with claimed_folder(out, "sweep", force, {"command": "sweep", "data": data}) as folder:
        _spread_over_cores()
        table = TableOptions(
            target, task, schema, group, time, drop, category, number, scaling,
            missing, not no_header, delimiter, skip, sheet,
        )  # fmt: skip
        prepared = load_data(data, data_dir, table, seed)
        console = Console(quiet=as_json, highlight=False)
        names = prepared.train.class_names
        config = jaxmlp.MLPConfig(
            (prepared.train.x.shape[1], *parse_layers(layers), len(names) if names else 1),
            activation,
        )
        common: dict[str, Any] = {
            "loss": prepared.loss, "epochs": epochs, "key": jax.random.key(seed),
            "optimizer": factory, "batch_size": batch_size or None, "executor": executor,
            "grid": values if part is None else shard_grid(values, *part),
            "early_stopping": None if patience is None else EarlyStopping(patience=patience),
            "progress": console.is_terminal,
        }  # fmt: skip
        result = _run(prepared, config, common, folds, halving)
        cut = make_pairs(folds, _seen(prepared), result.loss.task) if folds else ()
        result = sweep_in_units(result, prepared, cut)
        _show(console, result, prepared)
        said_of_part: dict[str, object] = (
            {} if part is None else {"shard": list(part), "call": call}
        )
        if folds:
            summary = result.summary()
            console.print("cross-validated networks have seen parts of the data only, none is kept")
            records = json.loads(summary.to_json(orient="records"))
            _write(folder, result, {"summary": records, **said_of_part})
        else:
            options = Options(
                data, parse_layers(layers), activation, optimizer=optimizer, batch_size=batch_size,
                epochs=epochs, patience=patience, seed=seed,
            )  # fmt: skip
            options = _with_setting(options, result.best.setting)
            said: dict[str, object] = {"options": asdict(options), "table": table.to_dict()}
            _write(
                folder,
                result,
                said_of_part,
                _BestRun(_best_model(prepared, result), said, prepared),
            )
        if as_json:
            records = json.loads(result.summary().to_json(orient="records"))
            print(json.dumps({"folder": str(folder), "summary": records}, ensure_ascii=False))
            return
        written = "table of all networks" if folds else "table of all networks, best model"
        Console(highlight=False, soft_wrap=True).print(f"wrote {folder}: {written}")


def _merge(folders: list[Path], out: Path | None, force: bool, as_json: bool) -> None:
    """Put parts together, and say so."""
    folder, n_networks = merge_folders(folders, out, force)
    if as_json:
        print(json.dumps({"folder": str(folder), "members": n_networks}, ensure_ascii=False))
        return
    written = f"table of {n_networks:,} networks, best model"
    Console(highlight=False, soft_wrap=True).print(f"wrote {folder}: {written}")


def _spread_over_cores() -> None:
    """One host device for each core; only before JAX has started, and not where it was chosen."""
    if jax.config.jax_num_cpu_devices < 0:  # type: ignore[attr-defined]
        try:
            jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
        except (RuntimeError, AttributeError):  # JAX runs already; not Linux
            return


def _parse_grid(entries: list[str]) -> dict[str, list[Any]]:
    """Read NAME=VALUE,VALUE,... entries; numbers become numbers.

    >>> _parse_grid(["l2=0,1e-4", "activation=relu,tanh", "hidden_layer_sizes=64,64x64"])
    {'l2': [0, 0.0001], 'activation': ['relu', 'tanh'], 'hidden_layer_sizes': [(64,), (64, 64)]}
    """
    grid: dict[str, list[Any]] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not equals or not text.strip():
            raise ValueError(f"--grid is {entry!r}; write NAME=VALUE,VALUE such as l2=0,1e-4.")
        cells = [cell.strip() for cell in text.split(",")]
        if name.strip() == "hidden_layer_sizes":
            grid[name.strip()] = [tuple(int(s) for s in cell.split("x")) for cell in cells]
        else:
            grid[name.strip()] = [_value(cell) for cell in cells]
    return grid


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _run(
    prepared: PreparedData,
    config: jaxmlp.MLPConfig,
    common: dict[str, Any],
    folds: int,
    halving: bool,
) -> SweepResult:
    train, validation = prepared.train, prepared.validation
    if "dropout_rate" in common["grid"]:
        config = config.replace(dropout=True)
    if folds:
        return jaxmlp.cross_validate(config, _seen(prepared), folds=folds, **common)
    search = jaxmlp.successive_halving if halving else jaxmlp.sweep
    held_out = (validation.x, validation.y)
    return search(config, (train.x, train.y), validation_data=held_out, **common)


def _seen(prepared: PreparedData) -> tuple[np.ndarray, np.ndarray]:
    """Return what a cross-validation cuts: (x, y) of all but the test part."""
    parts = (prepared.train, prepared.validation)
    return np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])


def _show(console: Console, result: SweepResult, prepared: PreparedData) -> None:
    """Print the settings, the best first, with mean and deviation over seeds and folds."""
    summary = result.summary()
    metrics = [name for name in result.columns if name.startswith("validation_")]
    names = [name for name in summary.columns if not name.endswith(("_mean", "_std"))]
    table = Table(title=f"{prepared.name}: {len(result):,} networks", title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    for name in metrics:
        table.add_column(name.replace("_", " "), justify="right")
    for _, row in summary.head(_SHOWN).iterrows():
        cells = [
            format_number(row[name]) if isinstance(row[name], float) else str(row[name])
            for name in names
        ]
        cells += [_mean_and_deviation(row, name) for name in metrics]
        table.add_row(*cells)
    console.print(table)
    if len(summary) > _SHOWN:
        console.print(f"and {len(summary) - _SHOWN} more settings in sweep.csv")
    diverged = sum(status.name == "DIVERGED" for status in result.status)
    if diverged:
        console.print(f"{diverged} of {len(result)} networks diverged")
    programs = "one program" if result.n_programs == 1 else f"{result.n_programs} programs"
    console.print(f"{programs}; {result.executor}")


def _mean_and_deviation(row: Any, name: str) -> str:
    mean, std = row[f"{name}_mean"], row[f"{name}_std"]
    if name.endswith("accuracy"):
        text, spread = format_share(mean, 2), format_number(100 * std, 2)
    else:
        text, spread = format_number(mean), format_number(std, 2)
    return f"{text} ± {spread}" if np.isfinite(std) else text


def _with_setting(options: Options, setting: Mapping[str, Any]) -> Options:
    """The options with which train would make this network, as far as it has them."""
    names = {"dropout_rate": "dropout", "hidden_layer_sizes": "layers", "weight_init": "init"}
    given = {names.get(name, name): value for name, value in setting.items()}
    known = {field.name for field in fields(Options)} - {"seed"}
    return replace(options, **{name: value for name, value in given.items() if name in known})


def _best_model(prepared: PreparedData, result: SweepResult) -> Model:
    best = result.best
    metrics = {name: value for name, value in best.metrics.items() if np.isfinite(value)}
    return Model(
        best.config, best.params, best.state, prepared.loss, prepared.preprocessing,
        prepared.feature_names, prepared.train.class_names, metrics,
        target_transform=prepared.target_transform, extra=prepared.extra,
    )  # fmt: skip


class _BestRun(NamedTuple):
    """What `diagnose` and `predict` need of the best network."""

    model: Model
    said: dict[str, object]
    data: PreparedData


def _write(
    folder: Path, result: SweepResult, more: dict[str, object], best: _BestRun | None = None
) -> None:
    """Write the table, the best model and what they were made with."""
    direction = "largest" if higher_is_better(result.best_metric) else "smallest"
    setting = {name: str(value) for name, value in result.best.setting.items()}
    score = float(result.scores[result.best_index])
    description = {
        "executor": result.executor, "programs": result.n_programs, "members": len(result),
        "best": {
            "setting": setting, "by": f"{direction} {result.best_metric}",
            "score": score if np.isfinite(score) else None,
        },
        **more, **environment(),
    }  # fmt: skip
    with whole_folder(folder) as temporary:
        result.table.to_csv(temporary / "sweep.csv", index=False)
        write_json(temporary / "sweep.json", description)
        if best is not None:
            save(temporary / MODEL_FILE, best.model)
            write_json(temporary / "run.json", {**best.said, **environment()})
            if isinstance(best.data, PreparedTable):
                write_json(temporary / "schema.json", best.data.schema.to_dict())
