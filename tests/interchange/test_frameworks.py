"""flax, equinox and scikit-learn: what a comparison of outputs does not show."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import jaxmlp
from jaxmlp.data import Standardizer
from jaxmlp.interchange import (
    from_equinox,
    from_flax,
    from_sklearn,
    model_from_sklearn,
    to_equinox,
    to_flax,
    to_sklearn,
)
from jaxmlp.losses import get_loss
from jaxmlp.models import Model

RNG = np.random.default_rng(0)
X, Y = load_iris(return_X_y=True)


def random_model(sizes=(4, 6, 5, 3), activation="tanh", loss="softmax_cross_entropy", **changes):
    names = changes.pop("names", {})
    config = jaxmlp.MLPConfig(sizes, activation, **changes)
    state = jaxmlp.init_state(config)
    return Model(config, jaxmlp.init(config, jax.random.key(0)), state, loss, **names)


class TestFlax:
    """By the names of the arrays alone; the study runs flax itself."""

    def test_there_and_back(self):
        for api in ("linen", "nnx"):
            there = random_model(batch_norm=True)
            weights = to_flax(there, api)
            back = from_flax(weights, activation="tanh", batch_norm_momentum=0.9)
            jax.tree.map(np.testing.assert_array_equal, back[1:], (there.params, there.state))
            assert back.config == there.config

    def test_names_are_those_that_flax_gives(self):
        """Dense, BatchNorm in a compact module of linen; Linear, BatchNorm in an nnx.Sequential."""
        weights = to_flax(random_model((4, 6, 3), batch_norm=True))
        found = jax.tree.map(np.shape, weights)
        assert found == {
            "params": {
                "Dense_0": {"kernel": (4, 6)},
                "BatchNorm_0": {"scale": (6,), "bias": (6,)},
                "Dense_1": {"kernel": (6, 3), "bias": (3,)},
            },
            "batch_stats": {"BatchNorm_0": {"mean": (6,), "var": (6,)}},
        }
        nnx = to_flax(random_model((4, 6, 3), batch_norm=True, dropout=True), "nnx")
        assert sorted(nnx["layers"]) == [0, 1, 4]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (3, "a int is not of flax; pass the variables of linen, or a module"),
            ({"params": {"Conv_0": {"kernel": np.ones((3, 3, 1, 2))}}}, "module 'Conv_0' (kernel"),
            ({"params": {"BatchNorm_0": {"scale": np.ones(3)}}}, "pass all variables, or name the"),
            ({"params": {}}, "there is no dense layer"),
        ],
    )
    def test_what_is_refused(self, source, message):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
            from_flax(source)
        assert message in str(caught.value)

    def test_layers_by_name(self):
        kernels = {name: {"kernel": np.full((3, 3), k, np.float32)} for k, name in enumerate("abc")}
        _, params, _ = from_flax({"net": kernels}, layers=["net.c", "net.a"])
        assert [float(layer.W[0, 0]) for layer in params] == [2.0, 0.0]
        with pytest.raises(ValueError, match=r"there is no dense layer 'd'; there are 'net.a'"):
            from_flax({"net": kernels}, layers=["d"])


class TestEquinox:
    """Modules as users build them."""

    @pytest.fixture(autouse=True)
    def _equinox(self):
        self.eqx = pytest.importorskip("equinox")

    @pytest.mark.parametrize("scan", [False, True])
    def test_mlp(self, scan):
        module = self.eqx.nn.MLP(
            3, "scalar", 5, 3, jax.nn.silu, use_bias=False, scan=scan, key=jax.random.key(0)
        )
        config, params, _ = from_equinox(module)
        assert (config.layer_sizes, config.activation) == ((3, 5, 5, 5, 1), "silu")
        x = jnp.asarray(RNG.normal(size=(20, 3)), jnp.float32)
        outputs = jaxmlp.predict(config, params, x)[:, 0]
        np.testing.assert_allclose(outputs, jax.vmap(module)(x), rtol=1e-5, atol=1e-6)

    def test_unequal_widths_become_a_sequential(self):
        module = to_equinox(random_model(activation=("relu", "tanh")))
        assert isinstance(module, self.eqx.nn.Sequential)
        assert from_equinox(module).config.activation == ("relu", "tanh")

    def test_what_is_refused(self):
        nn, key = self.eqx.nn, jax.random.key(0)
        linear = nn.Linear(2, 2, key=key)
        for module, message in (
            (linear, "a Linear is neither eqx.nn.MLP nor eqx.nn.Sequential"),
            (nn.MLP(2, 2, 3, 1, final_activation=jax.nn.tanh, key=key), "ends with an activation"),
            (nn.Sequential([linear, nn.LayerNorm(2)]), "a LayerNorm in this place"),
            (nn.MLP(2, 2, 3, 1, jnp.cos, key=key), "pass activation=..., a jaxmlp.Activation"),
            (nn.Sequential([]), "there is no eqx.nn.Linear"),
        ):
            with pytest.raises(ValueError, match=message):
                from_equinox(module)


def fitted(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


SMALL = {"hidden_layer_sizes": (6, 5), "max_iter": 15, "random_state": 0}
MULTILABEL = make_multilabel_classification(60, 4, n_classes=3, random_state=0)
ESTIMATORS = {
    "three classes": lambda: fitted(MLPClassifier(**SMALL), X, np.array(["a", "b", "c"])[Y]),
    "two classes": lambda: fitted(MLPClassifier(activation="logistic", **SMALL), X, Y == 1),
    "labels at once": lambda: fitted(MLPClassifier(activation="tanh", **SMALL), *MULTILABEL),
    "one target": lambda: fitted(MLPRegressor(activation="identity", **SMALL), X, Y),
    "two targets": lambda: fitted(MLPRegressor(**SMALL), X, X[:, :2]),
    "counts": lambda: fitted(MLPRegressor(loss="poisson", **SMALL), X, Y),
}


class TestScikitLearn:
    """Fitted estimators, of every kind, in float64."""

    @pytest.mark.parametrize("case", ESTIMATORS)
    def test_an_estimator_arrives_and_returns(self, x64, case):
        estimator = ESTIMATORS[case]()
        model = model_from_sklearn(estimator)
        back = to_sklearn(model)
        outputs = jaxmlp.predict(model.config, model.params, X)
        ours = np.asarray(get_loss(model.loss).link(outputs))
        classes = hasattr(estimator, "predict_proba")
        theirs = estimator.predict_proba(X) if classes else estimator.predict(X)
        if case == "two classes":
            theirs = theirs[:, 1]
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-12, atol=1e-14)
        for a, b in zip(back.coefs_ + back.intercepts_, estimator.coefs_ + estimator.intercepts_,
                        strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)
        assert back.out_activation_ == estimator.out_activation_
        np.testing.assert_array_equal(back.predict(X).astype(str), estimator.predict(X).astype(str))

    def test_names_of_features_and_classes(self):
        pd = pytest.importorskip("pandas")
        table = pd.DataFrame(X.astype(np.float32), columns=["a", "b", "c", "d"])
        estimator = fitted(MLPClassifier(**SMALL), table, np.array(["no", "perhaps", "yes"])[Y])
        model = model_from_sklearn(estimator)
        assert model.feature_names == ("a", "b", "c", "d")
        assert model.class_names == ("no", "perhaps", "yes")
        assert to_sklearn(model).predict(table).tolist() == estimator.predict(table).tolist()

    def test_two_softmax_outputs_become_one_logistic_output(self):
        model = random_model((4, 6, 2), names={"class_names": ("no", "yes")})
        estimator = to_sklearn(model)
        assert estimator.coefs_[-1].shape == (6, 1)
        x = X.astype(np.float32)
        expected = jax.nn.softmax(jaxmlp.predict(model.config, model.params, x))
        np.testing.assert_allclose(estimator.predict_proba(x), expected, rtol=1e-5, atol=1e-7)

    def test_standardization_becomes_a_pipeline_and_batch_norm_is_folded(self):
        x = X.astype(np.float32)
        model = random_model(batch_norm=True, names={"preprocessing": Standardizer.fit(x)})
        pipeline = to_sklearn(model)
        prepared = model.preprocessing.transform(x)
        logits = jaxmlp.predict(model.config, model.params, prepared, state=model.state)
        np.testing.assert_allclose(
            pipeline.predict_proba(x), jax.nn.softmax(logits), rtol=1e-5, atol=1e-6
        )

    def test_standardized_targets_are_folded(self):
        targets = Standardizer(np.array([10.0]), np.array([3.0]), 1, 0.0, 20.0)
        model = random_model((4, 6, 1), "relu", "huber", names={"target_transform": targets})
        x = X.astype(np.float32)
        expected = np.asarray(jaxmlp.predict(model.config, model.params, x)) * 3 + 10
        np.testing.assert_allclose(to_sklearn(model).predict(x), expected[:, 0], rtol=1e-5)

    def test_training_goes_on(self):
        x = X.astype(np.float32)
        estimator = to_sklearn(random_model())
        estimator.learning_rate_init = 0.05
        before = estimator.score(x, Y)
        for _ in range(100):
            estimator.partial_fit(x, Y)
        assert before < 0.8 < estimator.score(x, Y)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: random_model(activation="gelu"), "one activation for all hidden layers, of"),
            (lambda: random_model(activation=("relu", "tanh")), "this network has relu, tanh"),
            (
                lambda: random_model(names={"class_names": ("b", "a", "c")}),
                "keeps classes sorted and different",
            ),
        ],
    )
    def test_what_it_has_no_place_for(self, make, message):
        with pytest.raises(ValueError, match=message):
            to_sklearn(make())

    def test_what_is_refused(self):
        with pytest.raises(ValueError, match="a MLPClassifier here has no coefs_; pass a fitted"):
            from_sklearn(MLPClassifier())
        estimator = fitted(MLPRegressor(**SMALL), X, Y)
        with pytest.raises(ValueError, match="dtype is float64, but JAX runs with 64-bit"):
            from_sklearn(estimator)
