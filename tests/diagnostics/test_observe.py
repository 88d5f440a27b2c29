"""`fit(diagnostics=...)`: its records, a run that stays as it is, the origin of a divergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import by_a_loop

import jaxmlp
from jaxmlp.diagnostics import Diagnostics, NonFinite, diagnose, layer_activity

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12, dtype=np.int32) % 2
CONFIG = jaxmlp.MLPConfig((3, 5, 4, 2))
PARAMS = jaxmlp.init(CONFIG, jax.random.key(0))
RUN = {
    "loss": "softmax_cross_entropy", "optimizer": jaxmlp.sgd(0.1), "key": jax.random.key(1),
    "batch_size": 4, "every": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def watched():
    cadence = Diagnostics(every=2, every_epochs=2)
    return jaxmlp.fit(CONFIG, PARAMS, (X, Y), epochs=5, diagnostics=cadence, **RUN)


def test_records_and_looks_at_their_cadences(watched):
    seen = watched.diagnostics
    assert seen.steps.tolist() == [2, 4, 6, 8, 10, 12, 14]
    assert seen.layers.gradient_norm.shape == (7, 3)
    assert seen.layers is watched.probed
    assert seen.epochs == (0, 2, 4, 5)
    before, after = (layer_activity(CONFIG, params, X) for params in (PARAMS, watched.carry.params))
    np.testing.assert_allclose(seen.activity[0][0].mean, before[0].mean, rtol=1e-5)
    np.testing.assert_allclose(seen.activity[-1][1].mean, after[1].mean, rtol=1e-5)
    J = jaxmlp.objective(CONFIG, RUN["loss"])
    np.testing.assert_allclose(seen.first_loss, J(PARAMS, X, Y), rtol=1e-5)
    np.testing.assert_allclose(seen.chance, np.log(2), rtol=1e-6)
    assert seen.non_finite is None


def test_it_prints_as_a_table(watched):
    lines = str(watched.diagnostics).splitlines()
    assert lines[0].endswith("of the best constant prediction 0.6931")
    assert lines[2] == "from step 2 to step 14:"
    assert [line.split()[0] for line in lines[3:]] == ["layer", "0", "1", "2"]
    assert " of 5 " in lines[4]


def test_the_run_is_what_it_is_without(watched):
    plain = jaxmlp.fit(CONFIG, PARAMS, (X, Y), epochs=5, **RUN)
    np.testing.assert_allclose(
        plain.history["train_loss"], watched.history["train_loss"], rtol=1e-5
    )


def test_a_resumed_run_goes_on_recording(watched):
    cadence = Diagnostics(every=2, every_epochs=2)
    first = jaxmlp.fit(CONFIG, PARAMS, (X, Y), epochs=2, diagnostics=cadence, **RUN)
    whole = jaxmlp.fit(CONFIG, first, (X, Y), epochs=3, diagnostics=cadence, **RUN)
    seen = whole.diagnostics
    assert seen.epochs == (0, 2, 4, 5)
    assert seen.steps.tolist() == watched.diagnostics.steps.tolist()
    assert seen.first_loss == watched.diagnostics.first_loss
    np.testing.assert_allclose(
        seen.layers.gradient_norm, watched.diagnostics.layers.gradient_norm, rtol=1e-5
    )


def test_what_is_no_diagnostics_is_refused():
    with pytest.raises(TypeError, match=r"pass jaxmlp\.Diagnostics\(\), or None"):
        jaxmlp.fit(CONFIG, PARAMS, (X, Y), epochs=1, diagnostics=True, **RUN)
    with pytest.raises(ValueError, match="one or the other"):
        jaxmlp.fit(
            CONFIG, PARAMS, (X, Y), epochs=1, diagnostics=Diagnostics(),
            probe=jaxmlp.probe_layers(CONFIG), **RUN,
        )  # fmt: skip
    with pytest.raises(ValueError, match="every_epochs is 0"):
        Diagnostics(every_epochs=0)


@pytest.mark.parametrize(
    "cadence",
    [
        Diagnostics(),
        pytest.param(Diagnostics(every=1, every_epochs=1), marks=pytest.mark.slow),
    ],
    ids=["seldom", "always"],
)
def test_the_origin_of_a_divergence_is_found_and_told(cadence):
    """Also where an update in the last step of a chunk or record is to blame."""
    config = jaxmlp.MLPConfig((3, 4, 1), activation="identity")
    params = jaxmlp.init(config, jax.random.key(0))
    y = (X @ np.ones((3, 1))).astype(np.float32)
    options = {
        "loss": "squared_error", "optimizer": jaxmlp.sgd(1e3), "key": jax.random.key(1),
        "batch_size": None,
    }  # fmt: skip
    result = jaxmlp.fit(config, params, (X, y), epochs=100, diagnostics=cadence, **options)
    assert result.status is jaxmlp.FitStatus.DIVERGED
    expected = result.diagnostics.non_finite
    assert expected == by_a_loop(config, params, X, y, 1e3)
    finding = diagnose(config, result, (X, y), loss="squared_error")[0]
    assert finding.layer == expected.layer
    assert f"first NaN or infinity was in {expected.tensor} (step {expected.step})" in str(finding)
    assert str(expected) in str(result.diagnostics)


def test_a_poisonous_row_is_found_after_the_first_epoch():
    """Row 40 overflows once the weight that grows with every step is large enough."""
    x, y = np.ones((64, 1), np.float32), np.zeros((64, 1), np.float32)
    x[40], y[40] = 2e38, 0
    config = jaxmlp.MLPConfig((1, 1, 1), activation="identity")
    layers = jaxmlp.init(config, jax.random.key(0))
    params = tuple(layer._replace(W=jnp.ones_like(layer.W)) for layer in layers)
    result = jaxmlp.fit(
        config, params, (x, y), loss="absolute_error", optimizer=jaxmlp.sgd(0.0), epochs=2,
        batch_size=4, key=jax.random.key(1), shuffle=False, diagnostics=Diagnostics(every=3),
    )  # fmt: skip
    assert result.diagnostics.non_finite is None
    doubled = (params[0]._replace(W=2 * params[0].W), params[1])
    result = jaxmlp.fit(
        config, doubled, (x, y), loss="absolute_error", optimizer=jaxmlp.sgd(0.0), epochs=2,
        batch_size=4, key=jax.random.key(1), shuffle=False, diagnostics=Diagnostics(every=3),
    )  # fmt: skip
    assert result.diagnostics.non_finite == NonFinite(10, 0, "outputs")  # row 40 in batches of 4
