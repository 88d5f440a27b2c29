"""The recipe realmlp against RealMLP-TD as published: said again in numpy, and by its authors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9")
import pandas as pd

import jaxmlp
from jaxmlp.data import TablePreprocessor
from jaxmlp.estimators import TabularMLPClassifier, TabularMLPRegressor
from jaxmlp.front_types import Periodic
from jaxmlp.networks import functions_of, layers_inputs, merge, trainable
from jaxmlp.optimizers import apply_updates
from jaxmlp.recipes import get_recipe, initial_params, make_optimizer, make_plan

N = 300
REALMLP = get_recipe("realmlp")
LOSSES = {"classes": ("softmax_cross_entropy", 3), "numbers": ("squared_error", 1)}


def make_table(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(50, 20, N),
            "colour": rng.choice(["red", "green", "blue"], N),
            "age": rng.lognormal(2, 1, N),
            "town": rng.choice([f"town {k}" for k in range(12)], N),
            "new": rng.choice(["left", "right"], N),
        }
    )


TABLE = make_table()


def plan_and_rows(task, dtype="float64"):
    """A plan for the table, its parameters as they start but for the scale and alpha, and rows."""
    loss, n_out = LOSSES[task]
    preprocessor = TablePreprocessor.fit(TABLE, max_one_hot=REALMLP.max_one_hot)
    plan = make_plan(REALMLP, preprocessor, N, loss, n_out, layer_options={"dtype": dtype})
    x = preprocessor.transform(TABLE)
    y = np.arange(N) % 3 if task == "classes" else np.arange(N, dtype=float)
    return plan, initial_params(plan, jax.random.key(0), x, y), x


def moved(params, seed=0):
    """Every parameter moved at random, so that none is where it begins."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + jnp.asarray(0.3 * rng.normal(size=p.shape), p.dtype), params)


def activation_in_numpy(task, z):
    if task == "numbers":
        return z * np.tanh(np.logaddexp(0, z))
    return 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0)))


@pytest.mark.parametrize("task", LOSSES)
def test_the_network_is_the_published_one_in_numpy(task, x64):
    """Numbers as (waves, itself), one-hot columns, vectors of levels; scale; three NTP layers."""
    plan, params, x = plan_and_rows(task)
    params = moved(params)
    front, layers = jax.tree.map(np.asarray, params)
    assert TABLE.columns.tolist() == ["size", "colour", "age", "town", "new"]
    size, blue, green, red, age, town, new = np.asarray(x, np.float64).T
    parts = []
    for i, column in enumerate([size, age]):
        p = Periodic(*(array[i] for array in front.numbers))
        waves = np.cos(2 * np.pi * column[:, None] * p.w[None] + p.c[None])
        assert waves.shape[1:] + p.V.shape == (16, 16, 3)
        parts += [waves @ p.V + p.a, column[:, None]]
    parts += [column[:, None] for column in (blue, green, red, new)]
    parts.append(front.E[town.astype(int)])
    assert set(new) == {-1.0, 1.0}
    h = np.concatenate(parts, axis=1) * front.s
    for l, layer in enumerate(layers):
        n = len(layer.W)
        W = layer.W * np.sqrt(n)  # of size 1, as the paper has it
        z = h @ W / np.sqrt(n) + layer.b
        h = z if l == 3 else z + layer.alpha * (activation_in_numpy(task, z) - z)
    assert [layer.W.shape[1] for layer in layers] == [256, 256, 256, LOSSES[task][1]]
    found = functions_of(plan.config).predict(plan.config, params, x)
    np.testing.assert_allclose(found, h, rtol=1e-11, atol=1e-11)


@pytest.mark.slow  # torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", LOSSES)
def test_the_authors_modules_compute_the_same(task, x64):
    pytest.importorskip("pytabkit", reason="pytabkit, the authors' library, is not installed")
    import torch
    from pytabkit.models.nn_models import activations, base, nn

    plan, params, x = plan_and_rows(task)
    params = moved(params)
    front, config = params.front, plan.config.front

    def variable(array):
        return base.Variable(torch.tensor(np.asarray(array)), trainable=False)

    p = front.numbers
    embed = nn.PLREmbeddingsLayerCosBias(
        fitter=None, weight_1=variable(p.w[:, None]), bias_1=variable(p.c[:, None]),
        weight_2=variable(p.V), bias_2=variable(p.a[:, None]), plr_act_name="linear",
        plr_use_densenet=True,
    )  # fmt: skip
    numbers = torch.tensor(np.asarray(x, np.float64)[:, list(config.numbers)])
    waves = embed.forward_cont(numbers)  # (all e_i, all x_i), where ours are (e_1, x_1, e_2, ...)
    d, m = len(config.numbers), config.width
    ours = [m * i + k for i in range(d) for k in range(m - 1)] + [m * (i + 1) - 1 for i in range(d)]
    rest = np.asarray(x, np.float64)[:, list(config.others)]
    levels = np.asarray(front.E)[x[:, config.categories[0][0]].astype(int)]
    h = torch.cat([waves, torch.tensor(np.concatenate([rest, levels], axis=1))], dim=1)
    order = np.array([*ours, *range(d * m, config.n_out)])
    h = base.ScaleLayer(variable(front.s[None, order])).forward_cont(h)
    f = torch.selu if task == "classes" else activations.mish
    for l, layer in enumerate(params.layers):
        W, n = layer.W[order] if l == 0 else layer.W, len(layer.W)
        h = base.WeightLayer(variable(W * np.sqrt(n)), factor=n**-0.5).forward_cont(h)
        h = base.BiasLayer(variable(layer.b[None]), factor=1.0).forward_cont(h)
        if layer.alpha is not None:
            bend = activations.ParametricActivationLayer(f, variable(layer.alpha[None]))
            h = bend.forward_cont(h)
    found = functions_of(plan.config).predict(plan.config, params, x)
    np.testing.assert_allclose(found, h.detach().numpy(), rtol=1e-10, atol=1e-10)


def test_it_starts_from_the_data():
    plan, params, x = plan_and_rows("numbers", "float32")
    h = np.asarray(layers_inputs(plan.config, params, x))
    z = h @ np.asarray(params.layers[0].W)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-3)
    assert all((layer.alpha == 1).all() for layer in params.layers[:-1])
    assert np.std(params.front.numbers.w) < 0.2
    assert (params.front.s == 1).all()


def published_steps(task, params, gradients, n_steps):
    """AdamW as published: factors by group, decay with squared factors, W of size 1 (NTP)."""
    lr = {"classes": 0.04, "numbers": 0.2}[task]

    def group(path):
        name = jax.tree_util.keystr(path)
        if ".numbers." in name:
            return 0.1, 0.01
        return {".s": (6.0, 36.0), ".b": (0.1, 0.0), "lpha": (0.1, 0.01)}.get(
            name[-2:] if name[-2] == "." else name[-4:], (1.0, 1.0)
        )

    def train(path, p):
        factor, decay = group(path)
        p = np.asarray(p, np.float64)
        is_weight = "layers" in jax.tree_util.keystr(path) and p.ndim == 2
        root = np.sqrt(len(p)) if is_weight else 1.0
        p, mu, nu = p * root, np.zeros_like(p), np.zeros_like(p)
        for k in range(n_steps):
            g = np.asarray(gradients(path, k)) / root  # dJ/d(sqrt(n) W) = dJ/dW / sqrt(n)
            t = k / plan_steps(task)
            eta = (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2
            wd = 0.02 * (1 if t < 0.5 else (1 + np.cos(np.pi * (2 * t - 1))) / 2)
            mu, nu = 0.9 * mu + 0.1 * g, 0.95 * nu + 0.05 * g**2
            step = mu / (1 - 0.9 ** (k + 1)) / (np.sqrt(nu / (1 - 0.95 ** (k + 1))) + 1e-8)
            p = p * (1 - lr * eta * wd * decay) - lr * eta * factor * step
        return p / root

    return jax.tree_util.tree_map_with_path(train, params)


def plan_steps(task):
    return 256 * (N // 256)


@pytest.mark.parametrize("task", LOSSES)
def test_updates_are_the_published_ones(task, x64):
    plan, params, _ = plan_and_rows(task)
    assert plan.n_steps == plan_steps(task) == 256
    params = moved(params)
    moving, n_steps = trainable(params, ()), 200

    def gradient(path, k):
        rng = np.random.default_rng([k, *jax.tree_util.keystr(path).encode()])
        leaf = dict(jax.tree_util.tree_leaves_with_path(moving))[path]
        return 1.0 + rng.normal(size=leaf.shape)

    rule = make_optimizer(plan, params)
    state, update = rule.init(moving), jax.jit(rule.update)
    found = moving
    for k in range(n_steps):
        grads = jax.tree_util.tree_map_with_path(
            lambda path, _, k=k: jnp.asarray(gradient(path, k)), moving
        )
        updates, state = update(grads, state, found)
        found = apply_updates(found, updates)
    expected = published_steps(task, moving, gradient, n_steps)
    assert merge(params, found, ()).front.E.shape == (13, 8)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), found, expected
    )


SHORT = {"settings": {"epochs": 40, "batch_size": 32}, "random_state": 0}


def prices(table):
    return 10 * table["size"] + 30 * (table["colour"] == "red")


def test_numbers_are_learnt_and_stay_within_the_targets_range(tmp_path):
    table, y = TABLE[["size", "colour"]], prices(TABLE)
    model = TabularMLPRegressor("realmlp", **SHORT).fit(table, y)
    assert model.score(table, y) > 0.9
    wild = pd.DataFrame({"size": np.linspace(-1e4, 1e4, 500), "colour": ["red", "blue"] * 250})
    unbounded = model.model_.target_transform._replace(bounds=None)
    free = model.to_model()._replace(target_transform=unbounded).predict(wild)
    assert free.min() < y.min() or free.max() > y.max()
    predicted = model.predict(wild)
    np.testing.assert_allclose(predicted, np.clip(free, y.min(), y.max()), rtol=1e-6)
    jaxmlp.save(tmp_path / "m.safetensors", model)
    loaded = jaxmlp.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(wild), predicted)
    assert loaded.extra["recipe"]["name"] == "realmlp"


def test_classes_are_learnt():
    wanted = np.where(TABLE["size"] > 50, TABLE["colour"], "none")
    model = TabularMLPClassifier("realmlp", **SHORT)
    assert model.fit(TABLE, wanted).score(TABLE, wanted) > 0.9
    assert model.model_.config.mlp.activation == "selu"
    assert model.model_.config.mlp.parametric == (True, True, True, False)


def test_the_recipe_says_what_was_published():
    assert REALMLP.to_dict() | {
        "hidden_sizes": [256, 256, 256], "activation": ["selu", "mish"], "width": 4,
        "frequencies": 16, "sigma": 0.1, "batch_size": 256, "dropout": [0.15, 0.15],
        "weight_decay": 0.02, "b2": 0.95, "learning_rate": [0.04, 0.2], "schedule": "coslog4",
        "label_smoothing": 0.1, "scale_rate": 6.0, "bias_rate": 0.1, "embedding_rate": 0.1,
        "alpha_rate": 0.1, "max_one_hot": 8, "category_width": 8, "members": 1, "clamp": True,
    } == REALMLP.to_dict()  # fmt: skip
    for task in LOSSES:
        plan, _, _ = plan_and_rows(task, "float32")
        assert (plan.settings.epochs, plan.settings.patience) == (256, 256)
