"""`jaxmlp diagnose`."""

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import jax
import typer
from rich.console import Console

from jaxmlp.checks import unknown_name
from jaxmlp.cli.display import show_findings
from jaxmlp.cli.feature_columns import backbone_of_run
from jaxmlp.cli.language import Language, chosen_language
from jaxmlp.cli.options import Options, check_options, loss_options
from jaxmlp.cli.prepared_data import PreparedData, load_data_set
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.standard_input import STANDARD_INPUT
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.training_run import make_plan
from jaxmlp.data.tables import is_table_file
from jaxmlp.diagnostics.doctor import diagnose as examine_network
from jaxmlp.diagnostics.finding import Finding, Severity
from jaxmlp.messages import in_language, phrase
from jaxmlp.models import load
from jaxmlp.networks import init_state


def diagnose(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|CONFIG",
            help="A folder that train wrote; or a JSON file of options, not trained yet.",
        ),
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, for programs.")
    ] = False,
    language: Language = None,
) -> None:
    """Look for what keeps a network from learning, and say what cures it.

    Of a finished run, or of options before any training:

        jaxmlp diagnose runs/digits-1

        echo '{"activation": "sigmoid", "init": "normal", "layers": [64, 64, 64]}' > c.json

        jaxmlp diagnose c.json

    The exit code is 1 if there is a warning or worse.
    """  # fmt: skip
    spoken = chosen_language(language)
    options = _read_options(run)
    with jax.enable_x64(True) if options.dtype == "float64" else nullcontext():
        findings = _find(options, run, data_dir)
    if as_json:
        said = [_to_json(finding.in_language(spoken)) for finding in findings]
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        show_findings(console, findings, spoken)
        if not findings:
            console.print(in_language(phrase("Nothing that looks wrong."), spoken))
    raise typer.Exit(1 if any(f.severity >= Severity.WARNING for f in findings) else 0)


def _find(options: Options, run: Path, data_dir: Path | None) -> list[Finding]:
    """Examine the network of a run folder, or a fresh one with these options."""
    prepared = _load(options, run, data_dir)
    train, validation = prepared.train, prepared.validation
    plan = make_plan(options, prepared)
    if run.is_dir():
        model = load(run)
        if model.ensemble:
            n = 1 + len(model.ensemble)
            _say(f"the run averages {n} networks; the first is examined")
        config, params, state = model.config, model.params, model.state
    else:
        config = plan.config
        params, state = plan.params, init_state(config)
    return examine_network(
        config, params, (train.x, train.y), loss=prepared.loss,
        optimizer=plan.optimizer, state=state,
        validation_data=(validation.x, validation.y), batch_size=plan.batch_size,
        l2=options.l2, loss_options=loss_options(options, prepared.loss),
    )  # fmt: skip


def _say(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


_KEPT = (
    "max_one_hot",
    "clamp",
    "scaling",
    "missing",
    "header",
    "delimiter",
    "skip",
    "folds",
    "sheet",
)  # what the schema does not say


def _load(options: Options, run: Path, data_dir: Path | None) -> PreparedData:
    """Load the data of a run again; of a table, as its columns were understood then."""
    if options.data == STANDARD_INPUT:
        raise ValueError(
            f"{run} was trained on data from the standard input, which are gone; train from a file."
        )
    if not is_table_file(options.data):
        return load_data_set(options.data, data_dir, options.seed)
    table, backbone = TableOptions(), None
    if run.is_dir():
        said = json.loads((run / "run.json").read_text(encoding="utf-8")).get("table", {})
        kept = {name: said.get(name) for name in ("group", "time")}
        kept |= {name: said[name] for name in _KEPT if name in said}
        table = TableOptions(schema=run / "schema.json", **kept)
        backbone = backbone_of_run(load(run), Path(options.data).parent, _say)
    return load_table(options.data, table, options.seed, backbone)


def _read_options(run: Path) -> Options:
    """Read the options of a run folder (its run.json), or of a JSON file.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if the file is no JSON object, or has options that train does not know.
    """
    path = run / "run.json" if run.is_dir() else run
    if not path.is_file():
        what = f"{run} has no run.json" if run.is_dir() else f"there is no file or folder {run}"
        raise FileNotFoundError(f"{what}; pass a folder that train wrote, or a JSON file.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}.") from error
    if run.is_dir() and isinstance(found, dict):
        found = found.get("options")
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no options; it should look like {json.dumps(_EXAMPLE)}.")
    known = {field.name: field.default for field in fields(Options)}
    for name, value in found.items():
        if name not in known:
            raise unknown_name(f"option in {path}:", name, known)
        _check_kind(path, name, value, known[name])
    options = Options(**{**found, "layers": tuple(found.get("layers", known["layers"]))})
    check_options(options)
    return options


_EXAMPLE = {"layers": [128], "activation": "relu"}


def _check_kind(path: Path, name: str, value: object, default: object) -> None:
    """Refuse a value of another kind than the option's default."""
    if isinstance(default, tuple):
        fits = isinstance(value, list) and all(isinstance(size, int) for size in value)
    elif default is None:
        fits = value is None or isinstance(value, int | float)
    elif isinstance(default, bool | str):
        fits = isinstance(value, type(default))
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        example = json.dumps(list(default) if isinstance(default, tuple) else default)
        raise ValueError(f"{path}: {name} is {json.dumps(value)}; give a value such as {example}.")


def _to_json(finding: Finding) -> dict[str, object]:
    """Return a finding as JSON-ready values."""
    return {
        **asdict(finding),
        "kind": finding.kind.value,
        "severity": finding.severity.name.lower(),
    }
