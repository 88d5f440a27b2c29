"""Tuning through a backbone: gradients against jax.grad and PyTorch, what is frozen, the modes."""

import importlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import MLPConfig
from jaxmlp.backbones import Backbone, backbone_of
from jaxmlp.data import Standardizer
from jaxmlp.finetuning import (
    JointParams,
    finetune_backbone,
    objective_through,
    value_and_grad_through,
)
from jaxmlp.models import load, save
from jaxmlp.training import EarlyStopping, FitStatus
from jaxmlp.verification import check_gradients

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 8, 8, 2)).astype(np.float32)
Y = (IMAGES[:, :4].mean(axis=(1, 2, 3)) > IMAGES[:, 4:].mean(axis=(1, 2, 3))).astype(np.int32)
STANDARDIZER = Standardizer(RNG.normal(size=6), RNG.uniform(0.5, 2, 6), 6, -1.0, 1.0)
HEAD = MLPConfig((6, 5, 3), activation="tanh")


def convolutions(params, x):
    for name in ("low", "high"):
        x = jax.lax.conv_general_dilated(
            x, params[name]["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jnp.tanh(x + params[name]["bias"][None, None, None])
    return x.mean(axis=(1, 2))


def jax_backbone():
    keys = jax.random.split(jax.random.key(0), 2)
    params = {
        name: {"kernel": 0.4 * jax.random.normal(key, (3, 3, *sizes)), "bias": jnp.zeros(sizes[1])}
        for name, key, sizes in zip(("low", "high"), keys, ((2, 4), (4, 6)), strict=True)
    }
    return Backbone.wrap(convolutions, params), params


def joint(backbone):
    head = jaxmlp.init(HEAD, jax.random.key(1))
    return JointParams({n: jnp.asarray(p) for n, p in backbone.model.parameters.items()}, head)


def test_gradient_of_a_jax_network_with_our_head_is_that_of_jax():
    backbone, params = jax_backbone()
    y, (mean, scale) = np.arange(24) % 3, (v.astype(np.float32)[None] for v in STANDARDIZER[:2])

    def objective(both):
        features = (convolutions(both[0], IMAGES) - mean) / scale
        (W1, b1, *_), (W2, b2, *_) = both[1]
        logits = jnp.tanh(features @ W1 + b1[None]) @ W2 + b2[None]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(24), y])

    own = joint(backbone)
    wanted, grads = jax.value_and_grad(objective)((params, own.head))
    gradient = value_and_grad_through(
        backbone, HEAD, "softmax_cross_entropy", standardizer=STANDARDIZER
    )
    value, found = jax.jit(gradient)(own, IMAGES, y)  # one program
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    for block in params:
        for name, grad in grads[0][block].items():
            assert np.abs(grad).max() > 1e-4
            np.testing.assert_allclose(found.backbone[f"{block}.{name}"], grad, atol=1e-6)
    for ours, theirs in zip(found.head, grads[1], strict=True):
        np.testing.assert_allclose(ours.W, theirs.W, atol=1e-6)


def test_the_gradient_through_a_backbone_is_proven_and_a_slip_is_found():
    backbone, _ = jax_backbone()
    call = (joint(backbone), IMAGES[:6], np.arange(6) % 3)
    kinds = (backbone, HEAD, "softmax_cross_entropy")
    objective = objective_through(*kinds, standardizer=STANDARDIZER)
    right = value_and_grad_through(*kinds, standardizer=STANDARDIZER)
    assert check_gradients(right, objective, *call).passed
    unscaled = STANDARDIZER._replace(scale=np.ones(6), mean=STANDARDIZER.mean)

    def slip(*call):
        value, grads = right(*call)
        _, other = value_and_grad_through(*kinds, standardizer=unscaled)(*call)
        return value, grads._replace(backbone=other.backbone)

    report = check_gradients(slip, objective, *call)
    assert {leaf.name.split("[")[0] for leaf in report.failures} == {"params.backbone"}


def torch_network():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        low = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4))
        high = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3), torch.nn.BatchNorm2d(6))
        for norm in (low[1], high[1]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        pool = torch.nn.AdaptiveAvgPool2d(1)
        layers = {"low": low, "act": torch.nn.Tanh(), "high": high, "pool": pool}
    return torch, torch.nn.Sequential(torch.nn.modules.container.OrderedDict(layers))


def test_gradient_of_a_torch_network_with_our_head_is_that_of_torch():
    torch, module = torch_network()
    backbone = Backbone.wrap(module, name="convolutions")
    items, y = list(IMAGES.transpose(0, 3, 1, 2)), np.arange(24) % 3
    own = joint(backbone)
    gradient = value_and_grad_through(
        backbone, HEAD, "softmax_cross_entropy", standardizer=STANDARDIZER
    )
    value, found = gradient(own, items, y)
    module.eval()
    head = [
        torch.tensor(np.array(part), requires_grad=True) for layer in own.head for part in layer[:2]
    ]
    mean, scale = (torch.tensor(v, dtype=torch.float32) for v in STANDARDIZER[:2])
    features = (module(torch.tensor(np.stack(items))).flatten(1) - mean) / scale
    logits = torch.tanh(features @ head[0] + head[1]) @ head[2] + head[3]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y))
    loss.backward()
    np.testing.assert_allclose(value, loss.item(), rtol=1e-6)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(found.backbone[name], parameter.grad.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.head[0].W, head[0].grad.numpy(), atol=1e-6)
    assert set(found.backbone) == {name for name, _ in module.named_parameters()}


@pytest.mark.slow
def test_the_gradient_through_torch_is_proven_by_differences():
    _, module = torch_network()
    backbone = Backbone.wrap(module, name="convolutions")
    kinds = (backbone, HEAD, "softmax_cross_entropy")
    items = list(IMAGES[:4].transpose(0, 3, 1, 2))
    own = jax.tree.map(np.asarray, joint(backbone))

    gradient, value = value_and_grad_through(*kinds), objective_through(*kinds)
    report = check_gradients(
        lambda params, y: gradient(params, items, y), lambda params, y: value(params, items, y),
        own, np.arange(4) % 3, max_entries=2, n_directions=1,
    )  # fmt: skip
    assert report.passed, report


@pytest.mark.parametrize(
    "make", [lambda: jax_backbone()[0], lambda: Backbone.wrap(torch_network()[1])]
)
def test_frozen_blocks_and_statistics_keep_their_bits(make):
    backbone = make()
    images = IMAGES if backbone.model.traceable else IMAGES.transpose(0, 3, 1, 2)
    before = {name: p.copy() for name, p in backbone.model.parameters.items()}
    tuned = finetune_backbone(
        backbone, (list(images), Y), key=jax.random.key(0), mode="finetune", frozen=["low"],
        epochs=2,
    )  # fmt: skip
    after = tuned.backbone.model.parameters
    assert set(tuned.frozen) == {name for name in before if name.startswith("low")}
    for name in before:
        np.testing.assert_array_equal(backbone.model.parameters[name], before[name])  # the given
        assert np.array_equal(after[name], before[name]) == (name in tuned.frozen)
    if not backbone.model.traceable:
        statistics = [
            {name: b.numpy() for name, b in model.module.named_buffers()}
            for model in (backbone.model, tuned.backbone.model)
        ]
        for name, buffer in statistics[0].items():
            np.testing.assert_array_equal(buffer, statistics[1][name])


def test_every_mode_learns_and_transfer_begins_with_the_head():
    backbone, _ = jax_backbone()
    data, key = (list(IMAGES), Y), jax.random.key(3)
    rows = []
    found = {
        mode: finetune_backbone(
            backbone, data, key=key, mode=mode, epochs=10, head_epochs=60, validation_data=data,
            optimizer=jaxmlp.adam(1e-2), backbone_optimizer=jaxmlp.adam(1e-2), callback=rows.append,
        )
        for mode in ("features", "finetune", "transfer")
    }  # fmt: skip
    loss = {mode: tuned.history["validation_loss"] for mode, tuned in found.items()}
    assert loss["transfer"][-1] < 0.8 * loss["features"][-1]
    assert loss["transfer"][0] < loss["finetune"][0]  # whose head begins at random
    assert loss["finetune"][-1] < 0.8 * loss["features"][-1]
    assert found["features"].backbone is backbone
    assert len(rows) == 20
    assert set(rows[0]) == {
        "epoch",
        "seconds",
        *(f"{p}_{m}" for p in ("train", "validation") for m in ("loss", "accuracy")),
    }
    p = found["transfer"].predict(list(IMAGES))
    np.testing.assert_allclose(
        (p.argmax(axis=1) == Y).mean(),
        found["transfer"].history["validation_accuracy"][-1],
        atol=1e-6,
    )


def test_a_feature_that_hardly_varies_is_not_magnified():
    """Its own scale, 1e-13, would make any step of the backbone explode."""
    _, params = jax_backbone()

    def features(params, x):
        found = convolutions(params, x)
        return jnp.concatenate([found[:, :5], found[:, 5:] * jnp.tanh(params["none"]["w"])], axis=1)

    backbone = Backbone.wrap(features, params | {"none": {"w": jnp.full((1, 1), 1e-12)}})
    tuned = finetune_backbone(
        backbone, (list(IMAGES), Y), key=jax.random.key(0), epochs=3, head_epochs=100,
        backbone_optimizer=jaxmlp.adam(1e-3),
    )  # fmt: skip
    assert tuned.history["train_loss"].max() < 1


def test_a_trained_head_goes_on_with_its_dropout():
    backbone, _ = jax_backbone()
    call = {"key": jax.random.key(3), "mode": "finetune", "epochs": 1}
    head = finetune_backbone(backbone, (list(IMAGES), Y), **call).model
    losses = {}
    for dropped in (False, True):
        config = MLPConfig((6, 8, 2), dropout=dropped)
        own = head._replace(config=config, params=jaxmlp.init(config, jax.random.key(0)))
        tuned = finetune_backbone(backbone, (list(IMAGES), Y), **call, head=own)
        assert tuned.model.preprocessing is head.preprocessing
        losses[dropped] = tuned.history["train_loss"][0]
    assert losses[False] != losses[True]
    with pytest.raises(ValueError, match=r"head= has the layers \(5, 2\); pass a model of the 6"):
        finetune_backbone(
            backbone, (list(IMAGES), Y), **call, head=head._replace(config=MLPConfig((5, 2)))
        )


def test_a_regression_with_a_hidden_layer_stops_early_and_keeps_the_best():
    backbone, _ = jax_backbone()
    y = IMAGES.mean(axis=(1, 2, 3))
    tuned = finetune_backbone(
        backbone, (list(IMAGES[:16]), y[:16]), key=jax.random.key(0), mode="finetune", epochs=40,
        hidden=(8,), validation_data=(list(IMAGES[16:]), y[16:]), batch_size=5,
        early_stopping=EarlyStopping(patience=2), optimizer=jaxmlp.adam(0.05),
    )  # fmt: skip
    assert tuned.model.config.layer_sizes == (6, 8, 1)
    assert tuned.status is FitStatus.EARLY_STOPPED
    best = tuned.history["validation_loss"].min()
    assert tuned.history["validation_loss"][tuned.best_epoch - 1] == best
    error = tuned.predict(list(IMAGES[16:]))[:, 0] - y[16:]
    np.testing.assert_allclose(0.5 * np.mean(error**2), best, rtol=1e-4)


def test_divergence_and_ctrl_c_end_a_run_with_what_it_has():
    backbone, _ = jax_backbone()
    call = {"key": jax.random.key(0), "mode": "finetune", "epochs": 9}
    huge = jaxmlp.sgd(1e30)
    tuned = finetune_backbone(
        backbone, (list(IMAGES), IMAGES.mean(axis=(1, 2, 3))), **call, optimizer=huge
    )
    assert tuned.status is FitStatus.DIVERGED
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tuned.model.params))

    def press(done, all_):
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    tuned = finetune_backbone(backbone, (list(IMAGES), Y), **call, progress=press)
    assert (tuned.status, tuned.history.n_epochs) == (FitStatus.INTERRUPTED, 1)


def test_a_saved_head_remembers_what_was_tuned(tmp_path):
    pytest.importorskip("torch", reason="needs PyTorch")
    importlib.import_module("torch_without_detection").prepare_torchvision()
    pytest.importorskip("timm", reason="needs timm")
    pytest.importorskip("PIL", reason="needs Pillow")
    backbone = Backbone.load("timm:mobilenetv3_small_050", weights="random")
    pictures = [RNG.integers(0, 256, (20, 20, 3), np.uint8) for _ in range(6)]
    tuned = finetune_backbone(
        backbone, (pictures, np.arange(6) % 2), key=jax.random.key(0), epochs=1, head_epochs=2,
        frozen=lambda name: not name.startswith("conv_head"), batch_size=3,
    )  # fmt: skip
    assert tuned.backbone.name != backbone.name
    save(tmp_path / "model.safetensors", tuned.model)
    again = load(tmp_path / "model.safetensors")
    assert set(again.extra["backbone"]["tuned"]) == {
        name for name in backbone.model.parameters if name.startswith("conv_head")
    }
    said = []
    same = backbone_of(again.extra["backbone"], said.append)
    assert (same.name, said) == (tuned.backbone.name, [])
    np.testing.assert_array_equal(same(pictures), tuned.backbone(pictures))
    assert backbone_of(again.extra["backbone"], said.append) is same


def test_half_of_a_module_is_frozen_by_default():
    _, module = torch_network()
    tuned = finetune_backbone(
        Backbone.wrap(module), (list(IMAGES.transpose(0, 3, 1, 2)), Y), key=jax.random.key(0),
        mode="finetune", epochs=1,
    )  # fmt: skip
    assert {name.split(".")[0] for name in tuned.frozen} == {"low"}
    assert len(tuned.frozen) == 4


def test_mistakes_get_one_sentence():
    backbone, _ = jax_backbone()
    call = {"key": jax.random.key(0)}
    data = (list(IMAGES), Y)
    with pytest.raises(ValueError, match=r"'lows'\. Did you mean 'low'"):
        finetune_backbone(backbone, data, frozen=["lows"], mode="finetune", **call)
    with pytest.raises(TypeError, match="a function of items alone, through which no gradient"):
        finetune_backbone(Backbone(lambda items: np.ones((len(items), 2)), "ones"), data, **call)
    with pytest.raises(ValueError, match="data has 24 items and 3 targets"):
        finetune_backbone(backbone, (list(IMAGES), Y[:3]), **call)
    with pytest.raises(ValueError, match="every block of the backbone is frozen"):
        finetune_backbone(backbone, data, frozen=("low", "high"), **call)
    with pytest.raises(TypeError, match="epoch"):
        finetune_backbone(backbone, data, epoch=3, **call)
    with pytest.raises(ValueError, match="has shape"):
        backbone.tuned({"low.bias": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match=r"Did you mean 'low\.bias'"):
        backbone.tuned({"low.bia": np.ones(4, np.float32)})


def test_statistics_of_flax_do_not_train():
    linen = pytest.importorskip("flax.linen")
    nnx = pytest.importorskip("flax.nnx")

    class Small(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.BatchNorm(use_running_average=True)(linen.Dense(3)(x))

    variables = Small().init(jax.random.key(0), np.ones((2, 4), np.float32))
    backbone = Backbone.wrap(Small(), variables)
    assert all(name.startswith("params.") for name in backbone.model.parameters)
    assert len(backbone.model.parameters) == 4
    module = nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), nnx.BatchNorm(3, rngs=nnx.Rngs(0)))
    backbone = Backbone.wrap(module)
    assert len(backbone.model.parameters) == 4
    assert not any("mean" in name or "var" in name for name in backbone.model.parameters)
    x = list(RNG.normal(size=(12, 4)).astype(np.float32))
    tuned = finetune_backbone(
        backbone, (x, np.arange(12) % 2), key=jax.random.key(0), mode="finetune", epochs=1
    )
    assert tuned.backbone.name != backbone.name
