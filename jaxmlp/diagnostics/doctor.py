"""The doctor: from measurements to findings, each with its evidence and the lecture's remedy."""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxmlp.diagnostics.examine import Examination, examine
from jaxmlp.diagnostics.finding import Finding
from jaxmlp.diagnostics.rules import data as rules_data
from jaxmlp.diagnostics.rules import network as rules_network
from jaxmlp.diagnostics.rules import training as rules_training
from jaxmlp.losses import Loss
from jaxmlp.messages import check_language
from jaxmlp.networks import NetworkConfig, NetworkParams
from jaxmlp.training import FitResult
from jaxmlp.types import Key, ScalarLike, State

_RULES = (
    rules_network.symmetric_weights,
    rules_data.loss_mismatch,
    rules_data.unscaled_inputs,
    rules_data.unscaled_targets,
    rules_network.dead_units,
    rules_network.gradient_flow,
    rules_network.saturated_units,
    rules_training.learning_rate_too_large,
    rules_training.learning_rate_too_small,
    rules_data.ill_conditioning,
    rules_training.overfitting,
)


def diagnose(
    config: NetworkConfig,
    params: NetworkParams | FitResult,
    data: tuple[Any, Any],
    *,
    loss: str | Loss,
    optimizer: Any = None,
    state: State | None = None,
    validation_data: tuple[Any, Any] | None = None,
    batch_size: int | None = 64,
    l2: ScalarLike = 0.0,
    frozen: Iterable[int] = (),
    sample_weight: Any = None,
    loss_options: Mapping[str, ScalarLike] | None = None,
    trial_steps: int = 100,
    key: Key | None = None,
    language: str = "en",
) -> list[Finding]:
    """Look for what keeps a network from learning, before training or after it.

    Measured are: one training pass over up to 1024 examples (gradient flow, covariances), the
    activity of all units over all examples, and, given the optimizer, short trial runs at 0.01 to
    10,000 times its learning rate, in one compiled program. Nothing of the trials is kept.

    Args:
        config: the network; its initializer does not matter, the parameters do.
        params: its parameters; or what `fit` returned, whose history and status are read too.
        data: the training data, (x, y): (n, n_in) and targets as the loss takes them.
        loss: name of a loss, or a `Loss`.
        optimizer: the update rule; without one the learning rate is not judged.
        state: running statistics of batch normalization, for the validation loss and for frozen
            layers.
        validation_data: (x, y); without them overfitting is not judged.
        batch_size: rows a step in the trials.
        l2: weight of the penalty in the trials.
        frozen: layers that do not train, as given to `fit`: their gradients and weights are not
            judged, and stay in the trials.
        sample_weight: non-negative weights of the examples, (n,); rows of weight 0 are not there.
        loss_options: of the loss.
        trial_steps: length of a trial; 0 leaves trials out.
        key: random key of the trials' batches; None is `jax.random.key(0)`.
        language: of the findings, "en" or "vi"; `Finding.in_language` changes it later.

    Returns:
        The findings, the worst first; an empty list for a healthy network. `Severity.INFO` is no
        alarm.

    Raises:
        ValueError: for data that do not fit the network or the loss at all, or a language that is
            not known.

    Example:
        >>> import jax
        >>> import numpy as np
        >>> from jaxmlp import MLPConfig, init
        >>> from jaxmlp.initializers import constant
        >>> config = MLPConfig((2, 4, 1), activation="tanh", weight_init=constant(0.5))
        >>> data = np.array([[0.0, 1.0], [1.0, -1.0]]), np.array([0, 1])
        >>> findings = diagnose(config, init(config, jax.random.key(0)), data,
        ...                     loss="sigmoid_binary_cross_entropy")
        >>> [(finding.kind.value, finding.layer) for finding in findings]
        [('symmetric_weights', 0)]

    Reference: lecture, chapter VI.
    """
    check_language(language)
    exam = examine(
        config, params, data, loss=loss, optimizer=optimizer, state=state,
        validation_data=validation_data, batch_size=batch_size, l2=l2, frozen=frozen,
        sample_weight=sample_weight, loss_options=loss_options, trial_steps=trial_steps, key=key,
    )  # fmt: skip
    return [finding.in_language(language) for finding in findings(exam)]


def findings(exam: Examination) -> list[Finding]:
    """Draw the conclusions from an examination.

    Args:
        exam: from `examine`.

    Returns:
        The findings, the worst first.
    """
    found = rules_network.non_finite(exam)
    if exam.non_finite is None:
        for rule in _RULES:
            found += rule(exam)
    return sorted(found, key=lambda finding: -finding.severity)
