"""The config: canonical, hashable, static, and clear about mistakes."""

import json

import jax
import pytest

from jaxmlp import Activation, MLPConfig


def test_equal_settings_are_equal_configs():
    assert MLPConfig([64, 10], dtype="float32") == MLPConfig((64, 10), dtype=jax.numpy.float32)
    assert hash(MLPConfig((3, 4, 2))) == hash(MLPConfig([3, 4, 2]))


def test_parameters_are_counted():
    assert MLPConfig((64, 128, 10)).n_parameters == 64 * 128 + 128 + 128 * 10 + 10
    assert MLPConfig((3, 4, 2), batch_norm=True).n_parameters == 3 * 4 + 8 + 4 * 2 + 2


def test_json_round_trip():
    config = MLPConfig((3, 4, 4, 2), ("tanh", "relu"), dropout=(True, False), batch_norm=True)
    assert MLPConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_auto_init_follows_the_activation():
    config = MLPConfig((3, 4, 4, 2), ("relu", "tanh"))
    names = [initializer.__name__ for initializer in config.initializers]
    assert names[:2] == ["he_normal", "xavier_normal"]


BAD = [
    (lambda: MLPConfig(64), "units of every layer"),
    (lambda: MLPConfig("64"), "units of every layer"),
    (lambda: MLPConfig((64,)), "at least the input and the output"),
    (lambda: MLPConfig((64, 0, 10)), "whole number >= 1"),
    (lambda: MLPConfig((64, 2.5, 10)), "whole number >= 1"),
    (lambda: MLPConfig((64, 8, 10), "rleu"), "Did you mean 'relu'"),
    (lambda: MLPConfig((64, 8, 10), ("relu", "tanh")), "makes 1 hidden layers"),
    (lambda: MLPConfig((64, 8, 10), weight_init="xavier"), "unknown init"),
    (lambda: MLPConfig((64, 8, 10), weight_init=("auto",)), "makes 2 layers"),
    (lambda: MLPConfig((64, 8, 10), dropout=0.2), "dropout_rate=0.2"),
    (lambda: MLPConfig((64, 8, 10), batch_norm="yes"), "batch_norm=True switches"),
    (lambda: MLPConfig((64, 8, 10), batch_norm_momentum=1.5), r"lies in \[0, 1\]"),
    (lambda: MLPConfig((64, 8, 10), batch_norm_eps=0.0), "positive number"),
    (lambda: MLPConfig((64, 8, 10), bias_init=float("nan")), "finite number"),
    (lambda: MLPConfig((64, 8, 10), dtype="float16"), "unknown dtype 'float16'"),
    (lambda: MLPConfig((64, 8, 10), compute_dtype="int32"), "unknown compute_dtype"),
    (lambda: MLPConfig((64, 8, 10), dtype="float64"), "64-bit types disabled"),
    (lambda: MLPConfig.from_dict({"layer_size": (2, 1)}), "Did you mean 'layer_sizes'"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_settings_are_explained(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_an_own_activation_has_no_name_for_a_file():
    own = Activation.from_function("cube", lambda z: z**3)
    with pytest.raises(ValueError, match="not in the registry"):
        MLPConfig((3, 4, 2), own).to_dict()
