"""Whether a line names the columns, or is data."""

import re

import numpy as np

from jaxmlp.data.tables.values import MISSING_WORDS, shorten

_NUMBER_SHARE = 0.9  # of the filled cells below a name that are numbers, for a column of numbers
_YEARS = range(1900, 2101)
_DIGITS = re.compile(r"\d+")
_VALUES = {
    "0-0-0", "0/0/0", "0.0.0", "0:0", "0:0:0", "0-0-0 0:0", "0/0/0 0:0", "0.0.0 0:0",
    "0-0-0 0:0:0", "0-0-0T0:0:0", "$0", "$0.0", "€0", "0 €", "0,0 €", "0%", "0.0%", "0,0 %",
}  # fmt: skip


def of_numbers(rows: list[list[str]], place: int) -> bool:
    """Whether a column is of numbers."""
    cells = (row[place].strip() for row in rows if len(row) > place)
    filled = [cell for cell in cells if cell.lower() not in MISSING_WORDS]
    return bool(filled) and float(np.mean([*map(_is_number, filled)])) >= _NUMBER_SHARE


def _is_number(text: str) -> bool:
    try:
        _value(text)
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
    numbers, names, alike = [], 0, False
    for place, cell in enumerate(first):
        below = [row[place].strip() for row in rows if len(row) > place]
        if of_numbers(rows, place):
            numbers += [cell] * _is_number(cell)
            missing = cell.lower() in MISSING_WORDS
            names += not missing and not _is_number(cell)
            alike = alike or (missing and cell != "")
        else:
            filled = [other for other in below if other.lower() not in MISSING_WORDS]
            alike = alike or (cell != "" and (cell in below or _of_one_form([cell, *filled])))
    if names:  # words above numbers are names, unless they are few among numbers in no order
        few = names < len(numbers)
        return few and sorted(numbers, key=_value) != numbers and not _count_on(numbers)
    return alike or (bool(numbers) and not _count_on(numbers))


def _of_one_form(cells: list[str]) -> bool:
    """Whether cells, such as dates and amounts of money, differ in their digits only."""
    forms = {_DIGITS.sub("0", cell) for cell in cells}
    return len(cells) > 2 and len(forms) == 1 and not forms.isdisjoint(_VALUES)


def _value(number: str) -> float:
    return float(number.replace(",", "."))


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
