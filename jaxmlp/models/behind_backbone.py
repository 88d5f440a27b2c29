"""Raw data of a model that was trained behind a backbone: their features."""

from collections.abc import Callable
from typing import Any

from jaxmlp.backbones import backbone_of
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.features import feature_cells
from jaxmlp.data.tables.values import DataFrame, blank_cells, to_frame
from jaxmlp.models.model import Model


def takes_items(model: Model) -> bool:
    """Whether a model takes the items of its backbone alone, and no table with columns of them."""
    return "backbone" in model.extra and "columns" not in model.extra["backbone"]


def through_backbone(model: Model, data: Any, notify: Callable[[str], None]) -> Any:
    """Put features in the place of what a model's backbone takes.

    Args:
        model: the model.
        data: raw data: a table, or a list of items where the backbone takes nothing else.
        notify: told of another backbone than that of the training.

    Returns:
        The data with features; as they are, where no backbone is needed.
    """
    said = model.extra.get("backbone")
    if said is None:
        return data
    if takes_items(model):
        return backbone_of(said, notify)(data) if isinstance(data, list) else data
    extract, frame = backbone_of(said, notify), _as_frame(model, data)
    made = backbone_columns(model, frame).items()
    return frame.assign(**{name: feature_cells(cells, extract) for name, cells in made})


def backbone_columns(model: Model, table: DataFrame) -> DataFrame:
    """Return those columns that go through a model's backbone; what is said to be missing is blank.

    Args:
        model: that knows its backbone.
        table: a pandas DataFrame; what it lacks, the preprocessing says.
    """
    names = [name for name in model.extra["backbone"]["columns"] if name in table.columns]
    return blank_cells(table[names], getattr(model.preprocessing, "missing", ()))


def _as_frame(model: Model, data: Any) -> DataFrame:
    if not isinstance(model.preprocessing, TablePreprocessor):
        raise ValueError("the model knows columns of a backbone, but its preprocessing none.")
    return to_frame(data, model.preprocessing.names)
