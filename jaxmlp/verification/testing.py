"""For tests: a gradient that is wrong is an AssertionError that says why."""

from collections.abc import Callable
from typing import Any

from jaxmlp.types import PyTree
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.report import GradientReport, Verdict


def assert_gradients(
    value_and_grad_fn: Callable[..., Any],
    fn: Callable[..., Any],
    params: PyTree,
    *args: Any,
    allow_inconclusive: bool = False,
    **options: Any,
) -> GradientReport:
    """Assert, in a test, that a gradient is right; the failure message is the report.

    Args:
        value_and_grad_fn: as for `check_gradients`.
        fn: likewise.
        params: likewise.
        *args: likewise.
        allow_inconclusive: accept leaves on which the evidence decides nothing.
        **options: `kwargs`, `config`, `seed`, ... of `check_gradients`.

    Returns:
        The report.

    Raises:
        AssertionError: if a leaf fails or, unless allowed, stays inconclusive.

    Example:
        >>> import jax.numpy as jnp
        >>> f = lambda w: jnp.sum(jnp.sin(w))
        >>> report = assert_gradients(lambda w: (f(w), jnp.cos(w)), f, jnp.arange(3.0))
    """
    __tracebackhide__ = True  # pytest then points at the test
    report = check_gradients(value_and_grad_fn, fn, params, *args, **options)
    verdict = report.verdict
    if verdict is Verdict.FAIL or (verdict is Verdict.INCONCLUSIVE and not allow_inconclusive):
        raise AssertionError(str(report))
    return report
