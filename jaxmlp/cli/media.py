"""Images and sounds as the data of a command: files in folders, and the features of a backbone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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

from jaxmlp.backbones import Backbone, backbone_of
from jaxmlp.cli.feature_files import FileRows
from jaxmlp.cli.prepared_data import TEST_SHARE, VALIDATION_SHARE, PreparedData
from jaxmlp.data import Dataset, Standardizer, train_test_split
from jaxmlp.models import Model

_SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    "sound": (".wav", ".flac", ".ogg", ".mp3", ".aiff"),
}
_BATCH = 64  # items that go through the backbone at a time
_LEAST = 5  # items of a class: to learn from, to validate and to test
_SHOWN = 5  # broken files that are named


class _Extracted(NamedTuple):
    """Features of the items that could be read.

    Attributes:
        x: (items, features).
        kept: which of the items these are.
        broken: (path, why) of the others.
    """

    x: np.ndarray
    kept: np.ndarray
    broken: list[tuple[Path, str]]


@dataclass(frozen=True, kw_only=True)
class _PreparedMedia(PreparedData):
    """A `PreparedData` made of files.

    Attributes:
        backbone: what made features of them.
    """

    backbone: Backbone

    @property
    def extra(self) -> dict[str, Any]:
        """What makes features of new files."""
        assert self.backbone.source is not None
        source = self.backbone.source._asdict()
        return {"backbone": {**source, "name": self.backbone.name}}


def load_media(
    data: str,
    backbone: str,
    *,
    weights: str,
    seed: int,
    console: Console,
    cache: Path | None = None,
) -> PreparedData:
    """Extract the features of a folder of images or sounds, with a folder for each class.

    Args:
        data: the folder.
        backbone: name of the backbone.
        weights: of it: "pretrained", "random", or a file.
        seed: of the split: stratified, 20% to test, 10% of the rest to validate.
        console: where broken files are named, and progress is shown.
        cache: where features are kept; None: in the user's cache.

    Raises:
        ValueError: for a backbone of texts, or a folder without enough files.
    """
    folder = Path(data)
    found = Backbone.load(backbone, weights=weights, cache=cache or _cache())
    if found.kind not in _SUFFIXES:
        raise ValueError(
            f"{backbone} takes {found.kind}s, and {data} is a folder of images or sounds."
        )
    paths, labels = _labelled_files(folder, _SUFFIXES[found.kind], found.kind)
    extracted = _extract(found, paths, console)
    _say_broken(console, extracted.broken)
    labels = [labels[k] for k in extracted.kept]
    names, y = np.unique(labels, return_inverse=True)
    counts = np.bincount(y)
    if len(names) < 2 or counts.min() < _LEAST:
        rare = f"{str(names[counts.argmin()])!r} has {counts.min()}"
        raise ValueError(
            f"{data} needs two folders or more, each with {_LEAST} {found.kind}s or more that can "
            f"be read: {rare}."
        )
    features = tuple(f"feature {k}" for k in range(extracted.x.shape[1]))
    whole = Dataset(extracted.x, y.astype(np.int32), features, tuple(map(str, names)))
    rest, test = train_test_split(whole, TEST_SHARE, seed=seed)
    train, validation = train_test_split(rest, VALIDATION_SHARE, seed=seed)
    standardizer = Standardizer.fit(train.x)
    parts = [part._replace(x=standardizer.transform(part.x)) for part in (train, validation, test)]
    return _PreparedMedia(
        name=folder.resolve().name, train=parts[0], validation=parts[1], test=parts[2],
        preprocessing=standardizer, feature_names=features, backbone=found,
    )  # fmt: skip


def _cache() -> Path:
    return platformdirs.user_cache_path("jaxmlp") / "features"


def _labelled_files(
    folder: Path, suffixes: tuple[str, ...], kind: str
) -> tuple[list[Path], list[str]]:
    """The files of each class's folder, in order."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; --backbone takes a folder with one for each class."
        )
    paths, labels = list[Path](), list[str]()
    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(p for p in own.rglob("*") if p.suffix.lower() in suffixes)
        paths += files
        labels += [own.name] * len(files)
    if not paths:
        raise ValueError(
            f"{folder} holds no {kind}s in folders of their own, one for each class; known are "
            f"{', '.join(suffixes)}."
        )
    return paths, labels


def _extract(backbone: Backbone, paths: list[Path], console: Console) -> _Extracted:
    """Extract features batch by batch; what cannot be read is left out and named."""
    parts, kept, broken = list[np.ndarray](), list[int](), list[tuple[Path, str]]()
    columns = (
        TextColumn(f"{backbone.kind}s"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    hidden = not console.is_terminal or console.quiet
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=len(paths))
        for start in range(0, len(paths), _BATCH):
            numbers = range(start, min(start + _BATCH, len(paths)))
            try:
                parts.append(backbone([paths[k] for k in numbers]))
                kept += numbers
            except (ValueError, OSError):  # one of them; which, each alone tells
                for k in numbers:
                    try:
                        parts.append(backbone([paths[k]]))
                        kept.append(k)
                    except (ValueError, OSError) as error:
                        broken.append((paths[k], str(error).rstrip(".")))
            bar.update(task, completed=numbers.stop)
    if not parts:
        raise ValueError(f"none of the {len(paths)} files can be read: {broken[0][1]}.")
    return _Extracted(np.concatenate(parts), np.array(kept), broken)


def _say_broken(console: Console, broken: list[tuple[Path, str]]) -> None:
    """Name files that were left out."""
    for path, why in broken[:_SHOWN]:
        console.print(f"left out: {path}: {why}", soft_wrap=True, markup=False)
    if len(broken) > _SHOWN:
        console.print(f"and {len(broken) - _SHOWN} more files that cannot be read")


def media_blocks(
    model: Model, data: list[str], notify: Callable[[str], None]
) -> Iterator[FileRows]:
    """Read files, and all of folders, as rows of features.

    Args:
        model: that knows its backbone.
        data: files and folders.
        notify: told of another backbone than that of the training.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: if none can be read.
    """
    backbone = backbone_of(model.extra["backbone"], notify)
    paths = list(_files(data, _SUFFIXES[backbone.kind]))
    console = Console(stderr=True)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        extracted = _extract(backbone, batch, Console(quiet=True))
        _say_broken(console, extracted.broken)
        names = tuple(str(batch[k]) for k in extracted.kept)
        done = min(1.0, (start + _BATCH) / len(paths))
        yield FileRows(extracted.x, start, done, names=names)


def _files(data: list[str], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for path in map(Path, data):
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes)
            if not found:
                raise ValueError(f"{path} holds none of {', '.join(suffixes)}.")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"there is no file {path}.")
