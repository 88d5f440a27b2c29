"""`jaxmlp train --budget SECONDS`: a search over a recipe's numbers, within a time."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from jaxmlp.cli.options import Options
from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.cli.training_run import fit_network, make_plan
from jaxmlp.cli.units import units_of
from jaxmlp.formatting import format_number
from jaxmlp.training import FitStatus

# What is tried, and how often a draw keeps what was: rates and dropout share a program, sizes do
# not, so that these are tried less often.
_CHOICES: dict[str, tuple[float, tuple[Any, ...]]] = {
    "learning_rate": (0.3, (0.3, 0.5, 1.5, 2.0, 3.0)),  # times the recipe's
    "dropout": (0.3, (0.0, 0.05, 0.2, 0.3)),
    "epochs": (0.5, (0.5, 1.5)),  # times the recipe's
    "layers": (0.75, ((64, 64), (256, 256), (128, 128, 128))),
}


class _BudgetSearch(NamedTuple):
    """What a search came to.

    Attributes:
        options: the best.
        changed: what they say instead of the first ones.
        tried: number of trainings, the first included.
        first: validation loss of the first ones.
        best: of the best ones.
        seconds: that the search took.
    """

    options: Options
    changed: dict[str, Any]
    tried: int
    first: float
    best: float
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""
        fields = self._asdict()
        return {name: fields[name] for name in ("changed", "tried", "first", "best", "seconds")}


def search_within(
    options: Options, data: PreparedData, seconds: float, console: Console
) -> _BudgetSearch:
    """Train with other numbers while there is time, and keep those of the best validation loss.

    The last training, of the best ones, is left for the run itself: the search ends while there is
    still time for one as long as the longest so far.

    Args:
        options: of the run, a recipe's where nothing else was said.
        data: its data.
        seconds: for the search and the run.
        console: where to print.
    """
    begin, longest = time.perf_counter(), 0.0
    first: float | None = None
    best: tuple[float, Options, dict[str, Any]] | None = None
    tried, drawn = 0, _draws(options)
    for changed in drawn:
        started = time.perf_counter()
        if best is not None and started - begin + 2 * longest > seconds:
            break
        candidate = replace(options, **changed)
        result = fit_network(candidate, data, make_plan(candidate, data), observed=False)
        longest, tried = max(longest, time.perf_counter() - started), tried + 1
        losses = result.history["validation_loss"]
        loss = float(np.nanmin(losses)) if len(losses) else float("inf")
        first = loss if first is None else first
        if best is None or loss < best[0]:
            best = loss, candidate, changed
        if result.status is FitStatus.INTERRUPTED:
            break
    assert best is not None
    assert first is not None
    found = _BudgetSearch(best[1], best[2], tried, first, best[0], time.perf_counter() - begin)
    _show(console, found, units_of(data).loss)
    return found


def _draws(options: Options) -> Iterator[dict[str, Any]]:
    """What each candidate says instead of the options; the first one, nothing."""
    rng, seen = np.random.default_rng(options.seed), [dict[str, Any]()]
    yield seen[0]
    for _ in range(10_000):  # more than any budget has time for
        drawn = {
            name: values[rng.integers(len(values))]
            for name, (kept, values) in _CHOICES.items()
            if rng.random() > kept
        }
        changed = _changed(options, drawn)
        if changed not in seen:
            seen.append(changed)
            yield changed


def _changed(options: Options, drawn: dict[str, Any]) -> dict[str, Any]:
    changed = dict(drawn)
    if "learning_rate" in drawn:
        changed["learning_rate"] = options.rate * drawn["learning_rate"]
    if "epochs" in drawn:
        changed["epochs"] = max(1, round(options.epochs * drawn["epochs"]))
        changed["patience"] = changed["epochs"]
    return {name: value for name, value in changed.items() if value != getattr(options, name)}


def _show(console: Console, found: _BudgetSearch, loss: str) -> None:
    """Say what the search bought."""
    said = ", ".join(f"{name.replace('_', ' ')} {_write(v)}" for name, v in found.changed.items())
    before, after = (format_number(value) for value in (found.first, found.best))
    what = f"{said}: validation {loss} {before} -> {after}" if said else "nothing better"
    trainings = f"{found.tried} training{'s' * (found.tried != 1)}"
    console.print(f"search: {trainings} in {format_number(found.seconds, 3)} s; {what}\n")


def _write(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
