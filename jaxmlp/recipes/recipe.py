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
        parametric: whether each hidden unit has a share of the activation of its own, alpha.
        start: of weights and biases: "he" (biases 0); "normal": N(0, 1/n_in) and N(0, 1), the last
            layer 0; or "data": variance 1 and kinks among the training rows (`init_from_data`).
        by_fan_in: whether a weight's rate is divided by sqrt(n_in), as if it were of size 1 and
            its product were (the "neural tangent" parametrization).
        best: what decides which epoch is kept, for classes and for numbers.
        latest: whether of equally good epochs the latest is kept, not the first.
        clamp: whether predicted numbers are kept within the range of the training targets.
        learning_rate: for classes and for numbers.
        schedule: of the learning rate: "cosine", "coslog4" or "constant".
        b2: Adam's share of the old average square.
        weight_decay: decoupled; constant for half of the run, then falling to 0.
        squared_decay: whether an array decays with its rate's factor squared, as RealMLP's authors
            have it (the scale 36 times as much, alpha and embeddings 0.01); else with the factor
            alone, and alpha not at all. Biases never decay; a weight decays as one of size 1.
        dropout: probability to drop, on the same schedule, for classes and for numbers.
        label_smoothing: of classes.
        batch_size: rows a step.
        drop_last: whether rows of an epoch that do not fill a batch are left out.
        small: what is said instead in a table of fewer than 1,000 training rows, for classes and
            for numbers: (setting, value) pairs.
        steps: of a run, for classes (at most `many_classes`) and for numbers and many classes.
        max_epochs: at most so many passes over the rows, for classes and for numbers.
        min_epochs: at least so many.
        patience: share of the epochs without improvement after which training stops; None: it runs
            to its end.
        embedding_rate: factor of the learning rate of embeddings of numbers.
        scale_rate: of the scale.
        bias_rate: of biases.
        alpha_rate: of the shares of a parametric activation.
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
    parametric: bool = False
    start: str = "he"
    by_fan_in: bool = False
    best: tuple[str, str] = ("validation_loss", "validation_loss")
    latest: bool = False
    clamp: bool = False
    learning_rate: tuple[float, float] = (3e-3, 3e-3)
    schedule: str = "cosine"
    b2: float = 0.95
    weight_decay: float = 3e-4
    squared_decay: bool = False
    dropout: tuple[float, float] = (0.1, 0.1)
    label_smoothing: float = 0.0
    batch_size: int = 256
    drop_last: bool = False
    small: tuple[tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]] = ((), ())
    steps: tuple[int, int] = (1800, 2600)
    max_epochs: tuple[int, int] = (40, 60)
    min_epochs: int = 8
    patience: float | None = None
    embedding_rate: float = 15.0
    scale_rate: float = 10.0
    bias_rate: float = 0.1
    alpha_rate: float = 1.0

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
        return {name: _listed(value) for name, value in asdict(self).items()}


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


_TABM = Recipe("tabm", small=((("batch_size", 32),), (("batch_size", 32),)))
# A small table needs more epochs to take as many steps; a very small one of classes has too few
# validation rows to say when to stop, so it is trained to the end, with more dropout, and the best
# epoch is kept: over seven small tables that lowered the log loss on three and raised it on none.
_PLAIN = Recipe(
    "plain", embedding=None, max_one_hot=None, scale=False, members=1, hidden_sizes=(256, 256),
    many_classes=1_000_000, activation=("silu", "silu"), learning_rate=(1e-3, 3e-3), b2=0.999,
    weight_decay=1e-2, dropout=(0.1, 0.25), batch_size=128, steps=(8_000, 8_000),
    max_epochs=(200, 200), min_epochs=20, patience=1 / 6, bias_rate=1.0,
    small=(
        (("dropout", 0.3), ("batch_size", 32), ("epochs", 60), ("patience", 60)),
        (("learning_rate", 1e-3),),
    ),
)  # fmt: skip

_REALMLP_S = Recipe(
    "realmlp-s", embedding=None, max_one_hot=None, members=1, hidden_sizes=(256, 256, 256),
    many_classes=1_000_000, activation=("selu", "mish"), start="normal", by_fan_in=True,
    best=("validation_accuracy", "validation_rmse"), learning_rate=(0.04, 0.07),
    schedule="coslog4", b2=0.95, weight_decay=0.0, dropout=(0.0, 0.0), label_smoothing=0.1,
    batch_size=256, drop_last=True, latest=True, max_epochs=(256, 256), min_epochs=256,
    scale_rate=6.0, bias_rate=0.1,
)  # fmt: skip

_REALMLP = _REALMLP_S.replace(
    name="realmlp", embedding="periodic", width=4, frequencies=16, sigma=0.1, max_one_hot=8,
    parametric=True, start="data", clamp=True, learning_rate=(0.04, 0.2), weight_decay=0.02,
    squared_decay=True, dropout=(0.15, 0.15), embedding_rate=0.1, alpha_rate=0.1,
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (_TABM, _REALMLP, _REALMLP_S, _PLAIN)
}
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
