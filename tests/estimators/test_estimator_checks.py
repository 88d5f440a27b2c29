"""scikit-learn's checks of what an estimator must do, all of them."""

from typing import Any

import pytest

pytest.importorskip("sklearn", minversion="1.9")
from sklearn.utils import estimator_checks

from jaxmlp.estimators import MLPClassifier, MLPRegressor

NARROW = {
    "check_sample_weight_equivalence_on_dense_data": "equal to 1e-7 is asked for",
    "check_sample_weight_equivalence_on_sparse_data": "equal to 1e-7 is asked for",
    "check_regressor_multioutput": "predictions in float64 are asked for",
}
"""Checks that float32, the default, cannot pass; with dtype=None, as in scikit-learn, all do."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@estimator_checks.parametrize_with_checks(
    [kind(max_iter=100, dtype=None) for kind in (MLPClassifier, MLPRegressor)]
)
def test_check(estimator: Any, check: Any) -> None:
    check(estimator)


@estimator_checks.parametrize_with_checks(
    [MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)],
    expected_failed_checks=lambda estimator: NARROW,
)
def test_check_in_float32(estimator: Any, check: Any) -> None:
    check(estimator)
