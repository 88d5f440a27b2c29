"""The Python for what is on the page: a script that trains the same network to the same numbers."""

import csv
import io
import json
import os
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from jaxmlp.messages import phrase
from jaxmlp.models import save
from jaxmlp.models.model_file import MODEL_FILE
from jaxmlp.play.learner import Learner, Segment
from jaxmlp.play.settings import DataSettings, NetworkSettings

_MOST_FOLDERS = 10_000


def make_script(learner: Learner, data: DataSettings, table: str = "") -> str:
    """Write the script.

    Args:
        learner: the network.
        data: the settings of its data.
        table: name of the table's file, where it learns one.

    Returns:
        Python that ends with the same parameters, `params`.

    Example:
        >>> from jaxmlp.play.examples import make_examples
        >>> learner = Learner(NetworkSettings(), make_examples(DataSettings()))
        >>> print(make_script(learner, DataSettings()).splitlines()[0])
        \"""The network of the page after 0 steps.\"""
    """
    segments = [part for part in learner.segments if part.step < learner.step]
    whole = learner.step % learner.steps_per_epoch == 0
    simple = len(segments) == 1 and whole and segments[0].example is None
    parts = [_head(learner, data, simple), _data(data, table), _network(learner)]
    if simple:
        parts.append(_fit(learner, segments[0]))
    elif segments:
        parts.append(_steps(learner, segments))
    return "\n".join([*parts, _END])


def _head(learner: Learner, data: DataSettings, simple: bool) -> str:
    lines = [f'"""The network of the page after {learner.step:,} steps."""', ""]
    is_table, by_steps = data.name == "table", learner.step and not simple
    lines += ["from dataclasses import replace"] if by_steps else []
    lines += ["from pathlib import Path"] if is_table else []
    lines += ([""] if by_steps or is_table else []) + ["import jax", "", "import jaxmlp"]
    lines += [] if is_table else ["from jaxmlp.play.examples import make_examples"]
    lines.append("from jaxmlp.play.settings import DataSettings")
    if is_table:
        lines.append("from jaxmlp.play.tables import read_dropped_table, table_examples")
    if by_steps:
        lines += [
            "from jaxmlp.training import fit_steps, initial_carry",
            "from jaxmlp.training.options import DEFAULTS, check_options",
        ]
    return "\n".join([*lines, ""])


def _data(data: DataSettings, table: str) -> str:
    known = DataSettings()
    changed = [
        f"{f.name}={getattr(data, f.name)!r}"
        for f in fields(data)
        if getattr(data, f.name) != getattr(known, f.name)
    ]
    settings = f"DataSettings({', '.join(changed)})"
    if data.name != "table":
        return f"examples = make_examples({settings})"
    return (
        f"path = Path({table!r})\n"
        "table = read_dropped_table(path.name, path.read_bytes())\n"
        f"examples = table_examples(table, {settings})"
    )


def _network(learner: Learner) -> str:
    config = learner.config
    arguments = [f"{config.layer_sizes}"]
    if learner.settings.layers:
        arguments.append(f"activation={config.activation}")
    arguments += [
        f"{name}={getattr(config, name)!r}"
        for name in ("weight_init", "batch_norm", "dropout")
        if getattr(config, name) not in ("auto", False)
    ]
    return (
        "x, y = examples.train.x, examples.train.y\n"
        f"config = jaxmlp.MLPConfig({', '.join(arguments)})\n"
        f"loss = jaxmlp.losses.get_loss({learner.loss.name!r})\n"
        f"params = jaxmlp.init(config, jax.random.key({learner.settings.seed}))\n"
        "state = jaxmlp.init_state(config)\n"
    )


def _rule(settings: NetworkSettings) -> str:
    numbers = ", ".join(f"{name}={value!r}" for name, value in settings.numbers.items())
    return f"jaxmlp.optimizers.{settings.rule}({numbers})"


def _fit(learner: Learner, segment: Segment) -> str:
    own = segment.settings
    size = own.batch_size and min(own.batch_size, len(learner.examples.train.x))
    return (
        "result = jaxmlp.fit(\n"
        f"    config, params, (x, y), loss=loss, optimizer={_rule(own)},\n"
        f"    epochs={learner.step // learner.steps_per_epoch}, batch_size={size or None}, "
        f"l2={own.l2!r}, dropout_rate={own.dropout!r}, key=jax.random.key({own.seed}),\n"
        ")\n"
        "params, state = result.params, result.state\n"
    )


def _steps(learner: Learner, segments: list[Segment]) -> str:
    ends = [*(part.step for part in segments[1:]), learner.step]
    n_rows = len(learner.examples.train.x)
    by_hand = any(part.example is not None for part in segments)
    rows = []
    for part, end in zip(segments, ends, strict=True):
        own = part.settings
        size = min(own.batch_size or n_rows, n_rows)
        numbers = f"{part.step}, {end}, {part.fresh}, {size}, {own.l2!r}, {own.dropout!r}"
        numbers += f", {part.example}" if by_hand else ""
        rows.append(f"    ({numbers}, {_rule(own)}),")
    listed = "\n".join(rows)
    also = ("row by hand, ", "example, ", _BY_HAND) if by_hand else ("", "", "")
    return f"""data, key, carry = (x, y), jax.random.key({learner.settings.seed}), None
segments = [  # first step, last step, fresh moments, rows a step, l2, dropout, {also[0]}rule
{listed}
]
run = jax.jit(fit_steps)
for first, end, fresh, size, l2, dropout, {also[1]}rule in segments:
    config = config.replace(dropout=dropout > 0)
    options = DEFAULTS | {{"batch_size": size, "l2": l2, "dropout_rate": dropout}}
    spec = check_options(config, data, loss, options)
    steps_per_epoch = -(-len(x) // size)
    n_epochs = 2 + (end - first) // steps_per_epoch
    program = replace(spec.program_of_one(len(x)), history_rows=n_epochs)
    if fresh:
        carry = initial_carry(program, rule, params, state)
{also[2]}    numbers = steps_per_epoch, first, end - first
    carry, _ = run(program, rule, carry, spec.train, None, spec.settings(key), *numbers)
    params, state = carry.params, carry.state
"""


_BY_HAND = """    if example is not None:
        row, plain = slice(example, example + 1), config.replace(dropout=False)
        _, grads = jaxmlp.value_and_grad(plain, loss)(params, x[row], y[row], l2=l2)
        updates, moments = rule.update(grads, carry.optimizer_state, params)
        params = jaxmlp.optimizers.apply_updates(params, updates)
        carry = carry._replace(params=params, optimizer_state=moments)
        continue
"""

_END = """for name, part in (("training", examples.train), ("test", examples.test)):
    print(name, jaxmlp.evaluate(config, params, (part.x, part.y), loss, state=state))
"""


def write_run_folder(
    folder: Path, learner: Learner, scores: dict[str, float], script: str, settings: dict[str, Any]
) -> Path:
    """Write a run that `jaxmlp predict` takes: the model, its data, the script, the settings.

    Args:
        folder: in which a new one, play-1, play-2, ..., is made.
        learner: the network.
        scores: of it.
        script: of `make_script`.
        settings: of the page.

    Returns:
        The folder of the run; it is whole or absent.

    Raises:
        OSError: if nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".play.", dir=folder))
    try:
        temporary.chmod(0o755)
        save(temporary / MODEL_FILE, learner.model(scores))
        (temporary / "data.csv").write_text(_as_csv(learner.examples.raw), encoding="utf-8")
        (temporary / "train.py").write_text(script, encoding="utf-8")
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        (temporary / "settings.json").write_text(text, encoding="utf-8")
        for number in range(1, _MOST_FOLDERS):
            target = folder / f"play-{number}"
            if not target.exists():
                os.rename(temporary, target)
                return target
        raise OSError(phrase("{folder} is full of runs; delete some.", folder=folder))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _as_csv(columns: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
