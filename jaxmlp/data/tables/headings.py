"""Whether a line names the columns, or is data."""

import numpy as np

from jaxmlp.data.tables.values import MISSING_WORDS, shorten

_NUMBER_SHARE = 0.9  # of the filled cells below a name that are numbers, for a column of numbers
_YEARS = range(1900, 2101)


def of_numbers(rows: list[list[str]], place: int) -> bool:
    """Whether a column is of numbers."""
    cells = (row[place].strip() for row in rows if len(row) > place)
    filled = [cell for cell in cells if cell.lower() not in MISSING_WORDS]
    return bool(filled) and float(np.mean([*map(_is_number, filled)])) >= _NUMBER_SHARE


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def is_number_or_missing(text: str) -> bool:
    """Whether a cell is a number or says nothing."""
    return text.lower() in MISSING_WORDS or _is_number(text)


def all_numbers(first: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is data: numbers, but not the 0, 1, 2, ... that pandas writes."""
    counted = [str(k) for k in range(len(first))]
    if len(first) > 1 and first == counted and first not in rows:
        return False
    return all(map(_is_number, first))


def looks_like_data(first: list[str], rows: list[list[str]]) -> bool:
    """Whether what should be names looks like the cells below: numbers, or words found there."""
    numbers, repeated = [], False
    for place, cell in enumerate(first):
        if of_numbers(rows, place):
            if cell.lower() not in MISSING_WORDS and not _is_number(cell):
                return False  # a word above numbers is a name
            numbers += [cell] * _is_number(cell)
        else:
            below = {row[place].strip() for row in rows if len(row) > place}
            repeated = repeated or (cell != "" and cell in below)
    return repeated or (bool(numbers) and not _count_on(numbers))


def _count_on(numbers: list[str]) -> bool:
    """Whether numbers are names: years, or one after the other."""
    if not all(number.isdecimal() for number in numbers):
        return False
    values = [int(number) for number in numbers]
    steps = set(np.diff(values).tolist())
    return all(value in _YEARS for value in values) or (len(values) > 1 and steps == {1})


def no_heading(name: str, first: list[str]) -> str:
    """The note on a first line that looks like data."""
    shown = ", ".join(shorten(cell) for cell in first[:5]) + ", ..." * (len(first) > 5)
    return (
        f"The first line of {name} ({shown}) is taken as names of columns, but looks like the "
        "lines below. If it is data, add --no-header"
    )
