"""Labelled data for a network that exists already: prepared as it takes them, and split."""

import sys
from pathlib import Path

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.cli.feature_columns import backbone_of_run, column_blocks
from jaxmlp.cli.feature_files import FileRows
from jaxmlp.cli.prepared_data import DATA_SETS, TEST_SHARE, VALIDATION_SHARE, load_parts
from jaxmlp.data import Dataset, DataSplit, TablePreprocessor, from_arrays, train_test_split
from jaxmlp.data.tables import ReadingOptions, read_table
from jaxmlp.data.tables.inference import infer_column
from jaxmlp.data.tables.target import class_words
from jaxmlp.data.tables.values import DataFrame, blank_cells, import_pandas, to_numbers
from jaxmlp.models import Model, prepare


def load_labelled(
    model: Model,
    data: str,
    *,
    data_dir: Path | None,
    target: str | None,
    classes: tuple[str, ...],
    per_class: int | None,
    seed: int,
) -> DataSplit:
    """Load a data set by name or from a CSV file, and split it: stratified, by seed.

    Args:
        model: whose preprocessing is applied.
        data: a name, or a CSV file with a heading.
        data_dir: folder with the IDX files of MNIST and Fashion-MNIST.
        target: the column of a CSV file that holds the labels.
        classes: names of the classes to keep; none keeps all.
        per_class: labelled examples of each class to train with; the others are left out.
        seed: of the splits, and of what `per_class` leaves out.

    Returns:
        The parts, with class indices from 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for an unknown name, class or column; for features that the model does not take.
    """
    if data in DATA_SETS:
        if target is not None:
            raise ValueError(f"--target names a column of a CSV file; {data} has its own labels.")
        parts = load_parts(data, data_dir, seed)
        parts = DataSplit(*(part._replace(x=prepare(model, part.x, what=data)) for part in parts))
    else:
        rest, test = train_test_split(_read_table(model, data, target), TEST_SHARE, seed=seed)
        parts = DataSplit(*train_test_split(rest, VALIDATION_SHARE, seed=seed), test)
    if classes:
        parts = DataSplit(*(_with_classes(part, classes) for part in parts))
    if per_class is not None:
        parts = parts._replace(train=_few(parts.train, per_class, seed))
    return parts


def _read_table(model: Model, data: str, target: str | None) -> Dataset:
    path = Path(data)
    if not path.is_file():
        known = ", ".join(DATA_SETS)
        raise FileNotFoundError(f"there is no file {path}, nor a data set of that name: {known}.")
    if target is None:
        raise ValueError(f"say which column of {path} holds the labels: --target NAME.")
    options = ReadingOptions(**model.extra.get("reading", {}))
    table = read_table(path, options=options)  # as text: what a cell means, its column decides
    if target not in table.columns:
        raise unknown_name(f"column of {path}", target, map(str, table.columns))
    labels = _labels(blank_cells(table[[target]], getattr(model.preprocessing, "missing", ())))
    if not isinstance(model.preprocessing, TablePreprocessor):
        table = read_table(path, numbers=True, options=options)
    table = table.drop(columns=target)
    through = backbone_of_run(
        model, path.parent, lambda note: print(f"note: {note}", file=sys.stderr)
    )
    if through is not None:
        blocks = list(column_blocks(model, through, [FileRows(table, 0, 1.0)]))
        table = import_pandas().concat([block.inputs for block in blocks])
        labels = labels[np.concatenate([block.rows for block in blocks])]
        model = model._replace(extra={})  # the table holds features already
    return from_arrays(prepare(model, table, what=data), labels)


def _say(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


def _labels(table: DataFrame) -> np.ndarray:
    """Read the labels of a table's only column: whole numbers, or words; None of an empty cell."""
    (name,) = table.columns
    seen = infer_column(table[name])
    numbers = to_numbers(table[name], seen.style if seen.kind == "number" else ".")
    if np.isfinite(numbers).all():
        if (numbers % 1).any():
            raise ValueError(
                f"column {name!r} holds fractions, but fine-tuning from the command line is for "
                "classes; jaxmlp.finetuning.finetune takes any loss."
            )
        return numbers.astype(int)
    codes, levels = class_words(table[name])
    return np.take(np.array([*levels, None], object), codes)


def _with_classes(part: Dataset, chosen: tuple[str, ...]) -> Dataset:
    """Keep some classes, numbered anew from 0 in the order given."""
    names = part.class_names or ()
    for name in chosen:
        if name not in names:
            raise unknown_name("class", name, names)
    if len(set(chosen)) < 2:
        raise ValueError(f"--classes names {', '.join(chosen)}; give at least two.")
    index = [names.index(name) for name in chosen]
    kept = part.take(np.isin(part.y, index))
    return kept._replace(y=np.array([index.index(k) for k in kept.y], np.int32), class_names=chosen)


def _few(part: Dataset, per_class: int, seed: int) -> Dataset:
    """Keep so many examples of each class, drawn at random."""
    if per_class < 1:
        raise ValueError(f"--per-class is {per_class}; give at least 1.")
    rng, rows = np.random.default_rng(seed), []
    for k, name in enumerate(part.class_names or ()):
        available = np.flatnonzero(part.y == k)
        if len(available) < per_class:
            raise ValueError(
                f"--per-class is {per_class}, but class {name!r} has {len(available)} training "
                "examples."
            )
        rows.append(rng.choice(available, per_class, replace=False))
    return part.take(np.sort(np.concatenate(rows)))
