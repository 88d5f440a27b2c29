import pickle
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from jaxmlp.losses import LOSSES, Loss, check_target_values, get_loss

BATCH, N_OUT = 6, 3
REGRESSION = ("squared_error", "absolute_error", "huber", "quantile")
# Every loss with options away from their defaults, and with each kind of target it takes.
CASES = [
    ("squared_error", "real", {}),
    ("absolute_error", "real", {}),
    ("huber", "real", {}),
    ("huber", "real", {"delta": 0.3}),
    ("quantile", "real", {}),
    ("quantile", "real", {"quantile": 0.9}),
    ("poisson", "counts", {}),
    ("softmax_cross_entropy", "labels", {}),
    ("softmax_cross_entropy", "labels", {"label_smoothing": 0.1}),
    ("softmax_cross_entropy", "soft", {}),
    ("softmax_cross_entropy", "soft", {"label_smoothing": 0.3}),
    ("sigmoid_binary_cross_entropy", "binary", {}),
    ("sigmoid_binary_cross_entropy", "binary", {"label_smoothing": 0.2}),
    ("sigmoid_binary_cross_entropy", "probabilities", {}),
]


def draw(kind, seed, logits):
    """Targets of a kind; real ones hit the logits exactly in places, where the kinks are."""
    rng = np.random.default_rng(seed)
    shape = logits.shape
    if kind == "labels":
        return rng.integers(0, shape[1], shape[0])
    if kind == "soft":
        return rng.dirichlet(np.ones(shape[1]), shape[0])
    return {
        "real": lambda: np.where(rng.random(shape) < 0.3, logits, rng.normal(0, 3, shape)),
        "counts": lambda: rng.poisson(2.0, shape),
        "binary": lambda: rng.integers(0, 2, shape),
        "probabilities": lambda: rng.random(shape),
    }[kind]()


@lru_cache
def compiled(name):
    rule = LOSSES[name].value_and_grad

    def both(logits, targets, options):
        total = lambda logits: jnp.sum(rule(logits, targets, **options)[0])  # noqa: E731
        return rule(logits, targets, **options), jax.grad(total)(logits)

    return jax.jit(both)


def as_arrays(options, dtype):
    return {name: jnp.asarray(value, dtype) for name, value in options.items()}


@pytest.mark.slow
@given(
    case=st.sampled_from(CASES),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 1.0, 10.0]),
)
@settings(max_examples=150, deadline=None)
def test_gradient_matches_autodiff(case, seed, scale):
    name, kind, options = case
    logits = scale * np.random.default_rng(seed).normal(size=(BATCH, N_OUT))
    logits[0] = 0.0
    targets = draw(kind, seed + 1, logits)
    for dtype, tolerance in ((jnp.float64, 1e-12), (jnp.float32, 1e-5)):
        with jax.enable_x64(dtype == jnp.float64):
            o = jnp.asarray(logits, dtype)
            # the same rounding for both, so that the residual is still 0 where it was
            y = jnp.asarray(targets, None if targets.dtype.kind == "i" else dtype)
            (values, by_hand), by_autodiff = compiled(name)(o, y, as_arrays(options, dtype))
            assert values.shape == (BATCH,)
            assert values.dtype == by_hand.dtype == dtype
            # p - y loses what p and y share, so the unit is 1, the largest p, not p - y.
            atol = 4 * float(jnp.finfo(dtype).eps)
            np.testing.assert_allclose(by_hand, by_autodiff, rtol=tolerance, atol=atol)


@pytest.mark.parametrize(
    ("name", "logits", "targets", "options", "values", "d_logits"),
    [
        ("squared_error", [[1.31]], [1.0], {}, [0.04805], [[0.31]]),  # the lecture's example
        ("squared_error", [[1, 2], [0, -1]], [[0, 0], [0, 1]], {}, [2.5, 2], [[1, 2], [0, -2]]),
        ("absolute_error", [[1, 2], [0, -1]], [[0, 2], [3, 1]], {}, [1, 5], [[1, 0], [-1, -1]]),
        ("huber", [[0, 1, 3]], [[0, 0, 0]], {}, [3.0], [[0, 1, 1]]),
        ("huber", [[-3, 0.5, 2]], [[0, 0, 0]], {"delta": 2}, [6.125], [[-2, 0.5, 2]]),
        ("quantile", [[0, 2, -2]], [[0, 0, 0]], {"quantile": 0.9}, [2.0], [[-0.4, 0.1, -0.9]]),
        ("poisson", [[0.0, np.log(2)]], [[3, 0]], {}, [3.0], [[-2, 2]]),
        ("softmax_cross_entropy", [[0, 0]], [1], {}, [np.log(2)], [[0.5, -0.5]]),
        (
            "softmax_cross_entropy",
            [[np.log(3), 0]],
            [0],
            {"label_smoothing": 0.5},
            [0.75 * np.log(4 / 3) + 0.25 * np.log(4)],
            [[0.0, 0.0]],
        ),
        (
            "sigmoid_binary_cross_entropy",
            [[0, np.log(3)]],
            [[1, 0]],
            {},
            [np.log(2) + np.log(4)],
            [[-0.5, 0.75]],
        ),
        (
            "sigmoid_binary_cross_entropy",
            [[np.log(3)]],
            [1],
            {"label_smoothing": 0.5},
            [0.75 * np.log(4 / 3) + 0.25 * np.log(4)],
            [[0.0]],
        ),
    ],
)
def test_numbers_by_hand(name, logits, targets, options, values, d_logits, x64):
    got, _ = compiled(name)(
        jnp.asarray(logits, jnp.float64), np.asarray(targets), as_arrays(options, jnp.float64)
    )
    np.testing.assert_allclose(got[0], values, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(got[1], d_logits, rtol=1e-14, atol=1e-15)


def log_likelihood_of_counts(o, y):
    return -np.sum(scipy.stats.poisson.logpmf(y, np.exp(o)), axis=1) - np.sum(
        scipy.special.gammaln(y + 1), axis=1
    )


def pinball(o, y, quantile=0.5):
    rows = zip(o, y, strict=True)
    return [mean_pinball_loss(b, a, alpha=quantile) * len(a) for a, b in rows]


def smoothed(o, y, label_smoothing=0.0):
    one_hot = y if y.ndim == 2 else np.eye(o.shape[1])[y]
    return optax.softmax_cross_entropy(
        jnp.asarray(o), optax.smooth_labels(jnp.asarray(one_hot), label_smoothing)
    )


def summed_bce(o, y, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    return optax.sigmoid_binary_cross_entropy(jnp.asarray(o), jnp.asarray(y)).sum(axis=1)


OTHERS = {
    "squared_error": lambda o, y: optax.l2_loss(jnp.asarray(o), jnp.asarray(y)).sum(axis=1),
    "absolute_error": lambda o, y: np.abs(o - y).sum(axis=1),
    "huber": lambda o, y, delta=1.0: optax.huber_loss(
        jnp.asarray(o), jnp.asarray(y), delta=delta
    ).sum(axis=1),
    "quantile": pinball,
    "poisson": log_likelihood_of_counts,
    "softmax_cross_entropy": smoothed,
    "sigmoid_binary_cross_entropy": summed_bce,
}


@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_values_match_other_libraries(name, kind, options, x64):
    logits = np.random.default_rng(3).normal(0, 4, (BATCH, N_OUT))
    targets = draw(kind, 4, logits)
    (values, _), _ = compiled(name)(jnp.asarray(logits), targets, as_arrays(options, jnp.float64))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = OTHERS[name](logits, targets, **options)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_integer_labels_match_optax(x64):
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 4, (BATCH, N_OUT)))
    labels = jnp.array([0, 1, 2, 2, 1, 0], jnp.uint8)
    values, _ = LOSSES["softmax_cross_entropy"].value_and_grad(logits, labels)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels.astype(int))
    np.testing.assert_allclose(values, expected, rtol=1e-13)


EXTREME = np.array([-1e4, -700.0, -88.0, -20.0, -1.0, 0.0, 1.0, 20.0, 88.0, 700.0, 1e4])


def exact_bce(o, y):
    o = mp.mpf(o)
    return mp.log(1 + mp.exp(o)) - y * o, 1 / (1 + mp.exp(-o)) - y


def exact_softmax(row, label):
    row = [mp.mpf(o) for o in row]
    total = sum(mp.exp(o) for o in row)
    gradient = [mp.exp(o) / total - (k == label) for k, o in enumerate(row)]
    return mp.log(total) - row[label], gradient


def relative(got, truth, dtype):
    """The error in units of eps * truth; what is below the smallest normal number is zero."""
    info = np.finfo(dtype)
    return float(abs(mp.mpf(float(got)) - truth) / (float(info.eps) * abs(truth) + info.tiny))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_exact_to_a_few_roundings_up_to_1e4(dtype, x64):
    o, y = (grid.ravel() for grid in np.meshgrid(EXTREME, [0.0, 1.0]))
    (values, d_logits), autodiff = compiled("sigmoid_binary_cross_entropy")(
        jnp.asarray(o[:, None], dtype), jnp.asarray(y, dtype), {}
    )
    with mp.workdps(9000):  # exp(-1e4) beside 1
        for i, (point, target) in enumerate(zip(o.tolist(), y.tolist(), strict=True)):
            value, gradient = exact_bce(point, target)
            assert relative(values[i], value, dtype) <= 4
            assert relative(d_logits[i, 0], gradient, dtype) <= 4
            assert relative(autodiff[i, 0], gradient, dtype) <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_cross_entropy_is_right_up_to_1e4(dtype, x64):
    logits = np.array([[a, b, c] for a in EXTREME for b in EXTREME for c in (-1e4, 0.0, 1e4)])
    labels = np.arange(len(logits)) % N_OUT
    (values, d_logits), _ = compiled("softmax_cross_entropy")(
        jnp.asarray(logits, dtype), jnp.asarray(labels, jnp.int32), {}
    )
    eps = float(np.finfo(dtype).eps)
    with mp.workdps(50):
        for i, (row, label) in enumerate(zip(logits.tolist(), labels.tolist(), strict=True)):
            value, gradient = exact_softmax(row, label)
            assert abs(mp.mpf(float(values[i])) - value) <= 4 * eps * max(1, value)
            for got, truth in zip(d_logits[i], gradient, strict=True):
                assert abs(mp.mpf(float(got)) - truth) <= 4 * eps


@pytest.mark.parametrize("name", REGRESSION)
def test_regression_losses_are_right_up_to_1e4(name, x64):
    o = np.array([-1e4, 0.0, 1e4, 1e4])
    y = np.array([1e4, 1e4, -1e4, 1e4])
    r = o - y
    expected = {
        "squared_error": (r**2 / 2, r),
        "absolute_error": (abs(r), np.sign(r)),
        "huber": (np.where(r == 0, 0, abs(r) - 0.5), np.sign(r)),
        "quantile": (abs(r) / 2, np.sign(r) / 2),
    }[name]
    values, d_logits = LOSSES[name].value_and_grad(
        jnp.asarray(o[:, None], jnp.float32), jnp.asarray(y, jnp.float32)
    )
    np.testing.assert_allclose(values, expected[0], rtol=1e-7)
    np.testing.assert_allclose(d_logits[:, 0], expected[1], rtol=1e-7)


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 88.7), (np.float64, 709.7)])
def test_poisson_is_right_where_its_value_exists_and_inf_beyond(dtype, limit, x64):
    o = np.array([-1e4, -50.0, 0.0, 30.0, limit]).astype(dtype)
    y = np.array([0.0, 3.0, 2.0, 1e4, 7.0])
    rule = LOSSES["poisson"].value_and_grad
    values, d_logits = (np.asarray(leaf, np.float64) for leaf in rule(o[:, None], y))
    rate = np.array([float(mp.exp(mp.mpf(float(point)))) for point in o])
    room = 4.0 * np.finfo(dtype).eps * np.maximum(1, abs(o))  # exp turns eps of o into |o| eps
    np.testing.assert_array_less(abs(values - (rate - y * o)), room * (rate + abs(y * o)) + 1e-40)
    np.testing.assert_array_less(abs(d_logits[:, 0] - (rate - y)), room * (rate + y) + 1e-40)
    beyond = jnp.asarray([[limit + 0.1], [1e4]], dtype)
    values, d_logits = rule(beyond, jnp.array([0, 5]))
    assert jnp.isposinf(values).all()
    assert jnp.isposinf(d_logits).all()


def test_a_label_out_of_range_has_no_loss_and_no_gradient():
    logits = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    for smoothing in (0.0, 0.2):
        values, d_logits = LOSSES["softmax_cross_entropy"].value_and_grad(
            logits, jnp.array([-1, 2, 1]), label_smoothing=smoothing
        )
        assert values[:2].tolist() == [0.0, 0.0]
        assert not d_logits[:2].any()
        assert values[2] > 0


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_nan_is_not_swallowed(name):
    logits, targets = jnp.array([[jnp.nan, 0.0]]), jnp.zeros((1, 2))
    values, d_logits = jax.jit(LOSSES[name].value_and_grad)(logits, targets)
    assert jnp.isnan(values).all()
    assert jnp.isnan(d_logits[0, 0])


@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_bfloat16_logits_are_computed_in_float32(name, kind, options):
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 2, (BATCH, N_OUT)), jnp.bfloat16)
    targets = jnp.asarray(draw(kind, 1, np.asarray(logits, np.float32)))
    rule = jax.jit(partial(LOSSES[name].value_and_grad, **options))
    values, d_logits = rule(logits, targets)
    assert values.dtype == d_logits.dtype == jnp.float32
    np.testing.assert_array_equal(values, rule(logits.astype(jnp.float32), targets)[0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_jit_and_vmap_change_nothing(name, kind, options):
    logits = np.random.default_rng(5).normal(size=(BATCH, N_OUT)).astype(np.float32)
    targets = jnp.asarray(draw(kind, 6, logits))
    rule = partial(LOSSES[name].value_and_grad, **options)
    expected = rule(jnp.asarray(logits), targets)
    networks = jax.vmap(rule, (0, None))(jnp.stack([logits, logits]), targets)
    for got in (jax.jit(rule)(logits, targets), tuple(leaf[1] for leaf in networks)):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), got, expected)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("huber", "delta"),
        ("quantile", "quantile"),
        ("softmax_cross_entropy", "label_smoothing"),
        ("sigmoid_binary_cross_entropy", "label_smoothing"),
    ],
)
def test_a_sweep_over_an_option_compiles_once(name, option):
    logits = jnp.array([[2.0, -1.0], [0.3, 0.1]])
    targets = jnp.array([0, 1]) if "softmax" in name else jnp.array([[0.0, 1.0], [1.0, 0.0]])
    traces = []

    @jax.jit
    def values(option_value):
        traces.append(option_value)
        return LOSSES[name].value_and_grad(logits, targets, **{option: option_value})[0]

    grid = [0.1, 0.2, 0.4]
    singles = [values(setting) for setting in grid]
    assert len(traces) == 1
    expected = [LOSSES[name].value_and_grad(logits, targets, **{option: s})[0] for s in grid]
    np.testing.assert_allclose(singles, expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(values)(jnp.asarray(grid)), expected, rtol=1e-6)
    assert not np.allclose(expected[0], expected[2])


def test_options_are_checked_inside_jit_too():
    with pytest.raises(ValueError, match=r"^delta is -1, but must lie in \(0, inf\)\."):
        jax.jit(lambda o: LOSSES["huber"].value_and_grad(o, o, delta=-1.0))(jnp.ones((2, 1)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_links(dtype):
    logits = jnp.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]], dtype)
    link = {name: loss.link(logits) for name, loss in LOSSES.items()}
    e = np.exp([1.0, 2.0, 3.0])
    expected = [[1, 0, 0], e / e.sum()]
    np.testing.assert_allclose(link["softmax_cross_entropy"], expected, rtol=1e-6)
    expected = [[1, 0.5, 0], e / (1 + e)]
    np.testing.assert_allclose(link["sigmoid_binary_cross_entropy"], expected, rtol=1e-6)
    np.testing.assert_allclose(link["poisson"][1], e, rtol=1e-6)
    for name in REGRESSION:
        np.testing.assert_array_equal(link[name], logits)


@pytest.mark.parametrize("name", ["squared_error", "poisson", "softmax", "sigmoid"])
def test_hessian_of_the_smooth_losses_is_the_jacobian_of_the_gradient(name, x64):
    rule = next(loss for key, loss in LOSSES.items() if key.startswith(name)).value_and_grad
    o, y = jnp.array([[0.3, -1.2, 2.0]]), jnp.array([[0.2, 0.3, 0.5]])
    hessian = jax.jit(jax.hessian(lambda o: rule(o, y)[0][0]))(o)
    jacobian = jax.jit(jax.jacfwd(lambda o: rule(o, y)[1]))(o)
    np.testing.assert_allclose(jacobian, hessian, atol=1e-14)


def test_registry():
    for name, loss in LOSSES.items():
        assert loss.name == name
        assert loss.by_hand
        assert get_loss(name) is get_loss(loss) is loss
        assert pickle.loads(pickle.dumps(loss)) == loss
        logits, targets = jnp.array([[0.3, 2.0]]), jnp.array([[0.0, 1.0]])
        np.testing.assert_array_equal(
            loss.value_and_grad(logits, targets)[1],
            loss.value_and_grad(logits, targets, **dict(loss.options))[1],
        )


def cosine_distance(logits, targets, *, margin=0.0):
    return jnp.sum(1 - jnp.cos(logits - targets - margin), axis=1)


def test_own_loss_gets_its_gradient_from_autodiff(x64):
    loss = Loss.from_value("cosine", cosine_distance, options=(("margin", 0.0),))
    assert not loss.by_hand
    again = Loss.from_value("cosine", cosine_distance, options=(("margin", 0.0),))
    assert loss == again
    assert hash(loss) == hash(again) == hash(pickle.loads(pickle.dumps(loss)))
    o, y = jnp.array([[0.0, 1.0], [2.0, 3.0]]), jnp.ones((2, 2))
    values, d_logits = jax.jit(loss.value_and_grad)(o, y, margin=0.5)
    np.testing.assert_allclose(values, np.sum(1 - np.cos(o - 1.5), axis=1), rtol=1e-14)
    np.testing.assert_allclose(d_logits, np.sin(o - 1.5), rtol=1e-14)


def test_own_loss_must_not_reduce():
    loss = Loss.from_value("mean", lambda o, y: jnp.mean(o - y))
    with pytest.raises(ValueError, match=r"of shape \(\) .* of shape \(2,\), neither summed nor"):
        loss.value_and_grad(jnp.ones((2, 1)), jnp.ones((2, 1)))


def call(name, targets, shape=(5, 3), dtype=jnp.float32, **options):
    return get_loss(name).value_and_grad(jnp.zeros(shape, dtype), targets, **options)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            lambda: get_loss("sqared_error"),
            ValueError,
            r"^unknown loss 'sqared_error'\. Did you mean 'squared_error'\? Known: absolute_error,",
        ),
        (lambda: get_loss(None), TypeError, r"^loss is None; give a name, such as 'squared_error'"),
        (
            lambda: get_loss(Loss.from_value("huber", cosine_distance)),
            ValueError,
            r"^loss 'huber' is not the built-in of that name; give yours another name\.$",
        ),
        (
            lambda: Loss("mine", None, jnp.exp, "regression"),
            TypeError,
            r"^value_and_grad of loss 'mine' is None; pass a function\.$",
        ),
        (
            lambda: Loss("mine", cosine_distance, jnp.exp, "regresion"),
            ValueError,
            r"^unknown task of a loss 'regresion'\. Did you mean 'regression'\?",
        ),
        (
            lambda: call("squared_error", np.zeros(5)),
            ValueError,
            r"^targets has shape \(5,\), but squared_error on logits of shape \(5, 3\) takes "
            r"\(5, 3\)\. For labels of 3 classes use softmax_cross_entropy\.$",
        ),
        (
            lambda: call("huber", np.zeros((4, 3))),
            ValueError,
            r"takes \(5, 3\)\. Pass one target for each row of x\.$",
        ),
        (
            lambda: call("poisson", np.zeros((5, 2))),
            ValueError,
            r"Pass 3 columns, or set the last of layer_sizes to 2\.$",
        ),
        (
            lambda: call("squared_error", np.zeros((5, 3, 1))),
            ValueError,
            r"Flatten each target, as in y\.reshape\(len\(y\), 3\)\.$",
        ),
        (
            lambda: call("squared_error", np.zeros((5, 3)), shape=(5, 1)),
            ValueError,
            r"on logits of shape \(5, 1\) takes \(5, 1\) or \(5,\)\. Pass 1 columns, or set",
        ),
        (
            lambda: call("sigmoid_binary_cross_entropy", np.zeros(5, int)),
            ValueError,
            r"takes \(5, 3\)\. For labels of 3 classes use softmax_cross_entropy\.$",
        ),
        (
            lambda: call("softmax_cross_entropy", np.zeros(5)),
            TypeError,
            r"^targets are float32 of shape \(5,\), but class labels are integers\. Pass "
            r"y\.astype\(int\), or soft labels of shape \(5, 3\)\.$",
        ),
        (
            lambda: call("softmax_cross_entropy", np.zeros((5, 1), int)),
            ValueError,
            r"takes \(5, 3\) or \(5,\)\. Pass y\[:, 0\]\.$",
        ),
        (
            lambda: call("softmax_cross_entropy", np.zeros(5, int), shape=(5, 1)),
            ValueError,
            r"^softmax_cross_entropy over 1 output is always 0\. Use sigmoid_binary",
        ),
        (
            lambda: call("squared_error", np.array(["a"] * 5), shape=(5, 1)),
            TypeError,
            r"^targets .*does not hold numbers; pass a numeric array\.$",
        ),
        (
            lambda: call("squared_error", np.zeros(5), shape=(5,)),
            ValueError,
            r"^logits are float32 of shape \(5,\), but must be floating-point numbers of shape",
        ),
        (
            lambda: call("squared_error", np.zeros((5, 3)), dtype=jnp.int32),
            ValueError,
            r"^logits are int32 of shape \(5, 3\), but must be floating-point",
        ),
        (
            lambda: call("huber", np.zeros((5, 3)), dleta=1.0),
            ValueError,
            r"^unknown option of huber 'dleta'\. Did you mean 'delta'\? Known: delta\.$",
        ),
        (
            lambda: call("poisson", np.zeros((5, 3)), delta=1.0),
            ValueError,
            r"^poisson takes no options, but got 'delta'; drop it\.$",
        ),
        (
            lambda: call("huber", np.zeros((5, 3)), delta=0),
            ValueError,
            r"^delta is 0, but must lie in \(0, inf\)\.$",
        ),
        (
            lambda: call("quantile", np.zeros((5, 3)), quantile=1.0),
            ValueError,
            r"^quantile is 1, but must lie in \(0, 1\)\.$",
        ),
        (
            lambda: call("softmax_cross_entropy", np.zeros(5, int), label_smoothing=1.5),
            ValueError,
            r"^label_smoothing is 1\.5, but must lie in \[0, 1\)\.$",
        ),
        (
            lambda: call("huber", np.zeros((5, 3)), delta=jnp.ones(3)),
            ValueError,
            r"^delta has shape \(3,\), but is one number for the whole batch; jax\.vmap maps",
        ),
        (
            lambda: call("huber", np.zeros((5, 3)), delta="big"),
            TypeError,
            r"^delta is 'big', but must be a number\.$",
        ),
    ],
)
def test_bad_input(bad, error, message):
    with pytest.raises(error, match=message):
        bad()


@pytest.mark.parametrize(
    ("loss", "n_out", "targets", "error", "message"),
    [
        (
            "softmax_cross_entropy",
            3,
            [0, 2, 3, 1],
            ValueError,
            r"^targets has a label outside 0\.\.2, the classes of 3 outputs: 3 at row 2\. Count",
        ),
        ("softmax_cross_entropy", 3, [0, -1], ValueError, r": -1 at row 1\."),
        (
            "softmax_cross_entropy",
            2,
            [[0.5, 0.5], [0.5, 0.6]],
            ValueError,
            r"^targets has soft labels that do not sum to 1: 1\.1 at row 1\. Divide them by",
        ),
        (
            "softmax_cross_entropy",
            2,
            [[0.5, 0.5], [1.5, -0.5]],
            ValueError,
            r"^targets has a soft label below 0: -0\.5 at row 1, column 1\.",
        ),
        ("softmax_cross_entropy", 2, [0.0, 1.0], TypeError, r"class labels are integers"),
        (
            "sigmoid_binary_cross_entropy",
            1,
            [1, -1],
            ValueError,
            r"^targets has a value outside \[0, 1\]: -1 at row 1\. \(y > 0\)\.astype\(int\)",
        ),
        (
            "poisson",
            2,
            [[0, 1], [-2, 1]],
            ValueError,
            r"^targets has a count below 0: -2 at row 1, column 0\. Counts are 0 or more",
        ),
        (
            "squared_error",
            1,
            [1.0, np.nan],
            ValueError,
            r"^targets has a value that is not finite: nan at row 1\. Drop such rows\.$",
        ),
        ("huber", 1, [np.inf], ValueError, r"not finite: inf at row 0"),
        ("squared_error", 2, [1.0, 2.0], ValueError, r"takes \(2, 2\)\. For labels of 2 classes"),
        ("squared_error", 1, 3.0, ValueError, r"^targets has shape \(\), but squared_error"),
        (
            "softmax_cross_entropy",
            2,
            ["cat", "dog"],
            TypeError,
            r"^targets holds <U3 values, not numbers\. Encode names as integers, as in classes,",
        ),
        (Loss.from_value("cosine", cosine_distance), 1, [np.nan], ValueError, r"not finite"),
        ("cosine", 1, [1.0], ValueError, r"^unknown loss 'cosine'"),
    ],
)
def test_target_values_are_checked_on_the_host(loss, n_out, targets, error, message):
    with pytest.raises(error, match=message):
        check_target_values(loss, n_out, targets)


@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_good_targets_pass_the_check(name, kind, options):
    del options
    targets = draw(kind, 7, np.zeros((BATCH, N_OUT)))
    check_target_values(name, N_OUT, targets)
    if targets.ndim == 2:
        check_target_values(name, N_OUT, jnp.asarray(targets, jnp.bfloat16))


def test_boolean_and_column_targets_pass():
    check_target_values("softmax_cross_entropy", 2, [True, False])
    check_target_values("sigmoid_binary_cross_entropy", 1, [True, False])
    check_target_values("squared_error", 1, [[1.0], [2.0]])
    values, _ = call("softmax_cross_entropy", np.array([True, False]), shape=(2, 2))
    np.testing.assert_allclose(values, np.log(2), rtol=1e-6)
