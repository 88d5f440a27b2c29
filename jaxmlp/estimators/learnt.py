"""What an estimator remembers of its fits, under scikit-learn's names."""

from typing import Any

import numpy as np

from jaxmlp.config import MLPConfig
from jaxmlp.estimators.job import FitJob, FitOutcome
from jaxmlp.estimators.weights import stack, to_attributes
from jaxmlp.losses import get_loss

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)

_LEARNT = (
    "coefs_", "intercepts_", "batch_norm_", "_optimizer", "history_", "loss_curve_",
    "validation_scores_", "validation_loss_curve_", "best_validation_score_", "best_loss_",
)  # fmt: skip

_OUT_ACTIVATIONS = {
    "softmax_cross_entropy": "softmax",
    "sigmoid_binary_cross_entropy": "logistic",
    "poisson": "exp",
    "squared_error": "identity",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "identity",
}


def forget(estimator: Any, config: MLPConfig) -> None:
    """Start anew: nothing seen, nothing recorded."""
    estimator.n_iter_ = estimator.t_ = 0
    estimator.n_layers_ = len(config.layer_sizes)
    loss = get_loss(estimator._find_loss()).name
    estimator.out_activation_ = _OUT_ACTIVATIONS.get(loss, "custom")
    for name in _LEARNT:
        estimator.__dict__.pop(name, None)


def forget_curves(estimator: Any) -> None:
    """Have no epoch recorded."""
    estimator.loss_curve_ = []
    estimator._no_improvement_count = 0
    estimator.validation_scores_ = [] if estimator.early_stopping else None
    estimator.validation_loss_curve_ = None
    estimator.best_validation_score_ = -np.inf if estimator.early_stopping else None
    estimator.best_loss_ = None if estimator.early_stopping else np.inf


def check_goes_on(estimator: Any, config: MLPConfig) -> None:
    """Refuse to go on from the weights of another network."""
    # The attributes are what counts: whoever sets `coefs_` sets the network.
    shapes = [W.shape for W in estimator.coefs_]
    sizes = (shapes[0][-2], *(shape[-1] for shape in shapes))
    norms = getattr(estimator, "batch_norm_", [None] * len(shapes))
    normalized = tuple(norm is not None for norm in norms)
    n_members = shapes[0][0] if len(shapes[0]) == 3 else 1
    changes = [
        f"{name} was {before}, is {now}"
        for name, before, now in (
            ("the network's sizes", sizes, config.layer_sizes),
            ("batch_norm", normalized, config.normalized),
            ("n_ensemble", n_members, estimator.n_ensemble),
        )
        if before != now
    ]
    if changes:
        raise ValueError(
            "warm_start and partial_fit go on from the weights there are, but "
            f"{' and '.join(changes)}. Set warm_start=False to begin anew."
        )


def remember(estimator: Any, job: FitJob, outcomes: list[FitOutcome]) -> None:
    """Keep what training found, under scikit-learn's names."""
    single = len(outcomes) == 1
    params, state = (outcomes[0] if single else stack([o[:2] for o in outcomes]))[:2]
    estimator.__dict__.update(to_attributes(params, state))
    estimator.n_iter_ = max(outcome.n_iter for outcome in outcomes)
    if estimator.solver == "lbfgs":
        estimator.loss_ = float(np.mean([outcome.loss for outcome in outcomes]))
    else:
        _remember_curves(estimator, job, outcomes)
    leaves = (leaf for layers in (estimator.coefs_, estimator.intercepts_) for leaf in layers)
    if not all(np.isfinite(leaf).all() for leaf in leaves) or any(o.lost for o in outcomes):
        raise ValueError(_NOT_FINITE)


def _remember_curves(estimator: Any, job: FitJob, outcomes: list[FitOutcome]) -> None:
    estimator.t_ += estimator.n_iter_ * len(job.rows.x)
    table = _mean_table([outcome.table for outcome in outcomes])
    history = dict(zip(job.columns, table.T, strict=True))
    estimator.loss_curve_ = [*estimator.loss_curve_, *history["train_loss"].tolist()]
    estimator.loss_ = estimator.loss_curve_[-1]
    past: dict[str, np.ndarray] = getattr(estimator, "history_", {})
    first = 1 + (past["epoch"][-1] if past else 0)
    history["epoch"] = np.arange(first, first + len(table))
    if past.keys() == history.keys():
        estimator.history_ = {name: np.concatenate([past[name], history[name]]) for name in past}
    else:
        estimator.history_ = history
    if job.validation is not None:
        score = "accuracy" if estimator._task == "classification" else "r2"
        for attribute, column in (("scores", score), ("loss_curve", "loss")):
            curve = getattr(estimator, f"validation_{attribute}_") or []
            curve = [*curve, *history[f"validation_{column}"].tolist()]
            setattr(estimator, f"validation_{attribute}_", curve)
    if estimator.early_stopping:
        finite = [s for s in estimator.validation_scores_ or [] if np.isfinite(s)]
        estimator.best_validation_score_ = max(finite, default=-np.inf)
    else:
        estimator.best_loss_ = min(estimator.loss_curve_)
    estimator._no_improvement_count = outcomes[0].waited
    estimator._optimizer = outcomes[0].optimizer


def _mean_table(tables: list[np.ndarray]) -> np.ndarray:
    """Average the members' metrics epoch by epoch, over those that still trained."""
    if len(tables) == 1:
        return tables[0]
    longest = max(len(table) for table in tables)
    padded = [np.pad(t, ((0, longest - len(t)), (0, 0)), constant_values=np.nan) for t in tables]
    return np.nanmean(np.stack(padded), axis=0)
