"""The options of training: documented and checked once, whoever takes them."""

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.sweeps.spec import _SWEEP_DEFAULTS, SweepOptions
from jaxmlp.training import FitOptions, TrainingOptions
from jaxmlp.training.fit import FIT_DEFAULTS
from jaxmlp.training.options import DEFAULTS

CONFIG = jaxmlp.MLPConfig((2, 2))
DATA = np.eye(2), np.array([0, 1])
GIVEN = {"loss": "softmax_cross_entropy", "epochs": 1, "key": jax.random.key(0)}


def fit(**options):
    params = jaxmlp.init(CONFIG, jax.random.key(0))
    return jaxmlp.fit(CONFIG, params, DATA, optimizer=jaxmlp.sgd(0.1), **GIVEN, **options)


def sweep(**options):
    return jaxmlp.sweep(CONFIG, DATA, grid={"seed": [0]}, **GIVEN, **options)


def halve(**options):
    return jaxmlp.successive_halving(CONFIG, DATA, grid={"seed": [0]}, **GIVEN, **options)


def cross_validate(**options):
    return jaxmlp.cross_validate(CONFIG, DATA, folds=2, **GIVEN, **options)


def ensemble(**options):
    return jaxmlp.ensemble(CONFIG, DATA, n_members=1, **GIVEN, **options)


@pytest.mark.parametrize("train", [fit, sweep, halve, cross_validate, ensemble])
@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"batchsize": 1}, TypeError, "unknown option .*'batchsize'. Did you mean 'batch_size'"),
        ({"monitor": print}, TypeError, "'monitor' is now called 'probe'"),
        ({"gradient": "manul"}, ValueError, "Did you mean 'manual'"),
        ({"l2": -1.0}, ValueError, "l2 is -1.0"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"frozen": (0,)}, ValueError, "nothing would train"),
        ({"sample_weight": [0.0, 0.0]}, ValueError, "not all zero"),
        ({"loss_options": {"smoothing": 0.1}}, ValueError, "'label_smoothing'"),
    ],
)
def test_everybody_refuses_alike(train, option, error, message):
    with pytest.raises(error, match=message):
        train(**option)


def test_every_option_has_a_default_and_a_line():
    for options, defaults in (
        (TrainingOptions, DEFAULTS), (FitOptions, FIT_DEFAULTS), (SweepOptions, _SWEEP_DEFAULTS),
    ):  # fmt: skip
        assert set(options.__annotations__) == set(defaults)
        documented = (TrainingOptions.__doc__ or "") + (options.__doc__ or "")
        for name in defaults:
            assert f"\n        {name}: " in documented, name
