"""The data sets of the studies of quality: split alike for every method, and encoded or typed."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.cli.prepared_data import PreparedData
from jaxmlp.data import Dataset, Standardizer, TablePreprocessor
from jaxmlp.data.tables import Target, infer_columns, read_table, read_target, split_rows


class Source(NamedTuple):
    """Where a data set comes from, and what is known of its columns.

    Attributes:
        origin: a file's name, or that of one of scikit-learn's sets.
        target: the column to predict.
        leaking: columns that are not known when one predicts, or give the target away; the studies
            leave them out.
        texts: columns that name single rows; the study of tables leaves them out.
        codes: columns of numbers that name kinds; the study of tables tells every method so.
    """

    origin: str
    target: str
    leaking: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


SOURCES = {
    "adult": Source("adult.csv.gz", "income"),
    "bank_marketing": Source("bank_marketing.csv.gz", "y", ("duration",)),
    "titanic": Source(
        "titanic.csv", "Survived", texts=("PassengerId", "Name", "Ticket", "Cabin")
    ),
    "dry_bean": Source("dry_bean.csv.gz", "Class"),
    "digits": Source("digits", "target"),
    "breast_cancer": Source("breast_cancer", "target"),
    "wine": Source("wine", "target"),
    "california_housing": Source("california_housing.csv", "median_house_value"),
    "bike_sharing": Source(
        "bike_sharing_hour.csv", "cnt", ("casual", "registered", "instant"),
        codes=("season", "mnth", "hr", "weekday", "weathersit"),
    ),
    "diabetes": Source("diabetes", "target"),
}  # fmt: skip

TABLES = {
    **{name: source for name, source in SOURCES.items() if name != "digits"},  # images
    "bike_sharing_numeric": SOURCES["bike_sharing"]._replace(codes=()),
}


class Split(NamedTuple):
    """One split of one data set, in numbers.

    Attributes:
        prepared: training, validation and test parts as the network takes them.
        rest: (x, y) of training and validation together, targets as in `prepared`.
        raw: (x of rest, y of rest, x of test) without scaling: categories one-hot, holes filled.
        truth: test targets in their units, or class indices.
    """

    prepared: PreparedData
    rest: tuple[np.ndarray, np.ndarray]
    raw: tuple[np.ndarray, np.ndarray, np.ndarray]
    truth: np.ndarray


def load_frame(name: str, data_dir: Path) -> Any:
    """Load a data set as a DataFrame, target included, without the leaking columns."""
    from sklearn import datasets

    source = {**SOURCES, **TABLES}[name]
    if "." in source.origin:
        frame = read_table(data_dir / "tabular" / source.origin)
    else:
        frame = getattr(datasets, f"load_{source.origin}")(as_frame=True).frame
    return frame.drop(columns=list(source.leaking))


class TableSplit(NamedTuple):
    """One split of one table: typed columns as people have them, 60 / 20 / 20.

    Attributes:
        X_train, X_val, X_test: DataFrames of numbers and categories, holes included.
        y_train, y_val, y_test: class indices, or numbers in their units.
        class_names: sorted; None for numbers.
    """

    X_train: Any
    y_train: np.ndarray
    X_val: Any
    y_val: np.ndarray
    X_test: Any
    y_test: np.ndarray
    class_names: tuple[str, ...] | None

    @property
    def rest(self) -> tuple[Any, np.ndarray]:
        """Training and validation rows together, for methods that need no validation."""
        import pandas as pd

        return pd.concat([self.X_train, self.X_val]), np.concatenate([self.y_train, self.y_val])


def split_table(name: str, frame: Any, seed: int) -> TableSplit:
    """Split a table, its columns typed by pandas; classes keep their shares in every part.

    Args:
        name: of the data set, in `TABLES`.
        frame: from `load_frame`.
        seed: of the split.
    """
    source = TABLES[name]
    target = read_target(frame[source.target])
    X = _typed(frame.drop(columns=[target.name, *source.texts]), source).iloc[target.rows]
    is_class = target.class_names is not None
    parts = split_rows(
        target.y, stratify=is_class, seed=seed, test_share=0.2, validation_share=0.25
    )
    pieces = [piece for rows in parts[:3] for piece in (X.iloc[rows], target.y[rows])]
    return TableSplit(*pieces, target.class_names)


def _typed(frame: Any, source: Source) -> Any:
    """Return numbers as numbers, dates as days, and everything else as categories."""
    import pandas as pd

    columns = {}
    for name, column in frame.items():
        text = not pd.api.types.is_numeric_dtype(column)
        known = column.where(~column.isin(["", "?"])) if text else column
        numbers = pd.to_numeric(known, errors="coerce")
        days = pd.to_datetime(known, format="%Y-%m-%d", errors="coerce") if text else None
        if name in source.codes:
            columns[name] = known.astype(object).astype("category")
        elif numbers.notna().sum() == known.notna().sum():
            columns[name] = numbers.astype(float)
        elif days.notna().sum() == known.notna().sum():
            columns[name] = (days - days.min()).dt.days.astype(float)
        else:
            columns[name] = known.astype(object).astype("category")
    return pd.DataFrame(columns)


def make_split(name: str, frame: Any, seed: int, rows: int | None) -> Split:
    """Split, and fit the encoding on training and validation rows.

    Args:
        name: of the data set.
        frame: from `load_frame`.
        seed: of the split.
        rows: training and validation rows used at most; the test part stays whole.
    """
    target = read_target(frame[SOURCES[name].target])
    features = frame.drop(columns=target.name).iloc[target.rows]
    parts = split_rows(target.y, stratify=target.class_names is not None, seed=seed)
    share = 1.0 if rows is None else min(1.0, rows / (len(parts.train) + len(parts.validation)))
    train, validation = (p[: round(share * len(p))] for p in (parts.train, parts.validation))
    rest = np.concatenate([train, validation])
    columns = infer_columns(features)
    preprocessor = TablePreprocessor.fit(features.iloc[rest], columns=columns)
    y, transform = _targets(target, rest)
    x = preprocessor.transform(features.iloc[np.concatenate([rest, parts.test])])
    kinds = (np.arange(len(train)), np.arange(len(train), len(rest)), np.arange(len(rest), len(x)))
    order = np.concatenate([rest, parts.test])
    data = Dataset(x, y[order], preprocessor.feature_names, target.class_names)
    prepared = PreparedData(
        name, *(data.take(k) for k in kinds), preprocessor, preprocessor.column_names,
        "softmax_cross_entropy" if target.class_names is not None else "squared_error", transform,
        target.name,
    )  # fmt: skip
    raw = _unscaled(preprocessor, features, order)
    raw_y = target.y[rest]
    parts_of_raw = raw[: len(rest)], raw_y, raw[len(rest) :]
    return Split(prepared, (x[: len(rest)], y[rest]), parts_of_raw, target.y[parts.test])


def _targets(target: Target, rest: np.ndarray) -> tuple[np.ndarray, Standardizer | None]:
    if target.class_names is not None:
        return target.y, None
    transform = Standardizer.fit(target.y[rest][:, None])
    return transform.transform(target.y[:, None])[:, 0].astype(np.float32), transform


def _unscaled(preprocessor: TablePreprocessor, features: Any, order: np.ndarray) -> np.ndarray:
    """Numbers as they are, holes filled with the median; everything else as for the others."""
    from jaxmlp.data.tables.encoders import NumberEncoder
    from jaxmlp.data.tables.values import to_numbers

    blocks = []
    for encoder in preprocessor.encoders:
        column = features[encoder.name].iloc[order]
        if isinstance(encoder, NumberEncoder):
            numbers = to_numbers(column, encoder.style)
            block = np.where(np.isnan(numbers), encoder.center, numbers)[:, None]
        else:
            block = encoder.encode(column)
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
