"""A grid search whose candidates and folds are trained together, in one program a shape."""

import time
from functools import wraps
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.validation import _num_samples

from jaxmlp.estimators.base import BaseMLP
from jaxmlp.estimators.joint import Trained, fit_key, last_step, train_all


class MLPSearchCV(GridSearchCV):
    """scikit-learn's GridSearchCV for our estimators, training all candidates and folds at once.

    Candidates whose networks have the same shape are one compiled program over (candidate, fold);
    everything else, from scoring to `cv_results_` and `refit`, is GridSearchCV's own. The steps of
    a Pipeline before the last are fitted once for each fold, on its training rows, and each setting
    of their own that the grid has; the folds then share a program, one after another.

    What cannot be trained so (solver="lbfgs", learning_rate="adaptive", ensembles, callbacks,
    preprocessing="auto", other arguments of the network's `fit` than sample_weight, parameters that
    cannot be pickled, such as a lambda, and metadata routing) is fitted one by one.

    Args:
        estimator: an MLPClassifier or MLPRegressor, or a Pipeline that ends in one.
        param_grid: parameter -> values, or a list of such dicts.
        scoring: as for GridSearchCV.
        refit: whether to fit the best candidate on all rows.
        cv: folds, as for GridSearchCV.
        verbose: as for GridSearchCV.
        error_score: the score of a candidate that could not be fitted, or "raise".
        return_train_score: whether to score the training rows, too.

    Attributes:
        cv_results_, best_params_, best_score_, best_estimator_, best_index_, scorer_, n_splits_,
            refit_time_, multimetric_: as GridSearchCV's. `mean_fit_time` is each fit's share of
            the time that its program took.

    Raises:
        TypeError: from `fit`, for another estimator.

    Differences: `n_jobs` and `pre_dispatch` are absent, since the program uses all processors.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from jaxmlp.estimators import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(solver="sgd", max_iter=60, tol=0, random_state=0)
        >>> search = MLPSearchCV(model, {"learning_rate_init": [1e-6, 0.05]}, cv=3)
        >>> import warnings
        >>> with warnings.catch_warnings():  # 60 epochs are few
        ...     warnings.simplefilter("ignore")
        ...     search.fit(X, y).best_params_
        {'learning_rate_init': 0.05}
    """

    n_jobs = None
    pre_dispatch = "2*n_jobs"

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        """Keep the parameters; `fit` checks them."""
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.error_score = error_score
        self.return_train_score = return_train_score

    def fit(self, X: Any, y: Any = None, **params: Any) -> "MLPSearchCV":
        """Train all candidates on all folds, score them, and refit the best.

        Args:
            X: features, (n, n_features).
            y: targets, (n,) or (n, n_outputs).
            params: of the estimator's `fit`, such as sample_weight (mlpclassifier__sample_weight in
                a Pipeline); and `groups` for the splitter.

        Returns:
            The search itself.
        """
        _check_trainable(self.estimator)
        if get_config()["enable_metadata_routing"]:
            return super().fit(X, y, **params)
        X, y = indexable(X, y)
        groups = params.pop("groups", None)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        rows = np.arange(_num_samples(X))
        folds = [(rows[train], rows[test]) for train, test in splitter.split(X, y, groups)]
        begin = time.perf_counter()
        trained = train_all(self.estimator, ParameterGrid(self.param_grid), folds, X, y, params)
        share = (time.perf_counter() - begin) / max(1, len(trained))
        inner = GridSearchCV(
            _recalling(self.estimator, trained),
            self.param_grid,
            scoring=self.scoring,
            refit=self.refit,
            cv=folds,
            verbose=self.verbose,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
        ).fit(X, y, _rows=rows, **params)
        found = {name: value for name, value in vars(inner).items() if name.endswith("_")}
        self.__dict__.update(found)
        self.cv_results_["mean_fit_time"] = self.cv_results_["mean_fit_time"] + share
        if hasattr(self, "best_estimator_"):
            self.best_estimator_.__class__ = type(self.estimator)
        if self.scoring is None:  # the inner one holds an estimator that recalls
            self.scorer_ = check_scoring(self.estimator)
        return self


def _check_trainable(estimator: Any) -> None:
    if isinstance(last_step(estimator), BaseMLP):
        return
    named = f"a {type(last_step(estimator)).__name__}"
    if isinstance(estimator, Pipeline):
        named = f"a Pipeline that ends in {named}"
    raise TypeError(
        "MLPSearchCV trains MLPClassifier and MLPRegressor of jaxmlp, alone or at the end of a "
        f"Pipeline, but estimator is {named}. Use scikit-learn's GridSearchCV for it."
    )


def _recalling(estimator: Any, trained: Trained) -> Any:
    """Return a copy of the estimator whose `fit` recalls what was trained on the same rows."""
    kind = type(estimator)

    @wraps(kind.fit)
    def fit(self: Any, X: Any, y: Any = None, *, _rows: np.ndarray, **params: Any) -> Any:
        known = trained.pop(fit_key(self, _rows), None)
        if isinstance(known, Exception):
            raise known
        if known is None:
            return kind.fit(self, X, y, **params)
        vars(self).update(vars(known))
        return self

    recalling = clone(estimator)
    recalling.__class__ = type(kind.__name__, (kind,), {"fit": fit, "__module__": kind.__module__})
    return recalling
