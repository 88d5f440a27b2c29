"""Calibration: are answers of 80% confidence right in 80% of the cases? If not, the cure."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxmlp.losses import get_loss
from jaxmlp.models.inference import class_probabilities, infer
from jaxmlp.models.model import Model, NetworkLike, as_model, single_network
from jaxmlp.networks import layers_of
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.tabular_network import mean_logits, member_logits

_INVERSE_RANGE = (1e-3, 1e3)  # of 1/T: outside, the validation data do not determine it


class Reliability(NamedTuple):
    """Predictions sorted into bins of confidence, the largest probability of a row.

    Attributes:
        confidence: mean of each bin that has rows, (bins,).
        accuracy: share of right answers in it, (bins,).
        rows: number of rows in it, (bins,).
    """

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    rows: Int[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """The expected calibration error: mean |confidence - accuracy| over rows, in [0, 1]."""
        gap = np.abs(self.confidence - self.accuracy)
        return float(np.sum(self.rows * gap) / np.sum(self.rows))


def reliability(
    probabilities: Float[np.ndarray, "rows classes"], y: Int[np.ndarray, " rows"], bins: int = 15
) -> Reliability:
    """Measure how often answers of each confidence are right.

    Args:
        probabilities: (rows, classes), or (rows, 1) for two classes.
        y: class indices, (rows,).
        bins: number of intervals of equal width on [0, 1].

    Returns:
        What each bin with rows in it holds.

    Raises:
        ValueError: if the numbers of rows differ or are 0, or bins is below 1.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.9, 0.1]])
        >>> found = reliability(p, np.array([0, 1]))
        >>> found.confidence.tolist(), found.accuracy.tolist(), round(found.error, 3)
        ([0.9], [0.5], 0.4)

    Reference: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, 2017, arXiv
    1706.04599.
    """
    p, y = class_probabilities(np.asarray(probabilities, np.float64)), np.asarray(y)
    if len(p) == 0 or y.shape != (len(p),):
        raise ValueError(f"there are {len(p)} rows of probabilities, but y has shape {y.shape}.")
    if bins < 1:
        raise ValueError(f"bins is {bins}; give at least 1.")
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    filled = count > 0

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(bin_of, values, minlength=bins)[filled] / count[filled]

    return Reliability(mean(confidence), mean(right.astype(float)), count[filled])


def fit_temperature(logits: Float[np.ndarray, "rows n_out"], y: Int[np.ndarray, " rows"]) -> float:
    """Find the temperature T that makes softmax(logits / T) most likely.

    The mean loss is convex in 1/T; its derivative, mean_i (sum_k p_ik o_ik - o_i,y_i), is 0 at the
    best one. T > 1: the network was too sure of itself.

    Args:
        logits: of data the network did not learn from, (rows, classes), or (rows, 1) for two.
        y: class indices, (rows,).

    Returns:
        T, in float64.

    Raises:
        ValueError: if no T is best: all rows are right by a margin (T = 0 would be), or the
            logits say nothing about y.

    Example:
        >>> logits = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
        >>> T = fit_temperature(logits, np.array([0, 0, 0, 1]))
        >>> round(float(1 / (1 + np.exp(-2 / T))), 6)  # three of four were right
        0.75

    Reference: Guo et al., 2017, arXiv 1706.04599, section 4.2.
    """
    import scipy.optimize  # here, for every start would wait a quarter of a second for it
    import scipy.special

    o = np.asarray(logits, np.float64)
    if o.shape[1] == 1:
        o = np.hstack([np.zeros_like(o), o])
    y = np.asarray(y)
    if y.shape != (len(o),) or y.dtype.kind not in "iub":
        raise ValueError(f"y has shape {y.shape} and dtype {y.dtype}; pass {len(o)} class indices.")
    reached = o[np.arange(len(o)), y.astype(int)]

    def slope(inverse: float) -> float:
        p = scipy.special.softmax(inverse * o, axis=1)
        return float(np.mean(np.sum(p * o, axis=1) - reached))

    low, high = _INVERSE_RANGE
    if slope(low) >= 0 or slope(high) <= 0:
        why = "say nothing about y" if slope(low) >= 0 else "are all right by a margin"
        raise ValueError(
            f"no temperature can be fitted: the {len(o)} rows {why}. Use more rows that the "
            "network did not learn from."
        )
    return 1 / float(scipy.optimize.brentq(slope, low, high, xtol=1e-12))


def calibrate(
    model: NetworkLike, x: Float[np.ndarray, "rows n_in"], y: Int[np.ndarray, " rows"]
) -> tuple[Model, float]:
    """Divide a classifier's logits by the temperature that suits validation data.

    The division goes into the last layer, W / T and b / T, so that the model stays a plain
    network: predictions keep their class, probabilities become honest.

    Args:
        model: a classifier.
        x: inputs as the network takes them, from `prepare`, (rows, n_in); not training data.
        y: class indices, (rows,).

    Returns:
        The calibrated model, and T.

    Raises:
        ValueError: for a regression or several yes/no questions at once, and as
            `fit_temperature` does.

    Example:
        >>> from jaxmlp import MLPConfig, init
        >>> config = MLPConfig((2, 3))
        >>> model = Model(config, init(config, jax.random.key(0)))
        >>> x = np.random.default_rng(0).normal(size=(99, 2)).astype(np.float32)
        >>> calibrated, T = calibrate(model, x, infer(model, x).argmax(axis=1) * (x[:, 0] > -1))
        >>> bool(np.allclose(calibrated.params[-1].W * T, model.params[-1].W))
        True

    Reference: Guo et al., 2017, arXiv 1706.04599, section 4.2.
    """
    model = single_network(as_model(model))
    several = model.loss == "sigmoid_binary_cross_entropy" and model.config.layer_sizes[-1] > 1
    if (model.class_names is None and "cross_entropy" not in model.loss) or several:
        raise ValueError(
            f"calibration needs a classifier that picks one class, but the loss is {model.loss!r}"
            f"{' with several outputs' if several else ''}."
        )
    if isinstance(model.config, TabularConfig):
        T = _fit_members_temperature(model, x, y)
    else:
        T = fit_temperature(infer(model, x, output="logits"), y)
    *below, head = layers_of(model.params)
    head = jax.tree.map(lambda leaf: leaf / np.asarray(T, leaf.dtype), head)
    params = (*below, head)
    if isinstance(model.config, TabularConfig):
        params = model.params._replace(layers=params)
    return model._replace(params=params, metrics={**model.metrics, "temperature": T}), T


def _fit_members_temperature(model: Model, x: np.ndarray, y: np.ndarray) -> float:
    """Find the temperature of every member's logits that makes their mean prediction likeliest."""
    from scipy.optimize import minimize_scalar  # here, for it takes long to import

    config, loss = model.config, get_loss(model.loss)
    targets = jnp.asarray(y if config.layer_sizes[-1] > 1 else y.astype(np.float32)[:, None])
    logits = member_logits(config, model.params, jnp.asarray(x), state=model.state)

    @jax.jit
    def mean_loss(log_T: Any) -> Any:
        outputs = mean_logits(config, logits / jnp.exp(log_T).astype(logits.dtype))
        return jnp.mean(loss.value_and_grad(outputs, targets)[0])

    found = minimize_scalar(
        lambda log_T: float(mean_loss(jnp.float32(log_T))), bounds=(-3, 3), method="bounded"
    )
    return float(np.exp(found.x))
