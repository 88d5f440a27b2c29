"""scikit-learn's checks of what an estimator must do, all of them."""

from typing import Any

import pytest

pytest.importorskip("sklearn", minversion="1.9")
from sklearn.utils import estimator_checks

from jaxmlp.estimators import MLPClassifier, MLPRegressor

NARROW = "float32 by default: passes with dtype='float64', which is tested below"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": f"equal to 1e-7 is asked for; {NARROW}",
    "check_sample_weight_equivalence_on_sparse_data": f"equal to 1e-7 is asked for; {NARROW}",
    "check_regressor_multioutput": f"predictions in float64 are asked for; {NARROW}",
}
"""Checks that cannot pass, each with its reason."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@estimator_checks.parametrize_with_checks(
    [MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_check(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("name", EXPECTED_FAILURES)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_in_float64_no_check_fails(kind: Any, name: str) -> None:
    if kind is MLPClassifier and "regressor" in name:
        pytest.skip("a check of regressors")
    check = getattr(estimator_checks, name)
    check(kind.__name__, kind(max_iter=100, dtype="float64"))
