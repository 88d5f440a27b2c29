"""What the cells of a column say, as words or numbers; and which of them say nothing.

A CSV file is read as text and its meaning is decided by the column's kind, so that "007" stays a
code where it is a category, and a block of rows means what the whole file means.
"""

import re
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int

from jaxmlp.data.tables.units import without_unit
from jaxmlp.optional import import_optional

if TYPE_CHECKING:
    import pandas

    DataFrame: TypeAlias = pandas.DataFrame
    Series: TypeAlias = pandas.Series
else:  # pandas is optional, and takes long to import
    DataFrame = Series = Any

# Compared without case. "unknown" and its like are words: a level of a category, and in a column
# of numbers no number, which is missing too.
MISSING_WORDS = frozenset(
    ("", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "nat", "<na>", "-", "--", ".")
)
# Squares, ranges and quotients of numbers between these are finite; what is smaller counts as 0.
LARGEST, SMALLEST = 1e100, 1e-100
_WHOLE = re.compile(r"([+-]?\d+)[.,]0{1,2}")
_ORNAMENT = "$€£% \t"
# A 0 groups no thousands: 0,500 is a half.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
_THOUSANDS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")
_THOUSANDS_SPACE = re.compile(r"[+-]?[1-9]\d{0,2}([ \xa0\u2009\u202f'’]\d{3})+([.,]\d*)?")
_IN_BRACKETS = re.compile(r"\(([$€£]?\s*\d[^()]*)\)")  # as accountants write what is negative
_CURRENCY = re.compile(r"([+-]?)[$€£]\s*(?=[\d.,])")
_CODE, _CODE_SHARE = re.compile(r"0\d+"), 0.01  # of the cells that a 0 leads, for codes
_FACTORS = {"k": "e3", "K": "e3", "M": "e6"}
_COUNTED = re.compile(r"[+-]?[\d.,]*\d ?[kKM]")


def import_pandas() -> ModuleType:
    """Return pandas, or say how to get it."""
    pandas: ModuleType = import_optional("pandas", "tables need pandas", "jaxmlp[sklearn]")
    return pandas


def to_frame(table: Any, names: tuple[str, ...] | None = None) -> DataFrame:
    """Return a table as a pandas DataFrame with unique text names; the data are not copied.

    Args:
        table: a DataFrame of pandas or polars, a table of Arrow, a mapping of columns, or an array
            (rows, columns).
        names: of the columns of an array; by default x0, x1, ...

    Returns:
        The DataFrame. Of several columns of one name the later become name.1, name.2, ...

    Raises:
        ValueError: if it is no table, or an array of another width than `names`.

    Example:
        >>> to_frame(np.ones((2, 2))).columns.tolist()
        ['x0', 'x1']
    """
    pd = import_pandas()
    if type(table).__module__.partition(".")[0] == "pyarrow":
        table = table.to_pandas()
    elif type(table).__module__.partition(".")[0] == "polars":
        table = pd.DataFrame({name: table[name].to_numpy() for name in table.columns})
    elif not isinstance(table, pd.DataFrame):
        array = table if isinstance(table, dict) else _matrix(table)
        table = pd.DataFrame(array)
        if not isinstance(array, dict):
            wanted = names or tuple(f"x{k}" for k in range(table.shape[1]))
            if len(wanted) != table.shape[1]:
                raise ValueError(
                    f"the table has {table.shape[1]} columns, but {len(wanted)} are needed: "
                    f"{', '.join(wanted[:8])}{', ...' if len(wanted) > 8 else ''}."
                )
            table.columns = list(wanted)
    unique = unique_names([str(name).strip() for name in table.columns])
    return table if unique == list(table.columns) else table.set_axis(unique, axis=1)


def _matrix(table: Any) -> np.ndarray:
    try:
        array = np.asarray(table)
    except ValueError as error:
        raise ValueError("the rows of the table have different lengths.") from error
    if array.ndim != 2:
        raise ValueError(f"a table has rows and columns, but this has shape {array.shape}.")
    return array


def shorten(word: str, length: int = 20) -> str:
    """Cut a long word for a message, on one line whatever a quoted cell holds.

    >>> shorten("a very long word indeed"), shorten("two\\nlines")
    ('a very long word in…', 'two lines')
    """
    word = " ".join(word.split())
    if not word.isprintable():
        word = word.encode("unicode_escape").decode()
    return word if len(word) <= length else f"{word[: length - 1]}…"


def unique_names(names: list[str]) -> list[str]:
    """Number the repetitions of a name.

    >>> unique_names(["a", "b", "a", ""])
    ['a', 'b', 'a.1', 'column 4']
    """
    given, taken, numbers = set(names), set[str](), dict[str, int]()
    result = []
    for position, name in enumerate(names, 1):
        base = candidate = name or f"column {position}"
        number = numbers.get(base, 0)
        while candidate in taken or (number and candidate in given):
            number += 1
            candidate = f"{base}.{number}"
        taken.add(candidate)
        numbers[base] = number
        result.append(candidate)
    return result


class Words(NamedTuple):
    """A column as words: row i says levels[codes[i]], or nothing where the code is -1."""

    codes: Int[np.ndarray, " rows"]
    levels: tuple[str, ...]


def to_words(column: Series, missing: frozenset[str] = MISSING_WORDS) -> Words:
    """Read a column as words, in order of appearance; those of `missing` say nothing.

    >>> import pandas as pd
    >>> to_words(pd.Series(["a ", None, "?", "b", "a"]))
    Words(codes=array([ 0, -1, -1,  1,  0]), levels=('a', 'b'))
    """
    pd = import_pandas()
    values = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    try:
        codes, uniques = pd.factorize(values)
    except TypeError:  # lists and the like have no hash
        codes, uniques = pd.factorize(values.map(str))
    levels: dict[str, int] = {}
    merged = np.full(len(uniques) + 1, -1)  # the last entry answers code -1
    for k, value in enumerate(uniques):
        word = to_word(value)
        if word.lower() not in missing:
            merged[k] = levels.setdefault(word, len(levels))
    return Words(merged[codes], tuple(levels))


def to_levels(column: Series, missing: frozenset[str] = MISSING_WORDS) -> Words:
    """Read a column as levels: as words, of which 1 and 1.0 are one where both occur.

    Args:
        column: a pandas Series.
        missing: words, in lower case, that say nothing.

    Example:
        >>> import pandas as pd
        >>> to_levels(pd.Series(["1", "1.0", "2.0", "-"]), frozenset([""]))
        Words(codes=array([0, 0, 1, 2]), levels=('1', '2.0', '-'))
    """
    codes, words = to_words(column, missing)
    known, levels = set(words), dict[str, int]()
    merged = np.full(len(words) + 1, -1)
    for k, word in enumerate(words):
        short = as_whole(word)
        merged[k] = levels.setdefault(short if short in known else word, len(levels))
    return Words(merged[codes], tuple(levels))


def find_levels(words: tuple[str, ...], levels: tuple[str, ...]) -> list[int | None]:
    """Find words among levels: as they are spelled, else as the same number.

    >>> find_levels(("1.0", "007", "b", "2"), ("1", "007", "7", "a"))
    [0, 1, None, None]
    """
    spelled = {level: k for k, level in enumerate(levels)}
    values = _numbers(levels).tolist()
    numbers = {value: k for k, value in enumerate(values) if values.count(value) == 1}
    found = zip(words, _numbers(words).tolist(), strict=True)
    return [spelled.get(word, numbers.get(number)) for word, number in found]


def as_whole(word: str) -> str:
    """Write 1.0 as 1, as whole numbers are; pandas adds the 0 as soon as a cell is empty.

    >>> as_whole("1.0"), as_whole("1.05")
    ('1', '1.05')
    """
    match = _WHOLE.fullmatch(word)
    return match[1] if match else word


def _numbers(words: tuple[str, ...]) -> np.ndarray:
    return parse_numbers(tuple(as_whole(word) for word in words), ".")


def blank_cells(frame: DataFrame, words: tuple[str, ...]) -> DataFrame:
    """Return a table in which the cells that say one of these words are missing.

    Args:
        frame: a pandas DataFrame.
        words: compared without case, and as numbers where they are some.

    Example:
        >>> import pandas as pd
        >>> blank_cells(pd.DataFrame({"a": ["-200.0", "7", "X"]}), ("-200", "x"))["a"].tolist()
        [nan, '7', nan]
    """
    if not words:
        return frame
    wanted = tuple(word.lower() for word in words)
    blank = {name: column.mask(_says(column, wanted)) for name, column in frame.items()}
    result = import_pandas().DataFrame(blank, index=frame.index)
    result.attrs = frame.attrs
    return result


def _says(column: Series, words: tuple[str, ...]) -> np.ndarray:
    if column.dtype.kind in "iuf":
        return np.asarray(column.isin(_numbers(words)[~np.isnan(_numbers(words))]))
    if any(isinstance(cell, np.ndarray) for cell in column):  # features are no words
        return np.zeros(len(column), bool)
    codes, levels = to_words(column, frozenset())
    found = find_levels(tuple(level.lower() for level in levels), words)
    return np.take([place is not None for place in found] + [False], codes)


def to_truths(words: tuple[str, ...]) -> tuple[str, ...]:
    """Write words as truths are looked up: in lower case, 1.0 as 1.

    >>> to_truths(("Yes", "1.0", "unknown"))
    ('yes', '1', 'unknown')
    """
    whole = {0.0: "0", 1.0: "1"}
    found = zip(words, _numbers(words).tolist(), strict=True)
    return tuple(whole.get(number, word.lower()) for word, number in found)


def to_word(value: object) -> str:
    """Write one filled cell as a word: 3.0 and 3 are one level.

    >>> to_word(3.0), to_word(" b ")
    ('3', 'b')
    """
    if (
        isinstance(value, float | np.floating)
        and float(value).is_integer()
        and abs(float(value)) < 1e15
    ):
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip()


def to_numbers(column: Series, style: str = ".", unit: str = "") -> Float64[np.ndarray, " rows"]:
    """Read a column as numbers; NaN where a cell says nothing or is no finite number.

    Args:
        column: a pandas Series.
        style: the decimal sign, "." or ","; the other one may separate thousands.
        unit: of the column: a cell without a unit is in it, and one in another unit is NaN. "":
            cells have none, but for a currency or a percent sign, which is left out.

    Returns:
        (rows,), float64, within +-1e100.

    Example:
        >>> import pandas as pd
        >>> to_numbers(pd.Series(["1,200", "-$3.5", "12%", "(5)", "5k", "?", "many"])).tolist()
        [1200.0, -3.5, 12.0, -5.0, 5000.0, nan, nan]
        >>> to_numbers(pd.Series(["1.200", "3,5", "1 234,5"]), ",").tolist()
        [1200.0, 3.5, 1234.5]
        >>> to_numbers(pd.Series(["1,298 cc", "998", "1.2 l"]), unit="CC").tolist()
        [1298.0, 998.0, nan]
    """
    if column.dtype.kind in "biuf":
        numbers = column.to_numpy(np.float64, na_value=np.nan)
    elif column.dtype.kind == "m":
        numbers = column.dt.total_seconds().to_numpy(np.float64)
    elif style == ".":  # most cells are plain numbers, which pandas reads fast
        numbers = plain_numbers(column)
        rest = np.isnan(numbers)
        if rest.any():
            numbers[rest] = _numbers_of_words(column[rest], style, unit)
    else:
        numbers = _numbers_of_words(column, style, unit)
    numbers = np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST)
    return np.where(np.abs(numbers) < SMALLEST, 0.0, numbers)


def are_codes(words: Words) -> bool:
    """Whether a column of words holds codes written in digits: 00501, 007.

    A 0 leads some of them: in one cell of a hundred, or in any where all are equally long.

    >>> import pandas as pd
    >>> are_codes(to_words(pd.Series(["00501", "10001"]))), are_codes(to_words(pd.Series(["0.5"])))
    (True, False)
    """
    led = np.array([_CODE.fullmatch(word) is not None for word in words.levels], bool)
    if not led.any():
        return False
    counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.levels))
    alike = len({len(word) for word in words.levels}) == 1
    return alike or bool(counts[led].sum() >= _CODE_SHARE * counts.sum())


def plain_numbers(column: Series) -> Float64[np.ndarray, " rows"]:
    """Read the cells that are numbers without ornament; NaN elsewhere."""
    texts = column.astype(object).where(column.notna(), "")
    return np.array(import_pandas().to_numeric(texts, errors="coerce"), np.float64)


def _numbers_of_words(column: Series, style: str, unit: str) -> Float64[np.ndarray, " rows"]:
    codes, levels = to_words(column)
    return np.take(np.append(parse_numbers(levels, style, unit), np.nan), codes)


def parse_numbers(
    levels: tuple[str, ...], style: str, unit: str = ""
) -> Float64[np.ndarray, " levels"]:
    """Read words as numbers; NaN for those that are none, or in another unit than this."""
    if unit:
        levels = tuple(without_unit(word, unit) or "no number" for word in levels)
    texts = [plain_text(word, style) for word in levels]
    numbers = import_pandas().to_numeric(np.array(texts, object), errors="coerce")
    return np.asarray(numbers, np.float64)


def plain_text(word: str, style: str) -> str:
    """Write a number without ornament, as any program reads it; what is none stays none.

    >>> plain_text("-$1,200", "."), plain_text("1.200,5 €", ","), plain_text("(5k)", ".")
    ('-1200', '1200.5', '-5e3')
    """
    return _plain_number(_undecorated(word), style)


def _undecorated(word: str) -> str:
    """Take away currency, percent, brackets, spaces between thousands and k for a thousand."""
    word = word.strip(_ORNAMENT)
    if not word.strip("0123456789.,"):
        return word  # as most are
    word = _IN_BRACKETS.sub(r"-\1", word.replace("\u2212", "-"))
    word = _CURRENCY.sub(r"\1", word).strip(_ORNAMENT)
    if _THOUSANDS_SPACE.fullmatch(word):
        word = re.sub(r"[^\d.,+-]", "", word)
    if _COUNTED.fullmatch(word):
        word = word[:-1].rstrip() + _FACTORS[word[-1]]
    return word


def _plain_number(word: str, style: str) -> str:
    if "," not in word and (style == "." or "." not in word):
        return word
    if style == ".":
        return word.replace(",", "") if _THOUSANDS.fullmatch(word) else "no number"
    if _THOUSANDS_COMMA.fullmatch(word):
        return word.replace(".", "").replace(",", ".")
    return word.replace(",", ".") if "." not in word else "no number"
