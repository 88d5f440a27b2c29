"""A grid search whose candidates and folds are trained together, in one program a shape."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.utils import _safe_indexing, indexable

from jaxmlp.estimators.base import BaseMLP
from jaxmlp.estimators.classifier import MLPClassifier
from jaxmlp.estimators.learnt import remember
from jaxmlp.estimators.regressor import MLPRegressor
from jaxmlp.estimators.rows import device_features
from jaxmlp.estimators.stochastic import StochasticRun
from jaxmlp.estimators.train import at_once, fits_with, train_together
from jaxmlp.training.data import TrainData

_MEMBERS_AT_ONCE = 256  # more would only need more memory


class MLPSearchCV(GridSearchCV):
    """scikit-learn's GridSearchCV for our estimators, training all candidates and folds at once.

    Candidates whose networks have the same shape are one compiled program over (candidate, fold);
    everything else, from scoring to `cv_results_` and `refit`, is GridSearchCV's own. What cannot
    be trained so (solver="lbfgs", learning_rate="adaptive", ensembles, callbacks,
    preprocessing="auto", other arguments of `fit` than sample_weight) is fitted one by one.

    Args:
        estimator: an MLPClassifier or MLPRegressor.
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
            params: of the estimator's `fit`, such as sample_weight; and `groups` for the splitter.

        Returns:
            The search itself.
        """
        if not isinstance(self.estimator, BaseMLP):
            raise TypeError(
                f"MLPSearchCV trains MLPClassifier and MLPRegressor of jaxmlp, but estimator is a "
                f"{type(self.estimator).__name__}. Use scikit-learn's GridSearchCV for it."
            )
        X, y = indexable(X, y)
        groups = params.pop("groups", None)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        folds = list(splitter.split(X, y, groups))
        begin = time.perf_counter()
        trained = _train_all(self.estimator, ParameterGrid(self.param_grid), folds, X, y, params)
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
        ).fit(X, y, **params)
        found = {name: value for name, value in vars(inner).items() if name.endswith("_")}
        self.__dict__.update(found)
        self.cv_results_["mean_fit_time"] = self.cv_results_["mean_fit_time"] + share
        if hasattr(self, "best_estimator_"):
            self.best_estimator_.__class__ = type(self.estimator)
        if self.scoring is None:  # the inner one holds an estimator that recalls
            self.scorer_ = check_scoring(self.estimator)
        return self


_Trained = dict[str, BaseMLP | Exception]
"""Fitted estimators, or why there is none, by the fingerprint of parameters and data."""


def _fingerprint(estimator: BaseMLP, X: Any, y: Any, sample_weight: Any) -> str:
    parameters = sorted(estimator.get_params(deep=False).items())
    return str(joblib.hash((parameters, X, y, sample_weight)))


def _recalling(estimator: BaseMLP, trained: _Trained) -> BaseMLP:
    """Return a copy of the estimator whose `fit` recalls what was trained on the same data."""
    kind = type(estimator)

    def fit(self: Any, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Any:
        key = _fingerprint(self, X, y, sample_weight)
        known = None if params else trained.pop(key, None)
        if isinstance(known, Exception):
            raise known
        if known is None:
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            return kind.fit(self, X, y, **weights, **params)
        vars(self).update(vars(known))
        return self

    recalling = type(kind.__name__, (kind,), {"fit": fit, "__module__": kind.__module__})
    return recalling(**clone(estimator).get_params(deep=False))


def _train_all(
    estimator: BaseMLP, candidates: Any, folds: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> _Trained:
    """Train what can be trained together; leave out the rest."""
    own_fit = type(estimator).fit not in (MLPClassifier.fit, MLPRegressor.fit)
    if own_fit or not set(params) <= {"sample_weight"} or hasattr(X, "toarray"):
        return {}
    trained: _Trained = {}
    estimator = clone(estimator)
    estimator._dtype = estimator._find_dtype(X)
    with estimator._arithmetic():
        features = _shared_features(estimator, X)
        groups: dict[Any, list[tuple[str, StochasticRun]]] = defaultdict(list)
        for member, rows in _members(estimator, candidates, folds):
            parts = [
                None if a is None else _safe_indexing(a, rows)
                for a in (X, y, params.get("sample_weight"))
            ]
            key = _fingerprint(member, *parts)
            try:
                job = member._prepare(*parts, places=np.asarray(rows))
                run = StochasticRun(job, *job.starts[0], features)
            except Exception as error:
                trained[key] = error
                continue
            groups[fits_with(run.run), job.last_epoch].append((key, run))
        for group in groups.values():
            for start in range(0, len(group), _MEMBERS_AT_ONCE):
                _train_group(group[start : start + _MEMBERS_AT_ONCE], trained)
    return trained


def _members(estimator: BaseMLP, candidates: Any, folds: Any) -> Iterator[tuple[BaseMLP, Any]]:
    """Yield a fresh estimator for each candidate and fold that can be trained with others."""
    for candidate in candidates:
        for train_rows, _ in folds:
            member = clone(estimator).set_params(**clone(candidate, safe=False))
            alone = (
                member.n_ensemble != 1
                or member.callbacks
                or member.preprocessing is not None
                or (member.dtype, member.device) != (estimator.dtype, estimator.device)
                or hasattr(member, "_skl_callbacks")
                or not at_once(member)
            )
            member._dtype = estimator._dtype
            if not alone:
                yield member, train_rows


def _shared_features(estimator: BaseMLP, X: Any) -> TrainData:
    """Put all rows on the device once; each fold reads its own."""
    x = np.asarray(X)
    with np.errstate(over="ignore"):
        return device_features(x.astype(estimator._dtype, copy=False))


def _train_group(group: list[tuple[str, StochasticRun]], trained: _Trained) -> None:
    outcomes = train_together([run for _, run in group])
    for (key, run), outcome in zip(group, outcomes, strict=True):
        try:
            remember(run.estimator, run.job, [outcome])
            trained[key] = run.estimator
        except ValueError as error:
            trained[key] = error
