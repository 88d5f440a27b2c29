"""Images and sounds as the data of a command: files in folders, and the features of a backbone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxmlp.backbones import Backbone, backbone_of
from jaxmlp.cli.extraction import (
    BATCH,
    backbone_record,
    extract_features,
    load_backbone,
    refuse_unread,
    say_broken,
)
from jaxmlp.cli.feature_files import FileRows
from jaxmlp.cli.prepared_data import TEST_SHARE, VALIDATION_SHARE, PreparedData
from jaxmlp.data import Dataset, Standardizer, train_test_split
from jaxmlp.models import Model

_SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    "sound": (".wav", ".flac", ".ogg", ".mp3", ".aiff"),
}
_LEAST = 5  # items of a class: to learn from, to validate and to test


@dataclass(frozen=True, kw_only=True)
class PreparedMedia(PreparedData):
    """A `PreparedData` made of files.

    Attributes:
        backbone: what made features of them.
        paths: of the files of each part: training, validation and test.
        tuned: parameters of the backbone that were tuned for them.
    """

    backbone: Backbone
    paths: tuple[list[Path], list[Path], list[Path]]
    tuned: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def extra(self) -> dict[str, Any]:
        """What makes features of new files."""
        tuned = {"tuned": dict(self.tuned)} if self.tuned else {}
        return {"backbone": backbone_record(self.backbone) | tuned}

    @property
    def is_calibrated(self) -> bool:
        """They are: who asks about a photo wants honest shares."""
        return True


def load_media(
    data: str,
    backbone: str,
    *,
    weights: str,
    seed: int,
    console: Console,
    cache: Path | None = None,
) -> PreparedMedia:
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
    found = load_backbone(backbone, weights, cache)
    if found.kind not in _SUFFIXES:
        raise ValueError(
            f"{backbone} takes {found.kind}s, and {data} is a folder of images or sounds."
        )
    paths, labels = _labelled_files(folder, _SUFFIXES[found.kind], found.kind)
    extracted = extract_features(found, paths, console)
    if not len(extracted.kept):
        refuse_unread(found.kind, extracted.broken)
    say_broken(console, extracted.broken)
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
    numbers = np.arange(len(y), dtype=float)[:, None]
    whole = Dataset(numbers, y.astype(np.int32), features, tuple(map(str, names)))
    rest, test = train_test_split(whole, TEST_SHARE, seed=seed)
    train, validation = train_test_split(rest, VALIDATION_SHARE, seed=seed)
    rows = [part.x[:, 0].astype(int) for part in (train, validation, test)]
    # One scale for all: a feature that hardly varies would else be magnified as soon as it moves.
    standardizer = Standardizer.fit(extracted.x[rows[0]], per_feature=False)
    parts = [
        part._replace(x=standardizer.transform(extracted.x[own]))
        for part, own in zip((train, validation, test), rows, strict=True)
    ]
    first, second, third = ([paths[extracted.kept[row]] for row in own] for own in rows)
    return PreparedMedia(
        name=folder.resolve().name, train=parts[0], validation=parts[1], test=parts[2],
        preprocessing=standardizer, feature_names=features, backbone=found,
        paths=(first, second, third),
    )  # fmt: skip


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
    console, n_rows, broken = Console(stderr=True), 0, list[tuple[str | Path, str]]()
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        extracted = extract_features(backbone, batch, Console(quiet=True))
        say_broken(console, extracted.broken)
        broken += extracted.broken
        names = tuple(str(batch[k]) for k in extracted.kept)
        if names:
            done = min(1.0, (start + BATCH) / len(paths))
            yield FileRows(extracted.x, start, done, names=names)
        n_rows += len(names)
    if not n_rows:
        refuse_unread(backbone.kind, broken)


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
