"""A recipe: one record of settings, printed and saved with a run."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from jaxmlp.checks import unknown_name


@dataclass(frozen=True)
class Recipe:
    """How a table is learnt: its network and its training, as numbers and names.

    Attributes:
        name: of the recipe.
        embedding: of numbers: "piecewise", "periodic", or None.
        width: how many numbers each number becomes.
        bins: of a piecewise embedding.
        frequencies: of a periodic embedding.
        sigma: spread of its frequencies at the start.
        max_one_hot: levels up to which a category is one-hot; others are looked up; None: all are
            one-hot.
        category_width: length of a level's vector.
        scale: whether every input has a scale of its own.
        members: networks that share the layers.
        hidden_sizes: units of the hidden layers.
        many_classes: more classes than this double the hidden sizes.
        activation: of the hidden layers, for classes and for numbers.
        learning_rate: for classes and for numbers.
        schedule: of the learning rate: "cosine", "coslog4" or "constant".
        b2: Adam's share of the old average square.
        weight_decay: decoupled; constant for half of the run, then falling to 0.
        dropout: probability to drop, on the same schedule.
        label_smoothing: of classes.
        batch_size: rows a step.
        small_batch_size: likewise, in a table of fewer than 1,000 training rows.
        steps: of a run, for classes (at most `many_classes`) and for numbers and many classes.
        max_epochs: at most so many passes over the rows, for classes and for numbers.
        min_epochs: at least so many.
        embedding_rate: factor of the learning rate of embeddings of numbers.
        scale_rate: of the scale.
        bias_rate: of biases.
    """

    name: str
    embedding: str | None = "piecewise"
    width: int = 8
    bins: int = 48
    frequencies: int = 16
    sigma: float = 0.1
    max_one_hot: int | None = 8
    category_width: int = 8
    scale: bool = True
    members: int = 8
    hidden_sizes: tuple[int, ...] = (128, 128)
    many_classes: int = 10
    activation: tuple[str, str] = ("relu", "relu")
    learning_rate: tuple[float, float] = (3e-3, 3e-3)
    schedule: str = "cosine"
    b2: float = 0.95
    weight_decay: float = 3e-4
    dropout: float = 0.1
    label_smoothing: float = 0.0
    batch_size: int = 256
    small_batch_size: int = 32
    steps: tuple[int, int] = (1500, 2600)
    max_epochs: tuple[int, int] = (40, 60)
    min_epochs: int = 8
    embedding_rate: float = 15.0
    scale_rate: float = 10.0
    bias_rate: float = 0.1

    def replace(self, **changes: Any) -> "Recipe":
        """Return a copy with some settings changed.

        >>> get_recipe("tabm").replace(members=4).members
        4
        """
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values.

        >>> get_recipe("tabm").to_dict()["members"]
        8
        """
        fields = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (Recipe("tabm"),)}
"""The recipes by name."""


def get_recipe(recipe: str | Recipe) -> Recipe:
    """Look a recipe up by name; a record passes through.

    Args:
        recipe: one of `RECIPES`, or a `Recipe`.

    Returns:
        The record.

    Raises:
        ValueError: for an unknown name; the message has the nearest known one.

    Example:
        >>> get_recipe("tabm").embedding
        'piecewise'
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise unknown_name("recipe", recipe, RECIPES)
    return RECIPES[recipe]
