"""What a user says about a table."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxmlp.data.tables import ReadingOptions
from jaxmlp.data.tables.column_lists import named_columns


@dataclass(frozen=True)
class TableOptions:
    """What a user says about a table.

    Attributes:
        target: name of the column to predict.
        task: "classification" or "regression".
        schema: file that says what the columns are.
        group: column whose equal rows stay together.
        time: column that orders the rows.
        drop: names of columns to leave out, separated by commas.
        category: names of columns that are categories, likewise.
        number: names of columns that are numbers, likewise.
        scaling: of numbers.
        missing: words that mean a missing cell, likewise.
        header: whether a line of a text file may name the columns.
        delimiter: between its cells; "" finds it out.
        skip: lines above the table.
        sheet: of a workbook; "": the only or the largest one.
        max_one_hot: levels up to which a category is one-hot; None: all are.
        clamp: whether predicted numbers are kept within the range of the training targets.
        folds: of a cross-validation; 0 splits once.
        fold: which of them tests, from 0.
        stream: whether rows are read block by block.
        text: columns that are texts.
        features: columns that go through a backbone.
    """

    target: str | None = None
    task: str | None = None
    schema: Path | None = None
    group: str | None = None
    time: str | None = None
    drop: str = ""
    category: str = ""
    number: str = ""
    scaling: str = "robust"
    missing: str = ""
    header: bool = True
    delimiter: str = ""
    skip: int = 0
    sheet: str = ""
    max_one_hot: int | None = None
    clamp: bool = False
    folds: int = 0
    fold: int = 0
    stream: bool = False
    text: tuple[str, ...] = ()
    features: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values; folds are left out where there are none."""
        values = {**asdict(self), "schema": None if self.schema is None else str(self.schema)}
        optional = ("folds", "clamp", "stream", "text", "features")
        without = {name for name in optional if not getattr(self, name)}
        without |= set() if self.folds else {"fold"}
        return {name: value for name, value in values.items() if name not in without}

    @property
    def reading(self) -> ReadingOptions:
        """How a text file is read."""
        return ReadingOptions(self.header, self.delimiter, self.skip, self.sheet)

    @property
    def missing_words(self) -> tuple[str, ...]:
        """The words of `missing`."""
        return tuple(named_columns(self.missing))

    def column_kinds(self, known: Collection[str]) -> dict[str, str]:
        """The kind of each column that the user named, of a table with these columns."""
        lists = {"drop": self.drop, "category": self.category, "number": self.number}
        kinds = {name: kind for kind, text in lists.items() for name in named_columns(text, known)}
        return kinds | dict.fromkeys(self.text, "text") | dict.fromkeys(self.features, "features")
