"""PyTorch: the transpose by hand, orders that can be inferred or not, files, and torch itself."""

import jax
import numpy as np
import pytest
import safetensors.numpy

import jaxmlp
from jaxmlp import interchange
from jaxmlp.interchange import from_torch, to_torch
from jaxmlp.models import Model

RNG = np.random.default_rng(0)


def linear(n_in, n_out, bias=True):
    fields = {"weight": RNG.normal(size=(n_out, n_in)).astype(np.float32)}
    return fields | ({"bias": RNG.normal(size=n_out).astype(np.float32)} if bias else {})


def norm(n):
    statistics = {"running_mean": RNG.normal(size=n), "running_var": RNG.uniform(0.5, 2, n)}
    fields = {"weight": RNG.normal(size=n), "bias": RNG.normal(size=n), **statistics}
    return {k: v.astype(np.float32) for k, v in fields.items()} | {
        "num_batches_tracked": np.array(3)
    }


def state_dict(**modules):
    """Underscores stand for dots in the names of modules."""
    return {
        f"{name.replace('_', '.').lstrip('n')}.{field}": array
        for name, fields in modules.items()
        for field, array in fields.items()
    }


def test_the_lecture_s_example_arrives():
    """x = (1, 2), W_h = [[.5, .3], [.2, .4]], w_o = (.6, .7): the output is 1.31."""
    weights = {
        "0.weight": np.array([[0.5, 0.2], [0.3, 0.4]], np.float32),
        "2.weight": np.array([[0.6, 0.7]], np.float32),
    }
    config, params, state = from_torch(weights)
    assert (config.layer_sizes, config.activation, state) == ((2, 2, 1), "relu", ())
    np.testing.assert_array_equal(params[0].W, weights["0.weight"].T)
    output = jaxmlp.predict(config, params, np.array([[1, 2]], np.float32))
    np.testing.assert_allclose(output, [[1.31]], rtol=1e-6)


def test_order_of_ten_and_more_layers():
    """ "10.weight" sorts before "2.weight" in a safetensors file."""
    weights = state_dict(**{f"n{2 * l}": linear(3, 3) for l in range(7)})
    shuffled = dict(sorted(weights.items()))
    _, params, _ = from_torch(shuffled)
    for l, layer in enumerate(params):
        np.testing.assert_array_equal(layer.W, weights[f"{2 * l}.weight"].T)


def test_names_in_any_order_if_sizes_tell():
    weights = state_dict(head=linear(5, 2), trunk_fc=linear(4, 5))
    config, params, _ = from_torch(weights, activation="tanh")
    assert config.layer_sizes == (4, 5, 2)
    np.testing.assert_array_equal(params[1].b, weights["head.bias"])


def test_names_that_sizes_do_not_order():
    weights = state_dict(a=linear(3, 3), b=linear(3, 3))
    with pytest.raises(ValueError, match=r"'a', 'b' fit together in more than one order. Pass lay"):
        from_torch(weights)
    _, params, _ = from_torch(weights, layers=["b", "a"])
    np.testing.assert_array_equal(params[0].b, weights["b.bias"])


def test_a_mapping_takes_some_layers_and_their_normalization():
    weights = state_dict(
        conv={"weight": np.ones((2, 3, 5, 5))}, fc1=linear(4, 6), bn=norm(6), fc2=linear(6, 3)
    )
    with pytest.raises(ValueError, match=r"module 'conv' \(weight \(2, 3, 5, 5\)\) is neither nn"):
        from_torch(weights)
    config, params, state = from_torch(weights, layers=[("fc1", "bn"), "fc2"])
    assert config.batch_norm is True
    np.testing.assert_array_equal(params[0].gamma, weights["bn.weight"])
    np.testing.assert_allclose(
        state[0].mean, weights["bn.running_mean"] - weights["fc1.bias"], rtol=1e-6
    )
    np.testing.assert_array_equal(state[0].var, weights["bn.running_var"])


def relu(z):
    return np.maximum(z, 0)


def apply(fields, x):
    """nn.Linear or nn.BatchNorm1d in eval mode, in float64."""
    fields = {k: v.astype(np.float64) for k, v in fields.items()}
    if "running_mean" not in fields:
        return x @ fields["weight"].T + fields.get("bias", 0.0)
    x_hat = (x - fields["running_mean"]) / np.sqrt(fields["running_var"] + 1e-5)
    return x_hat * fields["weight"] + fields["bias"]


def test_normalization_at_the_input_and_after_the_activation():
    """BatchNorm, Linear, ReLU, BatchNorm, Linear: folded, with the same outputs."""
    modules = {"n0": norm(4), "n1": linear(4, 6), "n3": norm(6), "n4": linear(6, 3)}
    config, params, _ = from_torch(state_dict(**modules))
    assert config.batch_norm is False
    x = RNG.normal(size=(50, 4)).astype(np.float32)
    h = relu(apply(modules["n1"], apply(modules["n0"], x)))
    expected = apply(modules["n4"], apply(modules["n3"], h))
    np.testing.assert_allclose(jaxmlp.predict(config, params, x), expected, rtol=1e-4, atol=1e-5)


def test_normalization_before_the_activation_stays_one():
    modules = {"n0": linear(4, 6), "n1": norm(6), "n3": linear(6, 3), "n4": norm(3)}
    config, params, state = from_torch(state_dict(**modules))
    assert config.normalized == (True, False)  # that of the outputs is folded
    x = RNG.normal(size=(50, 4)).astype(np.float32)
    h = relu(apply(modules["n1"], apply(modules["n0"], x)))
    expected = apply(modules["n4"], apply(modules["n3"], h))
    outputs = jaxmlp.predict(config, params, x, state=state)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_files_of_safetensors(tmp_path):
    weights = state_dict(n0=linear(2, 3), n2=linear(3, 1))
    safetensors.numpy.save_file(weights, tmp_path / "w.safetensors")
    _, params, _ = from_torch(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(params[0].W, weights["0.weight"].T)


def test_a_checkpoint_around_the_weights():
    weights = state_dict(model_fc=linear(2, 1))
    config, _, _ = from_torch({"epoch": 3, "state_dict": weights})
    assert config.layer_sizes == (2, 1)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "there is no dense layer"),
        ([1, 2], "a list holds no weights by name"),
        ({"fc.weight": "text"}, "'fc.weight' is a str, not a tensor"),
        (state_dict(n0=linear(2, 3), n2=linear(4, 1)), "layer 1 turns 4 values into 1, but gets 3"),
        (state_dict(a=linear(2, 3), b=linear(4, 1)), "no order of the layers 'a', 'b' makes"),
        (state_dict(n0=linear(2, 3) | {"bias": np.ones(2)}), "bias of layer 0 has shape"),
        (
            state_dict(n0={"weight": np.ones((2, 3), np.int64)}),
            "holds int64 that are not",
        ),
        (state_dict(n0={"weight": np.full((2, 3), np.nan)}), "not all finite numbers"),
        (state_dict(n0={"weight": np.ones((2, 3))}), "dtype is float64, but JAX runs with 64-bit"),
        (
            state_dict(n0={"weight": np.ones(3), "bias": np.ones(3)}),
            "is neither nn.Linear nor",
        ),
        (state_dict(n0=linear(2, 3), n2=norm(3)), "'2' after an activation ends the network"),
    ],
)
def test_weights_that_are_refused(weights, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        from_torch(weights)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none.pt"):
        from_torch(tmp_path / "none.pt")
    (tmp_path / "w.safetensors").write_bytes(b"abc")
    with pytest.raises(ValueError, match="is truncated or damaged"):
        from_torch(tmp_path / "w.safetensors")


def test_half_precision_becomes_single():
    weights = {"0.weight": np.ones((2, 3), np.float16)}
    config, params, _ = from_torch(weights)
    assert (config.dtype, params[0].W.dtype) == ("float32", np.float32)


def model(**changes):
    config = jaxmlp.MLPConfig((4, 6, 5, 2), ("gelu", "selu"), **changes)
    return Model(config, jaxmlp.init(config, jax.random.key(0)), jaxmlp.init_state(config))


def test_names_of_what_leaves():
    names = list(to_torch(model(batch_norm=(True, False), dropout=(False, True))))
    assert names == [
        "0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var",
        "1.num_batches_tracked", "3.weight", "3.bias", "6.weight", "6.bias",
    ]  # fmt: skip


def test_there_and_back_without_torch():
    """All bits of the weights, through the state_dict's names alone."""
    there = model(batch_norm=(True, False), dropout=(False, True))
    back = from_torch(to_torch(there), activation=("gelu", "selu"))
    jax.tree.map(np.testing.assert_array_equal, back[1:], (there.params, there.state))
    assert back.config == there.config.replace(dropout=False)


class TestWithTorch:
    """Against PyTorch itself; the module is read as a whole, its activations included."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def test_a_module_tells_activations_eps_and_momentum(self):
        nn = self.torch.nn
        block = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, eps=1e-3, momentum=0.2), nn.GELU())
        module = nn.Sequential(
            nn.Flatten(), block, nn.Dropout(), nn.Linear(6, 5, bias=False), nn.LeakyReLU(),
            nn.Linear(5, 5), nn.GELU("tanh"), nn.BatchNorm1d(5, eps=1e-3, momentum=0.2),
            nn.Linear(5, 2),
        ).eval()  # fmt: skip
        for part in (block[1], module[7]):
            nn.init.uniform_(part.weight)
            part.running_mean.uniform_()
        config, params, state = from_torch(module)
        assert config.activation == ("gelu_exact", "leaky_relu", "gelu")
        assert config.batch_norm_eps == 1e-3
        assert config.batch_norm_momentum == pytest.approx(0.8)
        x = RNG.normal(size=(100, 4)).astype(np.float32)
        expected = module(self.torch.from_numpy(x)).detach().numpy()
        outputs = jaxmlp.predict(config, params, x, state=state)
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("suffix", ["pt", "safetensors"])
    def test_files(self, tmp_path, suffix):
        module = self.torch.nn.Sequential(self.torch.nn.Linear(2, 3))
        path = tmp_path / f"w.{suffix}"
        if suffix == "pt":
            self.torch.save(module.state_dict(), path)
        else:
            pytest.importorskip("safetensors.torch").save_file(module.state_dict(), path)
        _, params, _ = from_torch(path)
        np.testing.assert_array_equal(params[0].W, module[0].weight.detach().numpy().T)

    def test_a_pickled_module_is_refused(self, tmp_path):
        self.torch.save(self.torch.nn.Linear(2, 3), tmp_path / "module.pt")
        (tmp_path / "text.pt").write_text("no weights")
        for name in ("module.pt", "text.pt"):
            with pytest.raises(ValueError, match="is not a file of weights alone") as caught:
                from_torch(tmp_path / name)
            assert "\n" not in str(caught.value)

    def test_bfloat16(self):
        module = self.torch.nn.Sequential(self.torch.nn.Linear(2, 3)).bfloat16()
        config, params, _ = from_torch(module)
        assert config.dtype == "bfloat16"
        back = interchange.to_torch_module(Model(config, params))
        assert self.torch.equal(back[0].weight, module[0].weight)

    @pytest.mark.parametrize(
        ("last", "message"),
        [
            ("Softmax", "has no counterpart here"),
            ("Sigmoid", "the network ends with the activation 'sigmoid'"),
            ("Conv1d", "has no counterpart here"),
        ],
    )
    def test_modules_that_are_refused(self, last, message):
        nn = self.torch.nn
        part = {"Softmax": lambda: nn.Softmax(1), "Sigmoid": nn.Sigmoid,
                "Conv1d": lambda: nn.Conv1d(1, 1, 1)}[last]()  # fmt: skip
        with pytest.raises(ValueError, match=message):
            from_torch(nn.Sequential(nn.Linear(2, 3), part))

    def test_a_subclass_in_the_order_of_its_attributes(self):
        torch = self.torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.z = torch.nn.Linear(3, 3)
                self.a = torch.nn.Linear(3, 3)

        net = Net()
        for source in (net, net.state_dict()):
            _, params, _ = from_torch(source)
            np.testing.assert_array_equal(params[0].b, net.z.bias.detach().numpy())

    def test_the_source_is_that_module(self):
        from jaxmlp.interchange.pytorch_module import torch_source

        there = model(batch_norm=(True, False), dropout=(False, True))
        module = eval(torch_source(there), {"nn": self.torch.nn})
        weights = {k: self.torch.from_numpy(np.array(v)) for k, v in to_torch(there).items()}
        module.load_state_dict(weights)
        x = self.torch.ones(1, 4)
        assert self.torch.equal(module.eval()(x), interchange.to_torch_module(there)(x))
