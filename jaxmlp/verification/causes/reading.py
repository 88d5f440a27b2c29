"""Reading any pytree of weights and biases as the layers of an MLP, by the shapes of its leaves."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.messages import phrase
from jaxmlp.types import Layer, Params
from jaxmlp.verification.measurement.functions import Point


class Reading(NamedTuple):
    """Which leaf is what in which layer.

    Attributes:
        point: the parameters.
        places: of each leaf, its layer and its field of `Layer`.
        names: what layers are called in words.
        layer_sizes: units a layer, inputs included.
        turned: whether weights are stored as (n_out, n_in), for examples in columns.
    """

    point: Point
    places: tuple[tuple[int, str], ...]
    names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    turned: bool = False

    @property
    def n_layers(self) -> int:
        """Number of weight matrices."""
        return len(self.layer_sizes) - 1

    @property
    def normalized(self) -> tuple[bool, ...]:
        """Which layers have batch normalization."""
        return tuple((l, "gamma") in self.places for l in range(self.n_layers))

    @property
    def parametric(self) -> tuple[bool, ...]:
        """Which layers have a parametric activation."""
        return tuple((l, "alpha") in self.places for l in range(self.n_layers))

    def layers(self, vector: np.ndarray) -> Params:
        """Put parameters, or a gradient, together as our layers; a bias that is not there is 0."""
        fields: list[dict[str, Any]] = [{} for _ in range(self.n_layers)]
        for l, (layer, field) in enumerate(self.places):
            leaf = self.point.leaf(vector, l)
            leaf = (leaf.T if self.turned else leaf) if field == "W" else leaf.ravel()
            fields[layer][field] = jnp.asarray(leaf, jnp.float64)
        for n_out, found in zip(self.layer_sizes[1:], fields, strict=True):
            if "gamma" not in found:
                found.setdefault("b", jnp.zeros(n_out))
        return tuple(Layer(**found) for found in fields)

    def leaves(self, layers: Params) -> list[np.ndarray]:
        """Take layers apart, leaf by leaf as in the pytree, each leaf in our own shape."""
        return [np.asarray(getattr(layers[layer], field)) for layer, field in self.places]


def readings(point: Point) -> Iterator[Reading]:
    """Yield every way to read the parameters as a chain of dense layers.

    >>> from jaxmlp.verification.measurement.functions import make_point
    >>> point = make_point({"W1": np.ones((2, 3)), "b1": np.ones(3), "W2": np.ones((3, 1))})
    >>> [reading.places for reading in readings(point)]
    []
    >>> point = make_point([(np.ones((2, 3)), np.ones(3)), (np.ones((3, 1)), np.ones(1))])
    >>> next(readings(point)).layer_sizes
    (2, 3, 1)
    """
    if point.root == "layers":
        yield from _of_layers(point)
        return
    order = sorted(range(len(point.names)), key=lambda i: _natural(point.names[i]))
    for weights, biases in _halves(order):
        for turned in (False, True):
            reading = _as_chain(point, weights, biases, turned)
            if reading is not None:
                yield reading


def _of_layers(point: Point) -> Iterator[Reading]:
    """Read our own layers, whose fields have names."""
    parts = [re.fullmatch(r"layers\[(\d+)\]\.(\w+)", name) for name in point.names]
    places = tuple((int(part[1]), part[2]) for part in parts if part)
    shapes = [s for s, (_, field) in zip(point.shapes, places, strict=True) if field == "W"]
    if all(len(shape) == 2 for shape in shapes) and _is_chain(shapes):
        names = tuple(f"layers[{l}]" for l in range(len(shapes)))
        yield Reading(point, places, names, (shapes[0][0], *(shape[1] for shape in shapes)))


def _natural(name: str) -> list[Any]:
    """Order W2 before W10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _halves(order: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield weights and biases as they may be ordered: in turns, one kind first, weights alone."""
    half = len(order) // 2
    if len(order) == 2 * half:
        yield order[::2], order[1::2]
        yield order[1::2], order[::2]
        yield order[:half], order[half:]
        yield order[half:], order[:half]
    yield order, []


def _as_chain(point: Point, weights: list[int], biases: list[int], turned: bool) -> Reading | None:
    shapes = [point.shapes[i][::-1] if turned else point.shapes[i] for i in weights]
    if not all(len(shape) == 2 for shape in shapes) or not _is_chain(shapes):
        return None
    sizes = [int(np.prod(point.shapes[i])) for i in biases]
    if biases and sizes != [shape[1] for shape in shapes]:
        return None
    places = {i: (l, "W") for l, i in enumerate(weights)}
    places |= {i: (l, "b") for l, i in enumerate(biases)}
    names = tuple(phrase("the layer of {weight}", weight=point.names[i]) for i in weights)
    in_order = tuple(places[i] for i in range(len(places)))
    return Reading(point, in_order, names, (shapes[0][0], *(shape[1] for shape in shapes)), turned)


def _is_chain(shapes: Sequence[tuple[int, ...]]) -> bool:
    return all(below[1] == above[0] for below, above in pairwise(shapes))
