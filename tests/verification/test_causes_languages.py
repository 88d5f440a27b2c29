"""The causes that check_gradients names, in both languages, with the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.verification import Verdict, check_gradients, check_hvp
from tests.languages import check_both, is_vietnamese, numbers, said_in, templates

RNG = np.random.default_rng(0)
N = 6  # rows of the batch
FAULTS = {  # of the gradient g of a leaf w: shape of the leaf, what is claimed
    "turned": ((3, 2), lambda g, w: g.T),
    "turned and wrong": ((3, 2), lambda g, w: g.T + RNG.normal(size=(2, 3))),
    "with keepdims": ((3,), lambda g, w: g[None, :]),
    "not summed": ((3,), lambda g, w: np.stack([g / 2, g / 2])),
    "not averaged": ((3,), lambda g, w: np.stack([g / 2, 3 * g / 2])),
    "not reduced": ((3,), lambda g, w: RNG.normal(size=(N, 3))),
    "by example": ((3,), lambda g, w: RNG.normal(size=N)),
    "one axis too many": ((2, 3), lambda g, w: g.sum(axis=0)),
    "another shape": ((3,), lambda g, w: RNG.normal(size=(2, 2, 2))),
    "zero": ((3,), lambda g, w: 0 * g),
    "negative": ((3,), lambda g, w: -g),
    "odd factor": ((3,), lambda g, w: 1.37 * g),
    "summed": ((3,), lambda g, w: N * g),
    "meant": ((3,), lambda g, w: g / N),
    "negative mean": ((3,), lambda g, w: -g / N),
    "twice": ((3,), lambda g, w: g / N**2),
    "half": ((3,), lambda g, w: g / 2),
    "double": ((3,), lambda g, w: 2 * g),
    "by its size": ((5,), lambda g, w: g / 5),
    "few": ((20,), lambda g, w: g + 2.0 * (np.arange(20) == 3)),
    "square turned": ((3, 3), lambda g, w: g.T),
    "rows reversed": ((3, 2), lambda g, w: g[::-1]),
    "columns reversed": ((2, 3), lambda g, w: g[:, ::-1]),
    "rows shifted": ((4, 2), lambda g, w: np.roll(g, 1, 0)),
    "columns shifted": ((2, 4), lambda g, w: np.roll(g, 1, 1)),
    "reversed": ((5,), lambda g, w: g[::-1]),
    "shifted": ((5,), lambda g, w: np.roll(g, 1)),
    "reshaped": ((2, 3), lambda g, w: g.T.reshape(2, 3)),
    "shuffled": ((7,), lambda g, w: g[[3, 1, 6, 0, 2, 5, 4]]),
    "penalty on a bias": ((7,), lambda g, w: g + 0.3 * w),
    "penalty twice": ((3, 4), lambda g, w: g + 0.3 * w),
    "no penalty": ((3, 4), lambda g, w: g - 0.3 * w),
    "L1": ((3, 4), lambda g, w: g - 0.3 * w + 0.1 * np.sign(w)),
    "a row": ((6, 5), lambda g, w: g * np.where(np.arange(6) == 2, 1.5, 1)[:, None]),
    "a column": ((5, 6), lambda g, w: g * (np.arange(6) != 2)),
    "entries": ((12,), lambda g, w: g * np.where(np.arange(12) < 5, 1.7, 1)),
    "signs": ((7,), lambda g, w: g * np.array([1, -1, 1, -1, -1, 1, -1])),
    "offset": ((7,), lambda g, w: g + 0.25),
    "clipped": ((7,), lambda g, w: np.clip(g, -0.3, 0.3)),
    "noise": ((7,), lambda g, w: RNG.normal(size=7)),
    "alone": ((), lambda g, w: g + 1.234),
    "missing": ((3,), lambda g, w: None),
    "whole": ((3,), lambda g, w: g.astype(int)),
    "words": ((3,), lambda g, w: np.array(["a", "b", "c"])),
    "nan": ((3,), lambda g, w: g * np.array([1, np.nan, 1])),
    "fourfold": ((3,), lambda g, w: 4 * g),
    "quarter": ((3,), lambda g, w: g / 4),
    "kept": ((3,), lambda g, w: 0.7 * g),
    "dropped": ((3,), lambda g, w: g / 0.7),
    "by outputs": ((3,), lambda g, w: g / 7),
    "of outputs": ((3,), lambda g, w: 7 * g),
    "weighed": ((3,), lambda g, w: 1.9 * N * g),
    "half a penalty": ((3, 4), lambda g, w: g - 0.15 * w),
    "summed data": ((3, 4), lambda g, w: N * (g - 0.3 * w) + 0.3 * w),
    "right": ((3,), lambda g, w: g),
}
PARAMS = {name: RNG.uniform(0.5, 2, shape) * RNG.choice([-1, 1], shape)
          for name, (shape, _) in FAULTS.items()}  # fmt: skip
SCALE = {name: RNG.uniform(0.5, 2, shape) for name, (shape, _) in FAULTS.items()}
RARE = {  # where noise or kinks leave little to be seen; the catalogue's test says them all
    "0, and fn does not depend on it",
    "differs from {n} of {n_probes} finite differences by {gap:.1g}",
    "jax.grad gives NaN here, and finite differences resolve too little ({evidence})",
    "jax.grad is too noisy to add to it",
    "no evidence",
    "so are jax.grad's: no gradient exists here",
}
X, LABELS = RNG.normal(size=(N, 3)), np.arange(N) % 2


def quadratic(params, x, **options):
    return sum(jnp.sum(SCALE[name] * w**2) / 2 for name, w in params.items())


def of_faults(names, x=X, **options):
    def claim(params, x, **options):
        said = {name: FAULTS[name][1](SCALE[name] * np.asarray(params[name]), params[name])
                for name in names}  # fmt: skip
        return {name: g for name, g in said.items() if g is not None}

    some = {name: PARAMS[name] for name in names}
    return check_gradients(claim, quadratic, some, x, **options)


W = np.array([0.7, -1.1, 0.4])


def only(gradient, fn, w=W, **options):
    return check_gradients(gradient, fn, w, **options)


def square(w):
    return jnp.sum(w**2) / 2


def norm_squared(w):
    return jnp.sqrt(jnp.sum(w**2)) ** 2  # jax.grad is NaN at 0


def stopped(w):
    return jnp.sum(w * jax.lax.stop_gradient(w)) / 2


def of_functions():
    """Functions that jax.grad and finite differences see differently."""
    numpy_square = lambda w: float(np.sum(np.asarray(w) ** 2)) / 2  # noqa: E731
    yield only(lambda w: w, square)
    yield only(lambda w: w, numpy_square)
    yield only(lambda w: 3 * w, numpy_square)
    yield only(lambda w: 0 * w, lambda w: 1.0 if np.ndim(w) else float(w))
    yield only(lambda w: (square(w) + 1, w), square)
    yield only(lambda w: w, lambda w: jnp.log(-square(w)))
    yield only(lambda w: 2 * w, stopped)
    yield only(lambda w: w, lambda w: stopped(w) * 1.0)
    yield only(lambda w: w / 2, stopped)
    yield only(lambda w: w, lambda w: square(w.astype(jnp.float32)))
    yield only(lambda w: w * 1.5, lambda w: square(w.astype(jnp.bfloat16)).astype(jnp.float32))
    yield only(lambda w: w, lambda w: numpy_square(w) + np.random.default_rng().normal())
    for claimed in (0.0, 1.0, np.nan):
        yield only(lambda w, claimed=claimed: 0 * w + claimed, norm_squared, np.zeros(3))
    yield only(lambda w: (w[0], w[1]), lambda p: square(p[0]) + jnp.sum(p[1]), (W, np.zeros(0)))
    uneven = np.array([1e-14, 1.0, 1.0])
    yield only(lambda w: w, numpy_square, uneven)
    many = RNG.normal(size=12)
    yield only(lambda w: np.asarray(w, np.float16).astype(np.float64), square, many)
    yield only(lambda w: [w[0]], lambda p: square(p[0]), (many,))
    yield only(lambda w: {"a": w["a"], "b": w["a"]}, lambda p: square(p["a"]), {"a": many})
    yield only(lambda w: {"a": {"c": w["a"]}}, lambda p: square(p["a"]), {"a": many})
    pair = {"a": many, "b": many[::-1] ** 2}
    swapped = lambda p: {"a": p["b"], "b": p["a"]}  # noqa: E731
    yield only(swapped, lambda p: square(p["a"]) + square(p["b"]), pair)
    relu = lambda w: jnp.sum(jnp.maximum(w, 0))  # noqa: E731
    yield only(lambda w: jnp.where(w > 0, 1.0, 0.0), relu, np.array([1.0, 0.0, -2.0]))
    yield check_hvp(lambda w: (square(w), jnp.sin(w)), square, np.array([1.0, 2.0]))


def all_reports():
    fitting = [
        name
        for name, (shape, fault) in FAULTS.items()
        if np.shape(fault(SCALE[name] * PARAMS[name], PARAMS[name])) == shape
    ]
    yield of_faults(list(FAULTS))
    for name in fitting:
        yield of_faults([name])
    for name in ("fourfold", "quarter"):
        yield of_faults([name], X[:4])
    config = jaxmlp.MLPConfig((3, 4, 7), dropout=True)
    options = {"dropout_rate": 0.3, "sample_weight": np.full(N, 1.9)}
    for name in ("kept", "dropped", "by outputs", "of outputs", "weighed"):
        yield of_faults([name], kwargs=options, config=config)
    for name in ("no penalty", "half a penalty", "summed data"):
        yield of_faults([name], kwargs={"l2": 0.3})
    yield from of_functions()


def texts(report):
    yield from (report.value_fault, *report.notes)
    for leaf in report.leaves:
        yield from (leaf.cause, leaf.evidence)


def test_every_cause_is_said_in_both_languages():
    seen = set()
    for report in all_reports():
        for text in filter(None, texts(report)):
            check_both(text)
            seen |= templates(text)
        vietnamese = report.in_language("vi")
        assert numbers(str(vietnamese)) == numbers(str(report))
        assert vietnamese.in_language("en") == report
    modules = ("causes/diagnosis", "causes/patterns", "claim", "verdicts", "gradients")
    known = set().union(*(said_in(f"verification/{module}") for module in modules))
    assert known - seen == RARE


def test_the_check_speaks_the_language_that_is_asked_for():
    report = only(lambda w: 2 * w, square, language="vi")
    assert report.failures[0].cause == (
        "gấp 2 lần gradient đúng ở mọi phần tử: thiếu một thừa số 1/2"
    )
    lines = str(report).splitlines()
    assert lines[0].startswith("kiểm tra gradient: SAI (1 sai trong 1 mảng; f = ")
    assert lines[1].startswith("SAI   params (3): ")
    assert all(map(is_vietnamese, lines))
    with pytest.raises(ValueError, match="unknown language 'fr'"):
        only(lambda w: w, square, language="fr")


CONFIG = jaxmlp.MLPConfig((3, 4, 4, 2), "tanh")


@pytest.mark.parametrize(
    ("slip", "words"),
    [(lambda grads: grads, ""),
     (lambda grads: (grads[0]._replace(W=grads[0].W[::-1]), *grads[1:]), "các hàng bị đảo")],
)  # fmt: skip
def test_a_network_s_gradient(slip, words):
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    value_and_grad = jaxmlp.value_and_grad(CONFIG, "softmax_cross_entropy")

    def claim(params, x, y):
        value, grads = value_and_grad(params, x, y)
        return value, slip(grads)

    report = check_gradients(
        claim, jaxmlp.objective(CONFIG, "softmax_cross_entropy"), params, X, LABELS, language="vi"
    )
    assert report.passed is not bool(words)
    assert words in str(report)
    assert report.verdict is not Verdict.INCONCLUSIVE
