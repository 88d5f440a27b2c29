"""All that can be set on the page, as frozen values, and the checks of what the page sends."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from jaxmlp.activations import ACTIVATIONS
from jaxmlp.checks import unknown_name
from jaxmlp.initializers import INITIALIZERS
from jaxmlp.messages import phrase
from jaxmlp.play.fields import Fields, read_text, shorten

MOST_LAYERS, MOST_UNITS, MOST_NETWORKS = 6, 16, 2
MOST_POINTS = 400  # drawn by hand
_MOST_HELD = 64  # columns of a table held at a value
_MOST_SEED = 2**31 - 1

_PLANE_SETS = ("circle", "xor", "gaussians", "spirals")
DATA_SETS = (*_PLANE_SETS, "function", "digits", "drawn", "table")
PLANE_INPUTS = ("x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)")
LOSSES = {
    "classification": ("sigmoid_binary_cross_entropy", "softmax_cross_entropy", "squared_error"),
    "regression": ("squared_error", "absolute_error", "huber"),
}
INITIALIZER_NAMES = ("auto", *INITIALIZERS)


class _Number(NamedTuple):
    """A number of an update rule: its name, where it starts, and where it must lie."""

    name: str
    default: float
    low: float
    high: float


def _rule(learning_rate: float, *more: _Number) -> tuple[_Number, ...]:
    return (_Number("learning_rate", learning_rate, 0.0, 100.0), *more)


_EPS = _Number("eps", 1e-8, 1e-12, 1.0)
_ADAM = (_Number("b1", 0.9, 0.0, 0.9999), _Number("b2", 0.999, 0.0, 0.99999), _EPS)
_BETA = _Number("beta", 0.9, 0.0, 0.9999)
RULES: dict[str, tuple[_Number, ...]] = {
    "gd": _rule(0.3),
    "sgd": _rule(0.1),
    "momentum": _rule(0.1, _BETA),
    "nesterov": _rule(0.03, _BETA),
    "adagrad": _rule(0.1, _EPS),
    "rmsprop": _rule(0.01, _Number("decay", 0.9, 0.0, 0.9999), _EPS),
    "adam": _rule(0.03, *_ADAM),
    "adamw": _rule(0.03, *_ADAM, _Number("weight_decay", 0.01, 0.0, 10.0)),
}
"""The numbers of each update rule, in the order of its function's arguments."""


class Layer(NamedTuple):
    """A hidden layer."""

    units: int
    activation: str


@dataclass(frozen=True)
class NetworkSettings:
    """One network and how it learns.

    Attributes:
        layers: hidden ones, from the inputs upwards.
        initializer: of the weights.
        batch_norm: of the hidden layers.
        dropout: probability to drop; 0 for none.
        l2: weight of the penalty.
        rule: name of the update rule.
        numbers: of the rule, by name.
        batch_size: rows a step; 0 for all.
        loss: name of the loss.
        seed: of the initial weights and the batches.
    """

    layers: tuple[Layer, ...] = (Layer(4, "tanh"),)
    initializer: str = "auto"
    batch_norm: bool = False
    dropout: float = 0.0
    l2: float = 0.0
    rule: str = "adam"
    numbers: Mapping[str, float] = field(
        default_factory=lambda: {number.name: number.default for number in RULES["adam"]}
    )
    batch_size: int = 16
    loss: str = "sigmoid_binary_cross_entropy"
    seed: int = 0


@dataclass(frozen=True)
class DataSettings:
    """What is learnt.

    Attributes:
        name: of the data set.
        noise: of what is drawn at random, from 0 to 1.
        size: number of examples.
        test: share that tests.
        seed: of the draw and the split.
        inputs: of the plane, of `PLANE_INPUTS`.
        standardize: whether inputs get mean 0 and variance 1.
        points: drawn by hand, (x1, x2, class).
        target: column of the table that is predicted; "" for the last.
        columns: of the table that are learnt from; () for all.
        plane: two of them, which span the picture; () for the first two.
        held: values at which the others are held, by column; else their means.
    """

    name: str = "xor"
    noise: float = 0.1
    size: int = 300
    test: float = 0.3
    seed: int = 0
    inputs: tuple[str, ...] = ("x1", "x2")
    standardize: bool = False
    points: tuple[tuple[float, float, int], ...] = ()
    target: str = ""
    columns: tuple[str, ...] = ()
    plane: tuple[str, ...] = ()
    held: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The page: the data, and one network or two beside each other."""

    data: DataSettings = DataSettings()
    networks: tuple[NetworkSettings, ...] = (NetworkSettings(),)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values, which `read_settings` takes back.

        >>> read_settings(Settings().to_dict()) == Settings()
        True
        """
        values: dict[str, Any] = _as_lists(asdict(self))
        return values

    def with_network(self, index: int, **changes: Any) -> "Settings":
        """Return a copy in which one network differs."""
        networks = list(self.networks)
        networks[index] = replace(networks[index], **changes)
        return replace(self, networks=tuple(networks))


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_lists(item) for name, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, tuple | list) else value


def read_settings(fields: object) -> Settings:
    """Check what claims to be settings.

    Args:
        fields: as from JSON; what is left out is as at the start.

    Returns:
        The settings.

    Raises:
        ValueError: if something is of the wrong type, too large, unknown, or no finite number.

    Example:
        >>> read_settings({"data": {"noise": 7}})
        Traceback (most recent call last):
            ...
        ValueError: noise is 7; give a number from 0 to 1.
    """
    read = Fields("settings", fields, ("data", "networks"))
    networks = read.items("networks", [{}], most=MOST_NETWORKS, least=1)
    return Settings(
        _read_data(read.fields.get("data", {})), tuple(_read_network(item) for item in networks)
    )


def read_link(link: str) -> Settings:
    """Read settings from a link of the page, or from what stands behind its #.

    Raises:
        ValueError: if they are none.

    Example:
        >>> read_link("http://127.0.0.1:8000/#eyJkYXRhIjp7Im5hbWUiOiJjaXJjbGUifX0").data.name
        'circle'
    """
    text = link.rpartition("#")[2]
    try:
        fields = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError) as error:
        sentence = phrase("the link holds no settings; copy it whole from the page.")
        raise ValueError(sentence) from error
    return read_settings(fields)


def _read_network(fields: object) -> NetworkSettings:
    known = NetworkSettings()
    read = Fields(phrase("a network"), fields, known.__dataclass_fields__)
    rule = read.choice("rule", known.rule, RULES)
    own = read.fields.get("numbers", {})
    numbers = Fields(
        phrase("the numbers of {rule}", rule=rule), own, [number.name for number in RULES[rule]]
    )
    layers = read.items("layers", [list(layer) for layer in known.layers], most=MOST_LAYERS)
    return NetworkSettings(
        layers=tuple(_read_layer(layer) for layer in layers),
        initializer=read.choice("initializer", known.initializer, INITIALIZER_NAMES),
        batch_norm=read.flag("batch_norm", known.batch_norm),
        dropout=read.number("dropout", known.dropout, 0.0, 0.9),
        l2=read.number("l2", known.l2, 0.0, 10.0),
        rule=rule,
        numbers={n.name: numbers.number(n.name, n.default, n.low, n.high) for n in RULES[rule]},
        batch_size=read.whole("batch_size", known.batch_size, 0, 100_000),
        loss=read.choice("loss", known.loss, {name for some in LOSSES.values() for name in some}),
        seed=read.whole("seed", known.seed, 0, _MOST_SEED),
    )


def _read_layer(layer: object) -> Layer:
    if not isinstance(layer, list) or len(layer) != 2:
        raise ValueError(
            phrase(
                'a layer is {value}; give units and activation, [4, "tanh"].', value=shorten(layer)
            )
        )
    read = Fields(phrase("a layer"), dict(zip(Layer._fields, layer, strict=True)), Layer._fields)
    return Layer(read.whole("units", 1, 1, MOST_UNITS), read.choice("activation", "", ACTIVATIONS))


def _read_data(fields: object) -> DataSettings:
    known = DataSettings()
    read = Fields(phrase("data"), fields, known.__dataclass_fields__)
    inputs = read.texts("inputs", known.inputs, most=len(PLANE_INPUTS))
    for name in inputs:
        if name not in PLANE_INPUTS:
            raise unknown_name(phrase("input"), name, PLANE_INPUTS)
    if not inputs:
        raise ValueError(phrase("inputs is empty; choose one at least."))
    plane = read.texts("plane", known.plane, most=2)
    if len(plane) == 1:
        raise ValueError(phrase("plane names one column; choose two different ones."))
    return DataSettings(
        name=read.choice("name", known.name, DATA_SETS),
        noise=read.number("noise", known.noise, 0.0, 1.0),
        size=read.whole("size", known.size, 20, 2000),
        test=read.number("test", known.test, 0.1, 0.9),
        seed=read.whole("seed", known.seed, 0, _MOST_SEED),
        inputs=tuple(name for name in PLANE_INPUTS if name in inputs),
        standardize=read.flag("standardize", known.standardize),
        points=tuple(_read_point(p) for p in read.items("points", [], most=MOST_POINTS)),
        target=read.text("target"),
        columns=read.texts("columns", known.columns, most=_MOST_HELD),
        plane=plane,
        held=_read_held(read.fields.get("held", {})),
    )


def _read_point(point: object) -> tuple[float, float, int]:
    if not isinstance(point, list) or len(point) != 3:
        raise ValueError(phrase("a point is {value}; give [x1, x2, class].", value=shorten(point)))
    read = Fields(
        phrase("a point"),
        dict(zip(("x1", "x2", "class"), point, strict=True)),
        ("x1", "x2", "class"),
    )
    x1, x2 = (read.number(name, 0.0, -2.0, 2.0) for name in ("x1", "x2"))
    return x1, x2, read.whole("class", 0, 0, 1)


def _read_held(fields: object) -> dict[str, float | str]:
    if not isinstance(fields, Mapping) or len(fields) > _MOST_HELD:
        raise ValueError(
            phrase(
                "held is {value}; send an object of {most} columns at most.",
                value=shorten(fields),
                most=_MOST_HELD,
            )
        )
    held: dict[str, float | str] = {}
    for name, value in fields.items():
        read_text(phrase("a column of held"), name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(
                phrase(
                    "{name} is held at {value}; give a number or a text.",
                    name=name,
                    value=shorten(value),
                )
            )
        if not isinstance(value, str) and not (math.isfinite(value) and abs(value) < 1e30):
            raise ValueError(
                phrase(
                    "{name} is held at {value}; give a finite number.",
                    name=name,
                    value=shorten(value),
                )
            )
        held[name] = read_text(name, value) if isinstance(value, str) else float(value)
    return held
