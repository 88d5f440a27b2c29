"""Encoders of categories: one-hot, or the number of the level."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from jaxmlp.data.tables.encoders import Features, Record
from jaxmlp.data.tables.inference import TRUTHS
from jaxmlp.data.tables.schema import Column
from jaxmlp.data.tables.values import Series, find_levels, shorten, to_levels, to_truths, to_words

_MISSING, _RARE = "(missing)", "(rare)"
# One letter is rather a code than a truth.
_TRUTH_WORDS = {
    form: true
    for word, true in TRUTHS.items()
    if len(word) > 1 or word.isdigit()
    for form in (word, word.capitalize(), word.upper())
}


def truth_places(levels: tuple[str, ...]) -> dict[str, int]:
    """Other words for the two truths among levels, and the places of these levels.

    >>> places = truth_places(("no", "unknown", "yes"))
    >>> places["True"], places["1"], truth_places(("0", "1", "2"))["True"], truth_places(("no",))
    (2, 2, 1, {})
    """
    truths = [
        TRUTHS.get(word) if len(word) > 1 or word.isdigit() else None for word in to_truths(levels)
    ]
    if truths.count(True) != 1 or truths.count(False) != 1:
        return {}
    own = find_levels(tuple(_TRUTH_WORDS), levels)
    return {
        word: truths.index(true)
        for (word, true), place in zip(_TRUTH_WORDS.items(), own, strict=True)
        if place is None
    }


def _find_places(words: tuple[str, ...], levels: tuple[str, ...]) -> list[int | None]:
    """Find words among levels: as they are spelled, as a number, or as a truth."""
    other = truth_places(levels)
    places = [*range(len(levels)), *other.values()]
    found = find_levels(words, (*levels, *other))
    return [None if k is None else places[k] for k in found]


@dataclass(frozen=True)
class CategoryEncoder(Record):
    """A category: one-hot, rare levels pooled; of two levels one number, -1 or 1.

    A missing cell is a level of its own. A level that training never saw joins the pool of rare
    ones; without a pool it is all zeros.
    """

    kind: ClassVar[str] = "category"
    name: str
    levels: tuple[str, ...]

    @classmethod
    def fit(cls, column: Column, series: Series, max_levels: int, min_count: int) -> Self:
        """Choose the levels: the most frequent ones; the others, if any, are the pool."""
        codes, words = to_levels(series)
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        order = np.argsort(-counts, kind="stable")
        kept = [words[k] for k in order[:max_levels] if counts[k] >= min_count]
        if not kept:  # a tiny table: every level is rare
            kept = [words[k] for k in order[:max_levels]]
        levels = sorted(kept)
        if len(kept) < len(words):
            levels.append(_RARE)
        if (codes < 0).any():
            levels.append(_MISSING)
        return cls(column.name, tuple(levels))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One a level; of two levels, the second."""
        shown = self.levels[1:] if len(self.levels) == 2 else self.levels
        return tuple(f"{self.name}={level}" for level in shown)

    def encode(self, column: Series) -> Features:
        """Look the levels up."""
        codes, words = to_words(column)
        special = {level: k for k, level in enumerate(self.levels) if level in (_RARE, _MISSING)}
        table = np.zeros((len(words) + 1, len(self.levels)))
        found = _find_places(words, self.levels)
        places = [special.get(_RARE) if place is None else place for place in found]
        for row, place in enumerate([*places, special.get(_MISSING)]):
            if place is not None:
                table[row, place] = 1.0
        if len(self.levels) == 2:
            table = table[:, 1:] - table[:, :1]
        return np.take(table, codes, axis=0)

    def remarks(self, column: Series) -> list[str]:
        """Levels that training never saw, unless they join a pool; missing cells likewise."""
        codes, words = to_words(column)
        places = _find_places(words, self.levels)
        unseen = [word for word, place in zip(words, places, strict=True) if place is None]
        said = []
        if unseen and _RARE not in self.levels:
            more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
            said.append(f"{self.name}: {shorten(unseen[0])!r}{more} never seen in training")
        if (codes < 0).any() and _MISSING not in self.levels:
            said.append(f"{self.name}: {int((codes < 0).sum())} missing, as never in training")
        return said


@dataclass(frozen=True)
class LevelEncoder(CategoryEncoder):
    """A category of many levels: the number of the level, from 1, which a network looks up.

    0 is a level that training never saw, if there is no pool of rare ones.
    """

    kind: ClassVar[str] = "level"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The column itself."""
        return (self.name,)

    @property
    def n_levels(self) -> int:
        """The levels, and the unknown one."""
        return len(self.levels) + 1

    def encode(self, column: Series) -> Features:
        """Look the levels up."""
        codes, words = to_words(column)
        special = {level: k for k, level in enumerate(self.levels) if level in (_RARE, _MISSING)}
        found = _find_places(words, self.levels)
        places = [special.get(_RARE) if place is None else place for place in found]
        numbers = [0 if p is None else p + 1 for p in (*places, special.get(_MISSING))]
        return np.take(np.asarray(numbers, np.float64), codes)[:, None]
