"""Features of many items, batch by batch: kept on disk, with a progress bar, faults named."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from jaxmlp.backbones import Backbone
from jaxmlp.data.tables.values import shorten

BATCH = 64
"""Items that go through a backbone at a time."""
_SHOWN = 5  # broken files that are named


class _Extracted(NamedTuple):
    """Features of the items that could be read.

    Attributes:
        x: (items, features).
        kept: which of the items these are.
        broken: (item, why) of the others.
    """

    x: np.ndarray
    kept: np.ndarray
    broken: list[tuple[str | Path, str]]


def load_backbone(name: str, weights: str, cache: Path | None = None) -> Backbone:
    """Load a backbone whose features are kept.

    Args:
        name: of the backbone.
        weights: of it: "pretrained", "random", or a file.
        cache: where features are kept; None: in the user's cache.
    """
    return Backbone.load(name, weights=weights, cache=cache or _cache())


def _cache() -> Path:
    return platformdirs.user_cache_path("jaxmlp") / "features"


def backbone_record(backbone: Backbone) -> dict[str, Any]:
    """Describe a backbone for a model that is to load it again, as `backbone_of` does."""
    assert backbone.source is not None
    return {**backbone.source._asdict(), "name": backbone.name}


def extract_features(
    backbone: Backbone, items: Sequence[str | Path], console: Console
) -> _Extracted:
    """Extract features batch by batch; what cannot be read is left out and named.

    Args:
        backbone: what extracts.
        items: texts, or paths of files.
        console: where progress is shown, if that is a terminal.
    """
    parts, kept, broken = list[np.ndarray](), list[int](), list[tuple[str | Path, str]]()
    columns = (
        TextColumn(f"{backbone.kind}s"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    hidden = not console.is_terminal or console.quiet
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=len(items))
        for start in range(0, len(items), BATCH):
            numbers = range(start, min(start + BATCH, len(items)))
            try:
                parts.append(backbone([items[k] for k in numbers]))
                kept += numbers
            except (ValueError, OSError):  # one of them; which, each alone tells
                for k in numbers:
                    try:
                        parts.append(backbone([items[k]]))
                        kept.append(k)
                    except (ValueError, OSError) as error:
                        broken.append((items[k], _reason(error)))
            bar.update(task, completed=numbers.stop)
    x = np.concatenate(parts) if parts else np.zeros((0, backbone.n_features or 0), np.float32)
    return _Extracted(x, np.array(kept, int), broken)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error).rstrip(".")


def refuse_unread(kind: str, broken: Sequence[tuple[str | Path, str]]) -> None:
    """Raise for items of which none could be read; none at all is no fault."""
    if broken:
        item, why = broken[0]
        said = f"none of the {len(broken)} {kind}s can be read"
        raise ValueError(f"{said}, such as {shorten(str(item), 80)}: {why}.")


def say_broken(console: Console, broken: Sequence[tuple[str | Path, str]]) -> None:
    """Name files that were left out."""
    for item, why in broken[:_SHOWN]:
        console.print(f"left out: {item}: {why}", soft_wrap=True, markup=False)
    if len(broken) > _SHOWN:
        console.print(f"and {len(broken) - _SHOWN} more files that cannot be read")
