"""explain_backward: one forward and backward pass, equation by equation, with the numbers."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxmlp.config import MLPConfig
from jaxmlp.lecture.equations import equations
from jaxmlp.lecture.graph import ComputationalGraph
from jaxmlp.lecture.network_graph import network_graph
from jaxmlp.lecture.trace import run_trace
from jaxmlp.losses import Loss, get_loss
from jaxmlp.messages import check_language
from jaxmlp.types import Params, ScalarLike
from jaxmlp.verification.measurement.functions import float64_arithmetic, promote


@dataclass(frozen=True)
class Walkthrough:
    """A backward pass explained.

    Attributes:
        text: the equations, with shapes and numbers.
        graph: the computational graph; `graph.save("graph.svg")` draws it, `graph.source` is
            graphviz's.
    """

    text: str
    graph: ComputationalGraph

    def __str__(self) -> str:
        """Return the text."""
        return self.text


def explain_backward(
    config: MLPConfig,
    params: Params,
    x: Any,
    y: Any,
    loss: str | Loss,
    *,
    l2: ScalarLike = 0.0,
    show: bool = True,
    language: str = "en",
) -> Walkthrough:
    """Explain one backward pass: each of the lecture's seven equations, with its numbers.

    Where the order of factors on the slides does not fit the shapes, both forms are shown. The
    numbers are float64.

    Args:
        config: a network without batch normalization and dropout, which the lecture's equations
            do not have.
        params: its parameters.
        x: examples in rows, (batch, n_in); one to three are pleasant to read.
        y: targets.
        loss: name of a loss, or a `Loss`.
        l2: of the penalty s.
        show: print the text as well.
        language: of the text, "en" or "vi".

    Returns:
        The text and the computational graph.

    Raises:
        ValueError: for a config with batch normalization, dropout or parametric activations,
            shapes that do not fit, or a language that is not known.

    Example:
        >>> from jaxmlp import Layer
        >>> params = (Layer(jnp.array([[.5, .3], [.2, .4]]), jnp.zeros(2)),
        ...           Layer(jnp.array([[.6], [.7]]), jnp.zeros(1)))
        >>> config = MLPConfig((2, 2, 1), "relu")
        >>> x, y = jnp.array([[1.0, 2.0]]), jnp.array([1.0])
        >>> walk = explain_backward(config, params, x, y, "squared_error", show=False)
        >>> [line for line in walk.text.splitlines() if line.startswith("  J ")]
        ['  J = L + s = 0.04805']

    Reference: lecture, chapter V, forward and backward propagation.
    """
    check_language(language)
    if any((*config.normalized, *config.dropped, *config.parametric)):
        raise ValueError(
            "the lecture's equations have neither batch normalization nor dropout nor parametric "
            "activations, but config does. Pass config.replace(batch_norm=False, dropout=False, "
            "parametric_activation=False) and params made with it."
        )
    loss = get_loss(loss)
    with float64_arithmetic():
        params, x, y = promote((params, jnp.asarray(x), jnp.asarray(y)))
        wide = config.replace(dtype="float64", compute_dtype=None)
        trace = run_trace(wide, params, x, y, loss, float(l2))
        text, graph = equations(trace, language), network_graph(trace)
    if show:
        print(text)
    return Walkthrough(text, graph)
