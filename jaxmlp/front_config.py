"""The static description of a network's input side: which column of a table is what."""

from dataclasses import asdict, dataclass
from typing import Any

import jax

from jaxmlp.checks import unknown_name

_EMBEDDINGS = ("piecewise", "periodic")


@jax.tree_util.register_static
@dataclass(frozen=True)
class FrontConfig:
    """Everything about an input side that is not an array.

    Args:
        n_in: columns of the prepared table.
        numbers: indices of the columns that are embedded as numbers.
        categories: (index, number of levels) of each column that holds the number of a level.
        embedding: of the numbers: "piecewise", "periodic", or None for the numbers as they are.
        width: m, how many numbers each number becomes.
        bins: T, of a piecewise embedding.
        frequencies: K, of a periodic embedding.
        sigma: spread of its frequencies at the start.
        category_width: length of a level's vector.
        scale: whether every input has a scale of its own.
        members: k, how many members share the layers; 1 is a single network.

    Raises:
        ValueError: for an unknown embedding, for columns outside the table or named twice, and for
            sizes below 1.

    Example:
        >>> config = FrontConfig(4, numbers=(0, 1), categories=((3, 12),), embedding="piecewise")
        >>> config.others, config.n_out
        ((2,), 25)
    """

    n_in: int
    numbers: tuple[int, ...] = ()
    categories: tuple[tuple[int, int], ...] = ()
    embedding: str | None = None
    width: int = 8
    bins: int = 48
    frequencies: int = 16
    sigma: float = 0.1
    category_width: int = 8
    scale: bool = True
    members: int = 1

    def __post_init__(self) -> None:
        """Check what would otherwise fail far from here."""
        store = object.__setattr__  # the documented way to fill a frozen dataclass
        store(self, "numbers", tuple(int(c) for c in self.numbers))
        store(self, "categories", tuple((int(c), int(n)) for c, n in self.categories))
        if self.embedding is not None and self.embedding not in _EMBEDDINGS:
            raise unknown_name("embedding", self.embedding, _EMBEDDINGS)
        named = [*self.numbers, *(column for column, _ in self.categories)]
        outside = [column for column in named if not 0 <= column < self.n_in]
        if outside or len(set(named)) < len(named):
            raise ValueError(
                f"numbers and categories name the columns {named}, but must name each of the "
                f"columns 0 to {self.n_in - 1} at most once."
            )
        for field in ("n_in", "width", "bins", "frequencies", "category_width", "members"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)}; give at least 1.")
        if self.embedding == "periodic" and self.width < 2:
            raise ValueError("a periodic embedding has the number itself and waves: width >= 2.")

    @property
    def others(self) -> tuple[int, ...]:
        """Columns that go in as they are."""
        named = {*self.numbers, *(column for column, _ in self.categories)}
        return tuple(column for column in range(self.n_in) if column not in named)

    @property
    def number_width(self) -> int:
        """How many numbers each number becomes."""
        return 1 if self.embedding is None else self.width

    @property
    def n_out(self) -> int:
        """Width of what the layers get."""
        embedded = len(self.numbers) * self.number_width
        return embedded + len(self.others) + len(self.categories) * self.category_width

    @property
    def n_levels(self) -> int:
        """Levels of all categories together."""
        return sum(n for _, n in self.categories)

    @property
    def category_offsets(self) -> tuple[int, ...]:
        """Where each category's levels begin in the table of vectors."""
        sizes = [n for _, n in self.categories]
        return tuple(sum(sizes[:k]) for k in range(len(sizes)))

    @property
    def n_parameters(self) -> int:
        """Number of trainable scalars."""
        d, m, K = len(self.numbers), self.width, self.frequencies
        embedded = {
            None: 0,
            "piecewise": d * m * (2 + self.bins),
            "periodic": d * (2 * K + (K + 1) * (m - 1)),
        }[self.embedding]
        signs = self.members * self.n_out if self.members > 1 else 0
        return embedded + self.n_levels * self.category_width + self.scale * self.n_out + signs

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values.

        >>> FrontConfig(2, numbers=(0,)).to_dict()["numbers"]
        [0]
        """
        fields = asdict(self)
        return {k: _listed(value) for k, value in fields.items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "FrontConfig":
        """Rebuild a config from `to_dict`'s result.

        >>> config = FrontConfig(2, numbers=(0,), categories=((1, 3),))
        >>> FrontConfig.from_dict(config.to_dict()) == config
        True
        """
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"the fields of the input side do not fit: {error}.") from error


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
