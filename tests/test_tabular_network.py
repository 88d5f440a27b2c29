"""The network for tables against jax.grad, and against members that stand alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import gradient_errors, worst
from tabular_cases import fronts, make_network

import jaxmlp
from jaxmlp import LOSSES, FrontConfig, MLPConfig, TabularConfig
from jaxmlp import tabular_network as tn
from jaxmlp.data.tables import piecewise_bins
from jaxmlp.front import front_forward
from jaxmlp.losses import get_loss
from jaxmlp.networks import merge, trainable
from jaxmlp.normalization import batch_statistics

BATCH = 5
RNG = np.random.default_rng(0)
TABLE = np.concatenate([RNG.normal(size=(60, 2)), RNG.integers(0, 3, (60, 1))], axis=1)


# Columns of 1e6 saturate every unit; prepared ones are of about 1.
TAME = fronts().filter(lambda case: "huge" not in case[1])


@pytest.mark.parametrize("n_examples", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_gradients_agree_with_autodiff(n_examples, x64):
    """Input side x loss x penalty x weights x dropout x batch norm, drawn."""

    @settings(max_examples=n_examples, deadline=None, derandomize=True)
    @given(
        case=TAME,
        loss=st.sampled_from(sorted(LOSSES)),
        flags=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        seed=st.integers(0, 2**16),
    )
    def check(case, loss, flags, seed):
        penalized, weighted, dropout, batch_norm = flags
        config, params, x, y = make_network(
            case, seed, BATCH, loss, dropout=dropout, batch_norm=batch_norm
        )
        weight = jnp.asarray(np.random.default_rng(seed).uniform(0.1, 2, BATCH))
        options = {"l2": 0.1 * penalized, "sample_weight": weight if weighted else None}
        if dropout:
            options |= {"key": jax.random.key(seed), "dropout_rate": 0.3}
        assert worst(gradient_errors(config, loss, params, x, y, **options)) <= 1e-12

    check()


def quiet_case(members=3, loss="squared_error", embedding="piecewise", **layers):
    front = FrontConfig(
        3, numbers=(1, 0), categories=((2, 3),), embedding=embedding, width=3, bins=5,
        frequencies=2, category_width=2, members=members,
    )  # fmt: skip
    return make_network((front, ("normal", "normal", "category")), 7, BATCH, loss, **layers)


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("weighted", [False, True])
def test_objective_is_the_mean_of_members_alone(loss, weighted, x64):
    """Each member is an ordinary network on rows of its own; the penalty counts once."""
    config, params, x, y = quiet_case(loss=loss)
    weight = jnp.asarray(np.arange(1.0, BATCH + 1)) if weighted else None
    h, _ = front_forward(config.front, params.front, x)
    alone = jaxmlp.objective(config.mlp, loss)
    values = [
        alone(params.layers, rows, y, l2=0.2, sample_weight=weight) for rows in jnp.split(h, 3)
    ]
    found = tn.objective(config, loss)(params, x, y, l2=0.2, sample_weight=weight)
    np.testing.assert_allclose(found, np.mean(values), rtol=1e-13)
    value, _ = tn.value_and_grad(config, loss)(params, x, y, l2=0.2, sample_weight=weight)
    np.testing.assert_allclose(value, found, rtol=1e-15)


def test_gradient_of_the_layers_is_the_mean_of_members_alone(x64):
    config, params, x, y = quiet_case()
    h, _ = front_forward(config.front, params.front, x)
    alone = jaxmlp.value_and_grad(config.mlp, "squared_error")
    each = [alone(params.layers, rows, y)[1] for rows in jnp.split(h, 3)]
    expected = jax.tree.map(lambda *grads: np.mean(grads, axis=0), *each)
    _, found = tn.value_and_grad(config, "squared_error")(params, x, y)
    for ours, theirs in zip(*map(jax.tree.leaves, (found.layers, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sigmoid_binary_cross_entropy", "poisson", "huber"]
)
def test_predictions_are_the_mean_of_the_members(loss, members, x64):
    """Of probabilities, rates or numbers: what the loss's link makes of the logits."""
    config, params, x, _ = quiet_case(members, loss)
    link = get_loss(loss).link
    each = np.asarray(link(tn.member_logits(config, params, x))).reshape(members, BATCH, -1)
    found = link(tn.predict(config, params, x))
    np.testing.assert_allclose(found, each.mean(axis=0), rtol=1e-12)


def test_extreme_members_are_averaged_without_overflow():
    """A member that is sure beyond float32's exponents leaves the mean what it is."""
    front = FrontConfig(1, members=2)
    outputs = jnp.asarray([[1000.0], [-1000.0]])
    config = TabularConfig(front, MLPConfig((1, 1)), "sigmoid")
    np.testing.assert_allclose(tn.mean_logits(config, outputs), [[0.0]], atol=1e-6)
    config = TabularConfig(front, MLPConfig((1, 1)), "exp")
    np.testing.assert_allclose(tn.mean_logits(config, outputs), [[1000 - np.log(2)]])


def test_forward_and_backward_are_jax_vjp(x64):
    config, params, x, _ = quiet_case(dropout=True)
    options = {"key": jax.random.key(3), "dropout_rate": 0.4}
    outputs, cache = tn.forward(config, params, x, **options)
    d_outputs = jnp.asarray(np.random.default_rng(1).normal(size=outputs.shape))
    grads, d_x = tn.backward(config, params, cache, d_outputs)
    _, pull_back = jax.vjp(lambda p, x: tn.forward(config, p, x, **options)[0], params, x)
    expected, expected_x = pull_back(d_outputs)
    np.testing.assert_allclose(d_x, expected_x, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(*map(jax.tree.leaves, (grads.layers, expected.layers)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)


def test_batch_norm_takes_its_statistics_from_all_members(x64):
    config, params, x, _ = quiet_case(batch_norm=True)
    h = np.asarray(tn.layers_inputs(config, params, x))
    z = h @ np.asarray(params.layers[0].W)
    _, cache = tn.forward(config, params, x)
    statistics = batch_statistics(cache.layers)
    np.testing.assert_allclose(statistics[0].mean, z.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics[0].var, z.var(axis=0), rtol=1e-12)


def test_frozen_layers_and_constants_have_gradient_zero(x64):
    config, params, x, y = quiet_case()
    _, grads = tn.value_and_grad(config, "squared_error", frozen=(1,))(params, x, y, l2=0.3)
    theirs = jax.grad(tn.objective(config, "squared_error", frozen=(1,)))(params, x, y, l2=0.3)
    for part in (grads, theirs):
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(part.layers[1]))
        assert not np.any(part.front.numbers.starts)
        assert not np.any(part.front.numbers.widths)
    np.testing.assert_allclose(grads.layers[0].W, theirs.layers[0].W, rtol=1e-11)
    moving = trainable(params, (1,))
    assert len(moving.layers) == 2
    assert moving.front.numbers.starts is None
    restored = merge(params, jax.tree.map(lambda leaf: leaf + 1, moving), (1,))
    assert jax.tree.structure(restored) == jax.tree.structure(params)
    np.testing.assert_array_equal(restored.layers[1].W, params.layers[1].W)
    np.testing.assert_array_equal(restored.layers[2].W, params.layers[2].W + 1)
    np.testing.assert_array_equal(restored.front.numbers.starts, params.front.numbers.starts)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "absolute_error"])
def test_aux_is_the_mean_prediction_and_the_statistics(loss, x64):
    config, params, x, y = quiet_case(loss=loss, batch_norm=True)
    _, (outputs, statistics) = tn.objective(config, loss, has_aux=True)(params, x, y)
    (_, aux), _ = tn.value_and_grad(config, loss, has_aux=True)(params, x, y)
    members, cache = tn.forward(config, params, x)
    for found in ((outputs, statistics), aux):
        np.testing.assert_allclose(found[0], tn.mean_logits(config, members), rtol=1e-14)
        np.testing.assert_array_equal(found[1][0].mean, batch_statistics(cache.layers)[0].mean)


def fit_case(embedding, members, **layers):
    """A network in float32, and data that it can learn."""
    front = FrontConfig(
        3, numbers=(0, 1), categories=((2, 3),), embedding=embedding, width=4, bins=6,
        frequencies=3, category_width=2, members=members,
    )  # fmt: skip
    config = TabularConfig(front, MLPConfig((front.n_out, 8, 1), **layers))
    params = tn.init(config, jax.random.key(0), piecewise_bins(TABLE[:, :2], 6))
    y = np.abs(TABLE[:, 0]) + TABLE[:, 2] - 1
    return config, params, (TABLE.astype(np.float32), y[:, None].astype(np.float32))


def run(case, epochs, **options):
    config, params, data = case
    return jaxmlp.fit(
        config, params, data, loss="squared_error", optimizer=jaxmlp.adam(0.03), epochs=epochs,
        batch_size=16, key=jax.random.key(1), **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("embedding", "members"),
    [
        ("piecewise", 4),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("piecewise", 1), ("periodic", 4), ("periodic", 1), (None, 4), (None, 1)]
        ),
    ],
)
def test_fit_learns(embedding, members):
    case = fit_case(embedding, members)
    result = run(case, 60, validation_data=case[2])
    explained = 1 - 2 * result.history["validation_loss"][-1] / np.var(case[2][1])
    assert explained > 0.9
    score = jaxmlp.evaluate(case[0], result.params, case[2], "squared_error")
    predicted = tn.predict(case[0], result.params, case[2][0])
    expected = np.mean((np.asarray(predicted) - case[2][1]) ** 2) / 2
    assert float(score["loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("embedding", ["piecewise", "periodic"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(embedding):
    case = fit_case(embedding, 3, dropout=True)
    whole, first = run(case, 5), run(case, 2)
    rest = run((case[0], first, case[2]), 3)
    for a, b in zip(*map(jax.tree.leaves, (whole.params, rest.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole.history["train_loss"], rest.history["train_loss"])


@pytest.mark.slow
def test_manual_and_autodiff_train_alike():
    case = fit_case("piecewise", 3)
    manual, autodiff = run(case, 5), run(case, 5, gradient="autodiff")
    for a, b in zip(*map(jax.tree.leaves, (manual.params, autodiff.params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    for name in ("starts", "widths"):
        kept, known = (getattr(p.front.numbers, name) for p in (manual.params, case[1]))
        np.testing.assert_array_equal(kept, known)


def test_float32_is_float64_rounded():
    """The same network on the same rows, to the precision of float32."""
    config, params, (x, y) = fit_case("piecewise", 3)
    value, grads = jax.jit(tn.value_and_grad(config, "squared_error"))(params, x, y)
    with jax.enable_x64(True):
        wide = TabularConfig(config.front, config.mlp.replace(dtype="float64"))
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, "float64"), params)
        expected, theirs = jax.jit(tn.value_and_grad(wide, "squared_error"))(params, x, y)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    for a, b in zip(*map(jax.tree.leaves, (grads, theirs)), strict=True):
        scale = np.max(np.abs(b))
        np.testing.assert_allclose(np.asarray(a), b, atol=1e-5 * (scale if scale else 1))


FRONT = FrontConfig(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TabularConfig(FRONT, MLPConfig((3, 1))), "begin layer_sizes with front.n_out"),
        (lambda: TabularConfig(FRONT, MLPConfig((2, 1)), "logit"), "unknown link"),
        (lambda: TabularConfig(FRONT, MLPConfig((2, 1), dtype="bfloat16")), "compute_dtype"),
    ],
)
def test_bad_configs_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_parameters_are_explained():
    config, params, (x, _) = fit_case(None, 2)
    with pytest.raises(TypeError, match=r"not a jaxmlp\.TabularParams"):
        tn.predict(config, params.layers, x)
    with pytest.raises(ValueError, match="other arrays than the config"):
        tn.predict(config, params._replace(front=params.front._replace(r=None)), x)
    with pytest.raises(ValueError, match="x has 2 features"):
        tn.predict(config, params, x[:, :2])


def test_configs_come_back_from_their_dicts():
    config, *_ = fit_case("periodic", 3, dropout=True)
    assert TabularConfig.from_dict(config.to_dict()) == config
    sizes = jax.tree.map(jnp.size, trainable(fit_case("piecewise", 3)[1], ()))
    assert sum(jax.tree.leaves(sizes)) == fit_case("piecewise", 3)[0].n_parameters
