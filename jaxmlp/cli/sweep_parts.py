"""`jaxmlp sweep --shard I/N` and `--merge`: a sweep in parts, by several processes or machines."""

import shutil
from pathlib import Path
from typing import Any

from jaxmlp.cli.claims import claimed_folder
from jaxmlp.cli.run_folder import read_json, whole_folder, write_json
from jaxmlp.optional import import_optional
from jaxmlp.training.stopping import higher_is_better

_OF_THE_BEST = ("model.safetensors", "run.json", "schema.json")


def parse_shard(text: str) -> tuple[int, int]:
    """Read I/N.

    >>> parse_shard("2/4")
    (2, 4)
    """
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"--shard is {text!r}; write I/N with I from 1 to N, such as 2/4.")
    return int(part), int(parts)


def merge_folders(folders: list[Path], out: Path | None, force: bool) -> tuple[Path, int]:
    """Put the folders of all parts of a sweep together: one table, the best model.

    Args:
        folders: that `--shard` wrote, in any order.
        out: where to write, or None for the next runs/sweep-NUMBER.
        force: whether what stands there may be replaced.

    Returns:
        The folder, and how many networks its table has.

    Raises:
        ValueError: if a part is missing, is there twice, or is of another sweep.
    """
    pandas = import_optional("pandas", "tables are made with pandas", "jaxmlp[sklearn]")
    parts = _in_order({folder: _read(folder) for folder in folders})
    tables = [pandas.read_csv(folder / "sweep.csv", dtype=str) for folder in parts]
    table = pandas.concat(tables, ignore_index=True)
    said = list(parts.values())
    best = _best(parts)
    description = {
        **parts[best], "members": len(table), "programs": sum(part["programs"] for part in said),
        "executor": "; ".join(dict.fromkeys(part["executor"] for part in said)),
    }  # fmt: skip
    del description["shard"], description["call"]
    if "summary" in description:
        description["summary"] = [row for part in said for row in part["summary"]]
    with (
        claimed_folder(out, "sweep", force, {"command": "sweep"}) as folder,
        whole_folder(folder) as temporary,
    ):
        table.to_csv(temporary / "sweep.csv", index=False)
        write_json(temporary / "sweep.json", description)
        for name in _OF_THE_BEST:
            if (best / name).is_file():
                shutil.copyfile(best / name, temporary / name)
    return folder, len(table)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "sweep.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no sweep.json; give folders that --shard wrote.")
    found = read_json(path)
    if "shard" not in found:
        raise ValueError(f"{folder} holds a whole sweep; give folders that --shard wrote.")
    return found


def _in_order(parts: dict[Path, dict[str, Any]]) -> dict[Path, dict[str, Any]]:
    """Sort parts, and refuse what is no whole sweep."""
    first = next(iter(parts))
    for folder, part in parts.items():
        if part["call"] != parts[first]["call"]:
            raise ValueError(f"{folder} and {first} are parts of different sweeps.")
    n_parts = parts[first]["shard"][1]
    there = [part["shard"][0] for part in parts.values()]
    missing = [f"{i}/{n_parts}" for i in range(1, n_parts + 1) if i not in there]
    if missing:
        raise ValueError(f"part {', '.join(missing)} of the sweep is missing; give all folders.")
    if len(set(there)) < len(there):
        raise ValueError("a part is there twice; give each once.")
    return dict(sorted(parts.items(), key=lambda item: item[1]["shard"][0]))


def _best(parts: dict[Path, dict[str, Any]]) -> Path:
    """The part whose best network is the best of all; the first where none has a score."""
    sign = -1 if higher_is_better(next(iter(parts.values()))["best"]["by"].split()[-1]) else 1

    def key(folder: Path) -> float:
        score = parts[folder]["best"]["score"]
        return float("inf") if score is None else sign * score

    return min(parts, key=key)
