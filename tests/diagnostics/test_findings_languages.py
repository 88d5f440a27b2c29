"""Every sentence of the doctor, in both languages, with the same numbers."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.overfitting import draw
from jaxmlp.diagnostics import Finding, FindingKind, Severity, diagnose, probe_layers
from jaxmlp.initializers import constant, normal
from jaxmlp.training.history import History
from tests.languages import check_both, is_vietnamese, numbers, said_in, templates

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype(np.float32)
CLASSES = (X[:, 0] * X[:, 1] > 0).astype(np.int32) + (X[:, 2] > 0)
AMOUNTS = (X @ RNG.normal(size=(4, 1)) + X[:, :1] * X[:, 1:2]).astype(np.float32)
SOFTMAX, SIGMOID = "softmax_cross_entropy", "sigmoid_binary_cross_entropy"


def network(sizes=(4, 16, 3), activation="tanh", **options):
    config = jaxmlp.MLPConfig(sizes, activation, **options)
    return config, jaxmlp.init(config, jax.random.key(0))


def trained(optimizer, epochs=5, **options):
    config, params = network()
    return jaxmlp.fit(
        config, params, (X, CLASSES), loss=SOFTMAX, optimizer=optimizer, epochs=epochs,
        key=jax.random.key(1), batch_size=32, **options,
    )  # fmt: skip


def of_data():
    scale = np.array([1, 1, 1, 50], np.float32)
    for x in (X * scale, 0.001 * X, 9 + 0.3 * X, X * np.nan):
        yield from diagnose(*network(), (x, CLASSES), loss=SOFTMAX)
    twins = np.stack([X[:, 0], X[:, 0] + 1e-3 * X[:, 1]], axis=1)
    yield from diagnose(*network((2, 16, 3)), (twins, np.int32(X[:, 1] > 0)), loss=SOFTMAX)
    of_one = network((4, 16, 1))
    for y in (1000 * AMOUNTS, AMOUNTS * np.nan, np.minimum(CLASSES, 1), CLASSES):
        yield from diagnose(*of_one, (X, np.float32(y).reshape(-1, 1)), loss="squared_error")
    shares = RNG.uniform(size=(200, 1)).astype(np.float32)
    yield from diagnose(*of_one, (X, shares), loss=SIGMOID)
    yield from diagnose(*network(), (X, np.eye(3, dtype=np.float32)[CLASSES]), loss=SIGMOID)


def of_networks():
    deep = (4, *(16,) * 8, 3)
    for ill in (
        network(weight_init=constant(0.2)),
        network(activation="relu", bias_init=-30.0),
        network(weight_init=normal(20.0)),
        network(deep, "tanh", weight_init=normal(0.01)),
        network(deep, "sigmoid", weight_init=normal(0.01)),
        network(deep, "relu", weight_init=normal(2.0)),
    ):
        yield from diagnose(*ill, (X, CLASSES), loss=SOFTMAX)
    slow, options = network((4, *(16,) * 5, 3), "sigmoid"), {"loss": SOFTMAX}
    yield from diagnose(*slow, (X, CLASSES), optimizer=jaxmlp.sgd(0.01), **options)
    config, (first, *others) = network((4, 16, 16, 3))
    bad = first._replace(W=first.W.at[0, 0].set(np.nan))
    yield from diagnose(config, (bad, *others), (X, CLASSES), loss=SOFTMAX)
    alike = first._replace(W=first.W[:, :1] + 1e-2 * first.W)
    yield from diagnose(config, (alike, *others), (X, CLASSES), loss=SOFTMAX)
    counts = RNG.poisson(1.0, (200, 1)).astype(np.float32)
    large = network((4, *(16,) * 6, 1), "relu", weight_init=normal(0.8))
    yield from diagnose(*large, (X, counts), loss="poisson")


def of_training():
    config, params = network()
    for rate in (1e-4, 300.0, 1e30):
        rule = {"optimizer": jaxmlp.sgd(rate)}
        yield from diagnose(config, params, (X, CLASSES), loss=SOFTMAX, **rule)
    for watch in ({}, {"diagnostics": jaxmlp.Diagnostics()}):
        yield from diagnose(config, trained(jaxmlp.sgd(1e38), **watch), (X, CLASSES), loss=SOFTMAX)
    jumpy = trained(jaxmlp.adam(3.0), 1, probe=probe_layers(config), probe_every=1)
    yield from diagnose(config, jumpy, (X, CLASSES), loss=SOFTMAX)
    rising = trained(jaxmlp.sgd(0.1))
    history = History({**rising.history, "train_loss": np.array([0.5, 1.0, 2.0, 3.0, 4.0])})
    yield from diagnose(config, replace(rising, history=history), (X, CLASSES), loss=SOFTMAX)
    data, validation = draw("diabetes", 0, planted=True)
    config, params = network((10, 128, 1), "relu")
    result = jaxmlp.fit(
        config, params, data, loss="squared_error", epochs=150, optimizer=jaxmlp.adam(3e-3),
        key=jax.random.key(1), batch_size=32, validation_data=validation,
    )  # fmt: skip
    for learnt in (result, result.params):
        yield from diagnose(
            config, learnt, data, loss="squared_error", validation_data=validation, trial_steps=0
        )


def test_every_sentence_is_said_in_both_languages():
    seen = set()
    for finding in (*of_data(), *of_networks(), *of_training()):
        for text in (finding.evidence, finding.remedy):
            check_both(text)
            seen |= templates(text)
        vietnamese = finding.in_language("vi")
        assert is_vietnamese(vietnamese.title)
        assert numbers(str(vietnamese)) == numbers(str(finding))
        assert vietnamese.in_language("en") == finding
    assert said_in("diagnostics/rules/") - seen == set()


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_has_a_title(kind):
    finding = Finding(kind, 2, Severity.INFO, "", "")
    assert finding.title == f"info: {kind.value.replace('_', ' ')}, layer 2"
    assert is_vietnamese(finding.in_language("vi").title)


def test_the_doctor_speaks_the_language_that_is_asked_for():
    config, params = network(weight_init=constant(0.2))
    english, vietnamese = (
        diagnose(config, params, (X, CLASSES), loss=SOFTMAX, language=language)[0]
        for language in ("en", "vi")
    )
    assert vietnamese == english.in_language("vi")
    assert str(vietnamese).startswith("nghiêm trọng: mọi đơn vị có cùng trọng số, tầng 0\n  Cả 16")
    assert "\n  Cách chữa: Hãy lấy trọng số ngẫu nhiên" in str(vietnamese)
    with pytest.raises(ValueError, match="unknown language 'de'"):
        diagnose(config, params, (X, CLASSES), loss=SOFTMAX, language="de")
