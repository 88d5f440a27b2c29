"""Deep ensembles: the same network from several starts, and what their disagreement says."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxmlp.blocks import map_blocks
from jaxmlp.losses import LOSSES, Loss, get_loss
from jaxmlp.networks import NetworkConfig, functions_of
from jaxmlp.sweeps.results import SweepResult
from jaxmlp.sweeps.spec import SweepOptions
from jaxmlp.sweeps.sweep import sweep
from jaxmlp.training.stopping import FitStatus
from jaxmlp.types import Key, State


class Prediction(NamedTuple):
    """What an ensemble predicts; B rows, C outputs.

    Attributes:
        mean: average over the members of the predictions (probabilities, rates, amounts), (B, C).
        variance: of the members' predictions, (B, C).
        entropy: of the mean, in nats, (B,); NaN in regression.
        disagreement: entropy of the mean minus mean entropy, in nats, (B,): the mutual information
            of label and member, which is large where more data would help; NaN in regression.
    """

    mean: Float[np.ndarray, "batch n_out"]
    variance: Float[np.ndarray, "batch n_out"]
    entropy: Float[np.ndarray, " batch"]
    disagreement: Float[np.ndarray, " batch"]


@dataclass(frozen=True)
class Ensemble:
    """Trained members, stacked.

    Attributes:
        config: the network of each member, an `MLPConfig` or a `TabularConfig`.
        loss: the loss, whose link turns logits into predictions.
        params: parameters with a leading axis (members,).
        state: running statistics likewise, or ().
        training: the sweep that trained them.
    """

    config: Any
    loss: Loss
    params: Any = field(repr=False)
    state: State = field(repr=False)
    training: SweepResult

    def predict(self, x: Any) -> Prediction:
        """Average the members' predictions, and measure how far they are apart.

        Args:
            x: examples in rows, (B, n_in), any number of them.

        Returns:
            The prediction, on the host.

        Raises:
            ValueError: if `x` does not fit the network.

        Reference: Lakshminarayanan et al., 2017, arXiv 1612.01474; Depeweg et al., 2018,
        arXiv 1710.07283 (the decomposition of the entropy).
        """
        x = np.asarray(x, self.config.dtype)
        compute = partial(_predict_block, self.config, self.loss, self.params, self.state)
        return Prediction(*map_blocks(compute, x))


def ensemble(
    config: NetworkConfig,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    n_members: int = 10,
    epochs: int,
    key: Key,
    **options: Unpack[SweepOptions],
) -> Ensemble:
    """Train several networks that differ in their initial weights and their batches.

    Args:
        config: the network.
        data: (x, y), as in `fit`.
        loss: name of a loss, or a `Loss`.
        n_members: how many.
        epochs: passes over the data.
        key: random key.
        options: as in `sweep`; an optimizer's factory is called without arguments.

    Returns:
        The ensemble, without members that diverged.

    Raises:
        ValueError: if all members diverged, and as `sweep`.

    Example:
        >>> import jaxmlp
        >>> from jaxmlp import MLPConfig
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> found = ensemble(MLPConfig((2, 8, 1)), (x, (x[:, 0] > 0).astype(int)), epochs=20,
        ...                  loss="sigmoid_binary_cross_entropy", key=jax.random.key(0),
        ...                  n_members=6, optimizer=jaxmlp.adam(0.05))
        >>> prediction = found.predict([[3.0, 0.0], [0.0, 0.0]])
        >>> bool(prediction.mean[0, 0] > 0.9), bool(np.all(np.diff(prediction.entropy) > 0))
        (True, True)

    Reference: Lakshminarayanan et al., 2017, arXiv 1612.01474.
    """
    kept: SweepOptions = {**options, "keep": "all"}
    result = sweep(
        config, data, loss=loss, grid={"seed": range(n_members)}, epochs=epochs, key=key,
        **kept,
    )  # fmt: skip
    sound = [
        i
        for i, status in enumerate(result.status)
        if status is not FitStatus.DIVERGED or result.best_epoch[i] > 0
    ]
    if not sound:
        raise ValueError(
            f"all {n_members} members diverged; use a smaller learning rate, or clip the gradient."
        )
    learnt = [result.learnt[i] for i in sound]
    params, state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *learnt)
    return Ensemble(config, get_loss(loss), params, state, result)


@partial(jax.jit, static_argnames="loss")
def _predict_block(
    config: NetworkConfig, loss: Loss, params: Any, state: State, x: Float[Array, "batch n_in"]
) -> tuple[Array, ...]:
    predict = functions_of(config).predict

    def member(params: Any, state: State) -> Array:
        linked: Array = loss.link(predict(config, params, x, state=state))
        return linked

    each = jax.vmap(member)(params, state)
    mean, variance = jnp.mean(each, axis=0), jnp.var(each, axis=0)
    if loss.task != "classification":
        nothing = jnp.full(len(x), jnp.nan, mean.dtype)
        return mean, variance, nothing, nothing
    is_distribution = loss.link is LOSSES["softmax_cross_entropy"].link
    total, own = _entropy(mean, is_distribution), _entropy(each, is_distribution)
    return mean, variance, total, total - jnp.mean(own, axis=0)


def _entropy(p: Float[Array, "... n_out"], is_distribution: bool) -> Float[Array, "..."]:
    """-sum p ln p in nats; of each output on its own where they are questions, not classes."""
    terms = jax.scipy.special.xlogy(p, p)
    if not is_distribution:
        terms += jax.scipy.special.xlogy(1 - p, 1 - p)
    return -jnp.sum(terms, axis=-1)
