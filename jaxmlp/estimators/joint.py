"""Candidates of a grid and folds, prepared and trained together."""

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pickle import PicklingError
from typing import Any, NamedTuple

import joblib  # type: ignore[import-untyped]
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params, _num_samples

from jaxmlp.estimators.base import BaseMLP
from jaxmlp.estimators.classifier import MLPClassifier
from jaxmlp.estimators.learnt import remember
from jaxmlp.estimators.regressor import MLPRegressor
from jaxmlp.estimators.rows import device_features
from jaxmlp.estimators.stochastic import StochasticRun
from jaxmlp.estimators.train import at_once, fits_with, train_together

_MEMBERS_AT_ONCE = 256  # more would only need more memory

Trained = dict[Any, BaseEstimator | Exception]
"""Fitted estimators, or why there is none, by `fit_key`."""


class _Member(NamedTuple):
    """One candidate on one fold.

    Attributes:
        key: what its result is found by.
        whole: what is asked for: the network's estimator itself, or the Pipeline that ends in it.
        network: the estimator to be trained.
        data: (X, y, sample_weight) that it is to be trained on; the last may be None.
        places: numbers of these rows in the features that the members share.
    """

    key: Any
    whole: BaseEstimator
    network: BaseMLP
    data: tuple[Any, Any, Any]
    places: np.ndarray


def last_step(estimator: Any) -> Any:
    """Return the last step of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def fit_key(estimator: BaseEstimator, rows: np.ndarray) -> Any:
    """Name a fit of these parameters to these rows; None where a parameter cannot be pickled."""
    parameters = _hash(sorted(estimator.get_params(deep=False).items()))
    return parameters and (parameters, joblib.hash(rows))


def _hash(value: Any) -> str | None:
    try:
        return str(joblib.hash(value))
    except PicklingError:
        return None


def train_all(
    estimator: Any, grid: Iterable[Any], folds: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> Trained:
    """Train what can be trained together; leave out the rest.

    Args:
        estimator: an MLPClassifier or MLPRegressor, or a Pipeline that ends in one.
        grid: the candidates' parameters.
        folds: (training rows, validation rows) of each.
        X: features of all rows.
        y: their targets.
        params: of the estimator's `fit`, for all rows.
    """
    trained: Trained = {}
    if any(hasattr(part, "_skl_callbacks") for part in (estimator, last_step(estimator))):
        return trained
    candidates = [clone(estimator).set_params(**clone(values, safe=False)) for values in grid]
    candidates = [c for c in candidates if _trains_with_others(last_step(c))]
    if isinstance(estimator, Pipeline):
        alike = defaultdict(list)
        for candidate in candidates:
            alike[_hash(candidate.steps[:-1])].append(candidate)
        for preparation, pipelines in alike.items():
            for rows, _ in folds if preparation else ():
                parts = _parts(X, y, params, rows)
                _train_sharing(_prepared(pipelines, rows, parts, trained), None, trained)
    elif set(params) <= {"sample_weight"}:
        _train_sharing(_members(candidates, folds, X, y, params), X, trained)
    return trained


def _trains_with_others(network: Any) -> bool:
    """Whether the candidate is one network whose steps do not depend on its progress."""
    return (
        type(network).fit in (MLPClassifier.fit, MLPRegressor.fit)
        and network.n_ensemble == 1
        and not network.callbacks
        and network.preprocessing is None
        and at_once(network)
    )


def _parts(X: Any, y: Any, params: Mapping[str, Any], rows: np.ndarray) -> tuple[Any, Any, Any]:
    """Return what `fit` is given for these rows: features, targets, and the rest by name."""
    x_rows, y_rows = (None if a is None else _safe_indexing(a, rows) for a in (X, y))
    return x_rows, y_rows, _check_method_params(X, params, indices=rows)


def _members(
    candidates: list[Any], folds: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> Iterator[_Member]:
    """Yield the candidates' networks for each fold, which reads its rows of X."""
    for rows, _ in folds:
        x_rows, y_rows, rest = _parts(X, y, params, rows)
        data = (x_rows, y_rows, rest.get("sample_weight"))
        for candidate in candidates:
            network, key = clone(candidate), fit_key(candidate, rows)
            yield _Member(key, network, network, data, rows)


class _Recipient(BaseEstimator):
    """Stands at the end of a Pipeline and keeps what the last step is given."""

    def fit(self, X: Any, y: Any = None, **params: Any) -> "_Recipient":
        self.given = X, y, params
        return self


def _prepared(
    pipelines: list[Pipeline], rows: np.ndarray, parts: tuple[Any, Any, Any], trained: Trained
) -> Iterator[_Member]:
    """Fit the preparation that pipelines have in common, and yield the networks that follow it."""
    name, recipient = pipelines[0].steps[-1][0], _Recipient()
    common = clone(pipelines[0])
    common.steps[-1] = (name, recipient)
    keys = [fit_key(pipeline, rows) for pipeline in pipelines]
    try:
        common.fit(*parts[:2], **parts[2])
    except Exception as error:
        trained.update(dict.fromkeys(keys, error))
        return
    x, y, params = recipient.given
    if not set(params) <= {"sample_weight"}:
        return
    data, places = (x, y, params.get("sample_weight")), np.arange(_num_samples(x))
    for key, pipeline in zip(keys, pipelines, strict=True):
        network, whole = clone(pipeline.steps[-1][1]), copy.copy(common)
        whole.steps = [*common.steps[:-1], (name, network)]
        yield _Member(key, whole, network, data, places)


def _train_sharing(members: Iterable[_Member], X: Any, trained: Trained) -> None:
    """Train members whose rows are rows of X; of their own X, if None is given."""
    groups = defaultdict(list)
    for member in members:
        if member.key is not None:
            network = member.network
            network._dtype = network._find_dtype(member.data[0])
            groups[network._dtype, network.device].append(member)
    for group in groups.values():
        with group[0].network._arithmetic():
            _train_group(group, group[0].data[0] if X is None else X, trained)


def _train_group(members: list[_Member], X: Any, trained: Trained) -> None:
    """Train members of one dtype on one device."""
    features = None
    programs: dict[Any, list[tuple[_Member, StochasticRun]]] = defaultdict(list)
    for member in members:
        try:
            job = member.network._prepare(*member.data, places=member.places)
            if features is None:  # not before the network has accepted them
                dense = X if hasattr(X, "toarray") else np.asarray(X)
                features = device_features(member.network._narrow(dense))
            run = StochasticRun(job, *job.starts[0], features)
        except Exception as error:
            trained[member.key] = error
            continue
        programs[fits_with(run.run), job.last_epoch].append((member, run))
    for group in programs.values():
        for start in range(0, len(group), _MEMBERS_AT_ONCE):
            _train_program(group[start : start + _MEMBERS_AT_ONCE], trained)


def _train_program(group: list[tuple[_Member, StochasticRun]], trained: Trained) -> None:
    outcomes = train_together([run for _, run in group])
    for (member, run), outcome in zip(group, outcomes, strict=True):
        try:
            remember(member.network, run.job, [outcome])
            trained[member.key] = member.whole
        except ValueError as error:
            trained[member.key] = error
