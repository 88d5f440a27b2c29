"""The one schema of a result file, and its tables."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        workload: "fit", "cold", "sweep", ...
        case: what was done: data, network, batch.
        contender: who did it.
        metric: what was measured, such as "one step".
        unit: "s", "bytes", "rows/s", "GFLOP/s", "".
        value: the median.
        low: lower quartile of the rounds, or the value.
        high: upper quartile.
        processor: median processor time, seconds, all threads together; None if not measured.
        rounds: number of measurements.
        void: why the row does not count; "" if it does.
        details: further numbers: final loss, its standard error, seeds, the swept size.
    """

    workload: str
    case: str
    contender: str
    metric: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    processor: float | None = None
    rounds: int = 1
    void: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Results:
    """What a run of the harness found; `to_json` and `read_results` are inverse."""

    environment: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the content of a result file."""
        return {
            "schema": SCHEMA,
            "environment": self.environment,
            "rows": [asdict(row) for row in self.rows],
            "targets": self.targets,
        }

    def write(self, path: Path) -> None:
        """Write a result file, whole or not at all."""
        write_json(path, self.to_json())

    def find(self, workload: str, case: str, contender: str, metric: str) -> Row | None:
        """Return the row with these names, or None."""
        wanted = (workload, case, contender, metric)
        for row in self.rows:
            if (row.workload, row.case, row.contender, row.metric) == wanted:
                return row
        return None


def read_results(path: Path) -> Results:
    """Read and check a result file.

    Raises:
        ValueError: if it is no result file of this harness; the message says why.
        FileNotFoundError: if there is none.
    """
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}); give a file that --out wrote.") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise ValueError(f"{path} is not a benchmark's result; give a file that --out wrote.")
    if content["schema"] != SCHEMA:
        raise ValueError(
            f"{path} has schema {content['schema']}, but this version reads {SCHEMA}; measure anew."
        )
    known = {f.name for f in fields(Row)}
    for number, row in enumerate(content.get("rows", [])):
        required = {"workload", "case", "contender", "metric", "unit", "value"}
        names = set(row) if isinstance(row, dict) else set()
        if not required <= names <= known:
            wrong = sorted(required - names) or sorted(names - known)
            raise ValueError(f"{path}: row {number} lacks or adds {', '.join(wrong)}.")
    rows = [Row(**row) for row in content.get("rows", [])]
    return Results(content.get("environment", {}), rows, content.get("targets", []))


def write_json(path: Path, content: Any) -> None:
    """Write JSON under a temporary name, then rename: a file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(path)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Format rows with equal keys as a markdown table.

    >>> print(markdown_table([{"library": "a", "seconds": 0.12345}]))
    | library | seconds |
    | --- | --- |
    | a | 0.123 |
    """
    names = list(rows[0])
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_cell(row[name]) for name in names) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
