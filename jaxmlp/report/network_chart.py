"""A network drawn by its layers: what they hold, what they hand on, what gradient comes back."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from jaxmlp.formatting import format_number
from jaxmlp.losses import Loss, get_loss
from jaxmlp.models import Model
from jaxmlp.network import backward, forward
from jaxmlp.networks import NetworkConfig, NetworkParams, layers_inputs, layers_of, mlp_of
from jaxmlp.once import jit_once
from jaxmlp.report.style import BLUE, INK, ORANGE
from jaxmlp.tabular_config import TabularConfig

_ROWS = 256  # of the training data: enough for norms
_WIDTH, _HEIGHT, _STEP = 1.7, 1.5, 2.6  # of a box, and from one to the next, in inches
_IN_A_ROW = 5  # boxes, so that the words stay as large as those of the page


def network_chart(
    model: Model, x: Float[np.ndarray, "rows n_in"], y: Float[np.ndarray, "rows ..."]
) -> Figure:
    """Draw a box a layer; forward go the outputs, backward the gradients.

    Args:
        model: the network, without batch normalization.
        x: what the network takes, (rows, n_in); the first 256 rows are used.
        y: targets.

    Returns:
        The figure: in each box the weights' shape, parameters and gradient norm; above the arrows
        the root mean square of what is handed on, below them that of the gradient coming back.
    """
    config, layers = mlp_of(model.config), layers_of(model.params)
    handed, norms = jax.device_get(
        _sizes(model.config, get_loss(model.loss), model.params, x[:_ROWS], y[:_ROWS])
    )
    sizes = config.layer_sizes
    boxes = [(_input_text(model, sizes[0]), "")]
    for l, layer in enumerate(layers, 1):
        n_parameters = sum(leaf.size for leaf in layer if leaf is not None)
        name = config.activations[l - 1].name
        norm = format_number(float(norms[l - 1]), 2)
        said = f"{sizes[l - 1]:,} × {sizes[l]:,} weights\n{n_parameters:,} parameters\n{name}"
        boxes.append((f"layer {l}\n{said}", f"‖dJ/dW‖ = {norm}"))
    boxes.append((f"objective\n{model.loss.replace('_', ' ')}", ""))
    return _draw(boxes, [format_number(float(size), 2) for size in handed])


@partial(jit_once, static_argnames="loss")
def _sizes(
    config: NetworkConfig, loss: Loss, params: NetworkParams, x: Array, y: Array
) -> tuple[list[Array], list[Array]]:
    """Root mean squares of what is handed on, and norms of the weights' gradients."""
    layers, rows = layers_of(params), layers_inputs(config, params, x)
    config = mlp_of(config).replace(dropout=False)
    outputs, cache = forward(config, layers, rows)
    targets = jnp.resize(y, (len(rows), *y.shape[1:]))  # again for each member
    _, d_outputs = loss.value_and_grad(outputs, targets)
    grads, _ = backward(config, layers, cache, d_outputs / len(rows))
    handed = [*(kept.inputs for kept in cache), outputs]
    return [jnp.sqrt(jnp.mean(h**2)) for h in handed], [jnp.linalg.norm(grad.W) for grad in grads]


def _input_text(model: Model, n_inputs: int) -> str:
    """Describe what the layers are given."""
    if not isinstance(model.config, TabularConfig):
        return f"inputs\n{n_inputs:,}"
    front = model.config.front
    lines = [f"table\n{front.n_in:,} columns"]
    if front.numbers and front.embedding:
        lines.append(f"{len(front.numbers):,} embedded, {front.embedding}")
    if front.categories:
        lines.append(f"{len(front.categories):,} looked up")
    if front.members > 1:
        lines.append(f"{front.members} members")
    return "\n".join([*lines, f"{n_inputs:,} inputs"])


def _draw(boxes: list[tuple[str, str]], handed: list[str]) -> Figure:
    """Place the boxes in lines, read from the left like text; an arrow stands before its box."""
    n_lines, n_columns = -(-len(boxes) // _IN_A_ROW), min(len(boxes), _IN_A_ROW)
    margin = _STEP - _WIDTH if n_lines > 1 else 0.1  # room for the arrow that begins a line
    size = (margin + _STEP * (n_columns - 1) + _WIDTH + 0.1, (_HEIGHT + 0.7) * n_lines - 0.4)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, size[0])
    axes.set_ylim(0, size[1])
    axes.set_axis_off()
    for k, (text, gradient) in enumerate(boxes):
        line, column = divmod(k, _IN_A_ROW)
        left, low = margin + _STEP * column, size[1] - _HEIGHT - 0.1 - (_HEIGHT + 0.7) * line
        middle, color = low + _HEIGHT / 2, BLUE if gradient else INK
        corner = FancyBboxPatch(
            (left, low), _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="none", edgecolor=color, linewidth=1.5,
        )  # fmt: skip
        axes.add_patch(corner)
        center = left + _WIDTH / 2
        axes.text(center, middle + 0.14 * bool(gradient), text, ha="center", va="center",
                  color=INK, fontsize=9, linespacing=1.3)  # fmt: skip
        axes.text(center, low + 0.1, gradient, ha="center", va="bottom", color=INK, fontsize=9)
        if k:
            start, with_gradient = left - _STEP + _WIDTH, bool(boxes[k - 1][1])
            _arrows(axes, start, middle, handed[k - 1], with_gradient=with_gradient)
    return figure


def _arrows(axes: object, left: float, middle: float, value: str, *, with_gradient: bool) -> None:
    """Draw the way forward, with what is handed on, and the way back."""
    right, center = left + _STEP - _WIDTH - 0.05, left + (_STEP - _WIDTH) / 2
    axes.annotate(  # type: ignore[attr-defined]
        "", (right, middle + 0.12), (left + 0.05, middle + 0.12),
        arrowprops={"arrowstyle": "->", "color": BLUE},
    )  # fmt: skip
    axes.text(center, middle + 0.2, value, ha="center", color=INK, fontsize=9)  # type: ignore[attr-defined]
    if with_gradient:
        axes.annotate(  # type: ignore[attr-defined]
            "", (left + 0.05, middle - 0.12), (right, middle - 0.12),
            arrowprops={"arrowstyle": "->", "color": ORANGE},
        )  # fmt: skip
