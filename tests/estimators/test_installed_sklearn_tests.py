"""scikit-learn's own tests of its MLPs, the installed file, run against ours.

What is collected here are its functions; only the two classes are other ones.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("sklearn", minversion="1.9")
neural_network = pytest.importorskip("sklearn.neural_network")

from jaxmlp.estimators import MLPClassifier, MLPRegressor  # noqa: E402

EXCEPTIONS = {
    "test_gradient": "calls the private _loss_grad_lbfgs with scikit-learn's own buffers; our "
    "gradient is proven in tests/verification",
}
"""Tests that cannot pass, each with its reason."""

AS_X = ("test_mlp_param_dtypes",)
"""Tests that ask for the dtype of X, which is dtype=None."""


def load_tests() -> dict[str, Any]:
    """Execute a copy of the installed file in which the two classes are ours."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if spec is None or spec.loader is None:
        pytest.skip("scikit-learn was installed without its tests", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neural_network, "MLPClassifier", MLPClassifier)
        patch.setattr(neural_network, "MLPRegressor", MLPRegressor)
        spec.loader.exec_module(module)
    assert module.MLPClassifier is MLPClassifier
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


@pytest.fixture
def global_random_seed() -> int:
    """Stand in for scikit-learn's fixture."""
    return 42


def expect(name: str, test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test as slow, and as one that fails where it is among the exceptions."""

    @functools.wraps(test)
    def expected(*args: Any, **kwargs: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if name in AS_X:
                for kind in (MLPClassifier, MLPRegressor):
                    patch.setitem(kind.__init__.__kwdefaults__, "dtype", None)
            if name not in EXCEPTIONS:
                test(*args, **kwargs)
                return
            with pytest.raises((AssertionError, AttributeError)):
                test(*args, **kwargs)
            pytest.xfail(EXCEPTIONS[name])

    return pytest.mark.slow(expected)


globals().update({name: expect(name, test) for name, test in load_tests().items()})
