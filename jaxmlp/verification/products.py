"""Jacobians, vector-Jacobian products and Hessian-vector products, reduced to gradients.

The gradient of <w, f(x)> is w^T J: what claims to be J or w^T J is therefore checked as a gradient,
by jax.grad, finite differences and the Taylor remainder. A Hessian-vector product H v is the
gradient of <grad f, v>.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxmlp.messages import joined, phrase
from jaxmlp.types import PyTree
from jaxmlp.verification.gradients import check_gradients
from jaxmlp.verification.measurement.functions import (
    as_scalar,
    float64_arithmetic,
    make_point,
    promote,
)
from jaxmlp.verification.report import GradientReport, LeafReport, Verdict

_MAX_ROWS = 16
_MAX_HESSIAN = 300


def check_jacobian(
    jacobian_fn: Callable[..., Any],
    fn: Callable[..., Any],
    x: PyTree,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> GradientReport:
    """Check a claimed Jacobian row by row.

    J[i, ...] = d f_i / d x. Row i is the gradient of <e_i, f>; every row is checked if there are up
    to 16, else 16 drawn ones and two random combinations w^T J of all rows.

    Args:
        jacobian_fn: called as (x, *args, **kwargs); returns, for each leaf of x, an array of
            f's shape followed by the leaf's shape, as `jax.jacobian` does.
        fn: called likewise; returns one array.
        x: point, any pytree of floating arrays.
        *args: further arguments of both.
        kwargs: keyword arguments of both.
        seed: of what is drawn.

    Returns:
        A report with one entry for each row and leaf.

    Raises:
        TypeError: if a function cannot be called or x has no floating leaves.
        ValueError: if fn's output is empty.

    Example:
        >>> f = lambda x: jnp.array([x[0] * x[1], x[1] ** 2])
        >>> J = lambda x: jnp.array([[x[1], x[0]], [0.0, 2 * x[1]]])
        >>> check_jacobian(J, f, jnp.array([3.0, 5.0])).passed
        True
        >>> print(check_jacobian(lambda x: J(x).T, f, jnp.array([3.0, 5.0])).failures[0].name)
        output[0]: params
    """
    shape = _output_shape(fn, x, args, kwargs)
    size, rng = int(np.prod(shape)), np.random.default_rng(seed)
    rows = range(size) if size <= _MAX_ROWS else np.sort(rng.choice(size, _MAX_ROWS, replace=False))
    weights = {f"output{_index(row, shape)}": np.eye(1, size, int(row))[0] for row in rows}
    if size > _MAX_ROWS:
        weights |= {f"random combination {i}": rng.choice([-1.0, 1.0], size) for i in (1, 2)}
    reports = {}
    for name, weight in weights.items():
        projected = partial(_projected, fn, weight.reshape(shape))
        product = partial(_rows, jacobian_fn, weight.reshape(shape))
        reports[name] = check_gradients(product, projected, x, *args, kwargs=kwargs, seed=seed)
    return _join(reports)


def check_vjp(
    vjp_fn: Callable[..., Any],
    fn: Callable[..., Any],
    x: PyTree,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    n_cotangents: int = 2,
    seed: int = 0,
) -> GradientReport:
    """Check a backward function (cotangent, x) -> cotangent^T J, such as one layer's.

    d_x = w^T df/dx is the gradient of <w, f(x)>, for random cotangents w.

    Args:
        vjp_fn: called as (cotangent, x, *args, **kwargs) with a cotangent of the shape of f's
            output; returns what x looks like.
        fn: called as (x, *args, **kwargs); returns one array.
        x: point, any pytree of floating arrays.
        *args: further arguments of both.
        kwargs: keyword arguments of both.
        n_cotangents: random cotangents to try.
        seed: of what is drawn.

    Returns:
        A report with one entry for each cotangent and leaf.

    Raises:
        TypeError: if a function cannot be called or x has no floating leaves.
        ValueError: if fn's output is empty, or n_cotangents is below 1.

    Example:
        >>> d_tanh = lambda d_h, z: d_h * (1 - jnp.tanh(z) ** 2)
        >>> check_vjp(d_tanh, jnp.tanh, jnp.linspace(-2.0, 2.0, 5)).passed
        True
    """
    _check_count("n_cotangents", n_cotangents)
    shape, rng = _output_shape(fn, x, args, kwargs), np.random.default_rng(seed)
    reports = {}
    for i in range(n_cotangents):
        cotangent = rng.normal(size=shape)
        projected, product = partial(_projected, fn, cotangent), partial(vjp_fn, cotangent)
        report = check_gradients(product, projected, x, *args, kwargs=kwargs, seed=seed)
        reports[f"cotangent {i + 1}"] = report
    return _join(reports)


def check_hvp(
    value_and_grad_fn: Callable[..., Any],
    fn: Callable[..., Any],
    params: PyTree,
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    n_vectors: int = 2,
    seed: int = 0,
) -> GradientReport:
    """Check that a hand-written gradient, differentiated once more, gives the Hessian.

    H v = d/de grad f(p + e v), by `jax.jvp` of the hand-written gradient, is compared with the
    gradient of <grad f, v> (by jax.grad, finite differences and the Taylor remainder) and, up to
    300 parameters, with `jax.hessian(f)` times v.

    Args:
        value_and_grad_fn: called as (params, *args, **kwargs); returns (value, grads); JAX only.
        fn: called likewise; returns the value; JAX only.
        params: any pytree of floating arrays.
        *args: further arguments of both.
        kwargs: keyword arguments of both.
        n_vectors: random directions v.
        seed: of the directions.

    Returns:
        A report with one entry for each direction and leaf.

    Raises:
        TypeError: if JAX cannot trace one of the functions.
        ValueError: if n_vectors is below 1.

    Example:
        >>> f = lambda w: jnp.sum(w**3)
        >>> check_hvp(lambda w: (f(w), 3 * w**2), f, jnp.array([1.0, 2.0])).passed
        True

    Reference: Pearlmutter, 1994, Neural Computation 6:147.
    """
    _check_count("n_vectors", n_vectors)
    rng, reports = np.random.default_rng(seed), {}
    options = dict(kwargs or {})
    _check_traceable(value_and_grad_fn, params, args, options)
    hessian = _hessian(fn, params, args, options)
    for i in range(n_vectors):
        v = jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), params)
        slope, product = partial(_slope, fn, v), partial(_derivative, value_and_grad_fn, v)
        report = check_gradients(product, slope, params, *args, kwargs=kwargs, seed=seed)
        if hessian is not None:
            report = _with_hessian(report, hessian, product, params, args, options, v)
        reports[f"direction {i + 1}"] = report
    return _join(reports)


def _projected(
    fn: Callable[..., Any], weight: np.ndarray, x: PyTree, *args: Any, **kwargs: Any
) -> Any:
    """<w, f(x)>."""
    return (weight * fn(x, *args, **kwargs)).sum()


def _rows(
    jacobian_fn: Callable[..., Any], weight: np.ndarray, x: PyTree, *args: Any, **kwargs: Any
) -> PyTree:
    """w^T J."""
    return jax.tree.map(partial(_contract, weight), jacobian_fn(x, *args, **kwargs))


def _slope(fn: Callable[..., Any], v: PyTree, params: PyTree, *args: Any, **kwargs: Any) -> Any:
    """<grad f, v>."""
    grads = jax.grad(lambda p: as_scalar(fn(p, *args, **kwargs)))(params)
    return sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), grads, v)))


def _derivative(
    value_and_grad_fn: Callable[..., Any], v: PyTree, params: PyTree, *args: Any, **kwargs: Any
) -> PyTree:
    """d/de of the claimed gradient at p + e v."""
    gradient = lambda p: value_and_grad_fn(p, *args, **kwargs)[1]  # noqa: E731
    return jax.jvp(gradient, (params,), (v,))[1]


def _hessian(
    fn: Callable[..., Any], params: PyTree, args: tuple[Any, ...], options: dict[str, Any]
) -> np.ndarray | None:
    """Return the whole Hessian, (n_parameters, n_parameters), where it is small."""
    with float64_arithmetic():
        params, args, options = promote((params, args, options))
        flat, unravel = ravel_pytree(params)
        if len(flat) > _MAX_HESSIAN:
            return None
        hessian = jax.jit(jax.hessian(lambda p: as_scalar(fn(unravel(p), *args, **options))))
        return np.asarray(hessian(flat))


def _with_hessian(
    report: GradientReport,
    hessian: np.ndarray,
    product: Callable[..., Any],
    params: PyTree,
    args: tuple[Any, ...],
    options: dict[str, Any],
    v: PyTree,
) -> GradientReport:
    """Add the comparison with the whole Hessian."""
    with float64_arithmetic():
        params, args, options = promote((params, args, options))
        point = make_point(params)
        true = hessian @ np.asarray(ravel_pytree(v)[0])
        by_hand = jax.jit(lambda p: ravel_pytree(product(p, *args, **options))[0])
        claimed = np.asarray(by_hand(params))
    leaves = []
    for leaf, part in zip(report.leaves, point.slices, strict=True):
        gap = float(np.abs(claimed[part] - true[part]).max(initial=0.0))
        from_hessian = phrase("from jax.hessian times v by {gap:.1g} (absolute)", gap=gap)
        words = joined(", ", (leaf.evidence, from_hessian))
        wrong = gap > 1e-4 * np.abs(true).max(initial=0.0)
        verdict = Verdict.FAIL if wrong else leaf.verdict
        cause = leaf.cause or (phrase("differs from jax.hessian times v") if wrong else "")
        leaves.append(replace(leaf, verdict=verdict, evidence=words, cause=cause))
    return replace(report, leaves=tuple(leaves))


def _check_traceable(
    fn: Callable[..., Any], params: PyTree, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    try:
        jax.eval_shape(lambda p: fn(p, *args, **options)[1], params)
    except jax.errors.JAXTypeError as error:
        raise TypeError(
            "check_hvp differentiates value_and_grad_fn with jax.jvp, but JAX cannot trace it "
            f"({type(error).__name__}). Write it with jax.numpy instead of numpy."
        ) from error


def _output_shape(
    fn: Callable[..., Any], x: PyTree, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None
) -> tuple[int, ...]:
    with float64_arithmetic():
        x, args, options = promote((x, args, dict(kwargs or {})))
        shape = tuple(np.shape(fn(x, *args, **options)))
    if not np.prod(shape):
        raise ValueError(
            f"fn returned an array of shape {shape}, which has no entries to differentiate; return "
            "at least one number."
        )
    return shape


def _check_count(name: str, count: int) -> None:
    if count < 1:
        raise ValueError(f"{name} is {count}, so nothing would be compared; give at least 1.")


def _contract(weight: np.ndarray, jacobian: Any) -> Any:
    """Return w^T J; what is no Jacobian of this output goes on as it is, to be reported."""
    if np.shape(jacobian)[: weight.ndim] != weight.shape:
        return jacobian
    return jnp.tensordot(weight, jacobian, axes=weight.ndim)


def _index(row: int, shape: tuple[int, ...]) -> str:
    return str(list(map(int, np.unravel_index(int(row), shape)))) if shape else ""


def _join(reports: dict[str, GradientReport]) -> GradientReport:
    leaves: list[LeafReport] = []
    for name, report in reports.items():
        leaves += [replace(leaf, name=f"{name}: {leaf.name}") for leaf in report.leaves]
    first = next(iter(reports.values()))
    notes = tuple(dict.fromkeys(note for report in reports.values() for note in report.notes))
    return GradientReport(tuple(leaves), first.value, first.noise, notes=notes)
