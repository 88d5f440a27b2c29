"""scikit-learn's MLP, without its penalty and its early end; and its grid search."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .problem import REGRESSION, Fit, Problem, Weights


def estimator(problem: Problem, seed: int) -> Any:
    """Make the estimator: Adam, all epochs, no penalty."""
    kind = MLPRegressor if problem.loss == REGRESSION else MLPClassifier
    return kind(
        hidden_layer_sizes=problem.layer_sizes[1:-1],
        alpha=0.0,
        batch_size=problem.batch_size,
        learning_rate_init=problem.learning_rate,
        max_iter=problem.epochs,
        tol=0.0,
        n_iter_no_change=problem.epochs,
        random_state=seed,
    )


def mlp(problem: Problem) -> Fit:
    """`MLPClassifier` or `MLPRegressor`."""

    def fit(seed: int) -> Weights:
        model = estimator(problem, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it ends at max_iter, as asked
            model.fit(problem.x, problem.y)
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
        if problem.loss != REGRESSION and layers[-1][0].shape[1] == 1:
            # Two classes have one output there: a sigmoid of z is a softmax of (0, z).
            W, b = layers[-1]
            layers[-1] = np.pad(W, ((0, 0), (1, 0))), np.pad(b, (1, 0))
        return layers

    return fit


def with_weights(layer_sizes: Sequence[int], weights: Weights) -> MLPClassifier:
    """Make a fitted classifier of given weights; a step of training makes its other attributes."""
    rows = np.zeros((layer_sizes[-1], layer_sizes[0]), np.float32)
    model = MLPClassifier(layer_sizes[1:-1])
    model.partial_fit(rows, np.arange(len(rows)), classes=np.arange(len(rows)))
    model.coefs_ = [W for W, _ in weights]
    model.intercepts_ = [b for _, b in weights]
    return model


def grid_search(
    problem: Problem,
    rates: Sequence[float],
    penalties: Sequence[float],
    folds: int,
    n_jobs: int | None = 2,
) -> float:
    """Cross-validate the grid with `GridSearchCV`; return the mean accuracy.

    alpha is divided by the rows of a batch, so that alpha = l2 x batch size is the penalty l2.
    """
    grid = {
        "learning_rate_init": list(rates),
        "alpha": [penalty * problem.batch_size for penalty in penalties],
    }
    search = GridSearchCV(estimator(problem, 0), grid, cv=folds, n_jobs=n_jobs, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(problem.x, problem.y)
    return float(np.mean(search.cv_results_["mean_test_score"]))
