"""Weights from and to scikit-learn: fitted MLPClassifier and MLPRegressor."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.interchange.export_plan import Plan, Scaling, plan_of
from jaxmlp.interchange.foreign import Block, Dense, assemble, layers_alone
from jaxmlp.models.model import Model, NetworkLike
from jaxmlp.networks import Network
from jaxmlp.optional import import_optional

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

_SKLEARN_ACTIVATIONS = {
    "identity": "identity",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
}
_LOSSES_OF_OUTPUTS = {
    "softmax": "softmax_cross_entropy",
    "logistic": "sigmoid_binary_cross_entropy",
    "identity": "squared_error",
    "exp": "poisson",
}


def from_sklearn(estimator: "MLPClassifier | MLPRegressor") -> Network:
    """Read a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Args:
        estimator: the fitted estimator.

    Returns:
        (config, params, state); state is (). Logits: the binary classifier has one, the log odds
        of `classes_[1]`. `model_from_sklearn` also has the loss and the classes.

    Raises:
        ValueError: if it is not fitted, or is of another kind; or in float64 (as scikit-learn's are
            unless X was float32) while JAX runs without 64-bit types.

    Example:
        >>> import warnings
        >>> from sklearn.neural_network import MLPRegressor
        >>> X, y = np.ones((9, 2), np.float32), np.arange(9.0)
        >>> with warnings.catch_warnings(action="ignore"):
        ...     regressor = MLPRegressor(hidden_layer_sizes=4, activation="tanh", max_iter=1)
        ...     config, params, state = from_sklearn(regressor.fit(X, y))
        >>> config.layer_sizes, config.activation, config.dtype
        ((2, 4, 1), 'tanh', 'float32')

    Reference: lecture, chapter VIII.
    """
    model = model_from_sklearn(estimator)
    return model.network


def model_from_sklearn(estimator: "MLPClassifier | MLPRegressor") -> Model:
    """Read a fitted estimator with its loss, classes and names of features.

    Args:
        estimator: a fitted MLPClassifier or MLPRegressor.

    Returns:
        A model whose linked outputs are `predict_proba` (of `classes_[1]` alone in the binary case)
        or `predict`. Several labels at once have no class names.

    Raises:
        ValueError: as `from_sklearn`.
    """
    if not hasattr(estimator, "coefs_") or not hasattr(estimator, "out_activation_"):
        raise ValueError(
            f"a {type(estimator).__name__} here has no coefs_; pass a fitted MLPClassifier or "
            "MLPRegressor (the last step of a pipeline)."
        )
    if estimator.activation not in _SKLEARN_ACTIVATIONS:
        raise unknown_name("activation", estimator.activation, _SKLEARN_ACTIVATIONS)
    weights = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    blocks = [Block(Dense(np.asarray(W), np.asarray(b))) for W, b in weights]
    config, params, state = assemble(blocks, _SKLEARN_ACTIVATIONS[estimator.activation])
    classes = getattr(estimator, "classes_", None)
    if classes is not None and estimator._label_binarizer.y_type_ == "multilabel-indicator":
        classes = None
    features = getattr(estimator, "feature_names_in_", None)
    return Model(
        config,
        params,
        state,
        _LOSSES_OF_OUTPUTS[estimator.out_activation_],
        feature_names=None if features is None else tuple(map(str, features)),
        class_names=None if classes is None else tuple(map(str, classes)),
    )


def to_sklearn(model: NetworkLike) -> "MLPClassifier | MLPRegressor | Pipeline":
    """Make a fitted estimator of scikit-learn of a model.

    Args:
        model: of the activations that scikit-learn has (identity, sigmoid, tanh, relu), one for all
            hidden layers; its loss says whether it classifies, so an estimator of two classes
            comes back from `model_from_sklearn` only (`from_sklearn` returns no loss).

    Returns:
        An MLPClassifier (softmax or sigmoid link) or MLPRegressor (identity or exp link), which can
        also be trained on with `partial_fit`; after a StandardScaler in a pipeline if the model
        standardizes its inputs. Batch normalization is folded into the weights, as is a
        standardization of the targets; two softmax outputs become scikit-learn's one logistic
        output, of weights W_1 - W_0. Classes are the model's names, or 0, 1, ... without.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: for other activations, or a link that scikit-learn does not have for this task.

    Example:
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig((2, 4, 3))
        >>> params = jaxmlp.init(config, jax.random.key(0))
        >>> model = Model(config, params, class_names=("a", "b", "c"))
        >>> to_sklearn(model).predict(np.ones((1, 2), np.float32)).shape
        (1,)

    Differences: features are float32 or float64 as the weights are; scikit-learn's `predict` of a
        classifier asks for probability > 1/2 in the binary case, the same as the larger logit.
    """
    model = layers_alone(model)
    sklearn = import_optional(
        "sklearn.neural_network", "this needs scikit-learn", "jaxmlp[sklearn]"
    )
    plan = plan_of(model)
    weights = _output_weights(plan)
    options = {"hidden_layer_sizes": plan.sizes[1:-1], "activation": _one_activation(plan)}
    if plan.link in ("softmax", "sigmoid"):
        estimator = sklearn.MLPClassifier(**options)
        _set_classes(estimator, plan)
    else:
        if plan.link == "exp":
            options["loss"] = "poisson"  # an option since scikit-learn 1.7
        estimator = sklearn.MLPRegressor(**options)
    _set_weights(estimator, weights, model)
    if plan.inputs is None:
        return estimator
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_scaler(plan.inputs, model), estimator)


def _one_activation(plan: Plan) -> str:
    ours = {step.activation for step in plan.steps[:-1]} or {"relu"}
    theirs = {name: key for key, name in _SKLEARN_ACTIVATIONS.items()}
    if len(ours) > 1 or not ours <= set(theirs):
        raise ValueError(
            f"scikit-learn's MLP has one activation for all hidden layers, of {', '.join(theirs)}; "
            f"this network has {', '.join(sorted(ours))}."
        )
    return theirs[ours.pop()]


def _output_weights(plan: Plan) -> list[tuple[np.ndarray, np.ndarray]]:
    """W and b of each layer, the last as scikit-learn wants it."""
    weights = [(step.W, step.b) for step in plan.steps]
    W, b = (part.astype(np.float64) for part in weights[-1])
    if plan.link == "softmax" and plan.sizes[-1] == 2:
        W, b = W[:, 1:] - W[:, :1], b[1:] - b[:1]
    if plan.targets is not None:
        if plan.link != "identity":
            raise ValueError(
                f"a target transform after the link {plan.link!r} has no place in scikit-learn's "
                "MLP; export with target_transform=None."
            )
        if plan.targets.bounds is not None:
            raise ValueError(
                "predictions that are clamped to the targets' range have no place in "
                "scikit-learn's MLP; export to numpy, C or ONNX, or with target_transform=None."
            )
        W, b = W * plan.targets.scale, b * plan.targets.scale + plan.targets.center
    weights[-1] = (W.astype(plan.dtype), b.astype(plan.dtype))
    return weights


def _set_classes(estimator: "MLPClassifier", plan: Plan) -> None:
    from sklearn.preprocessing import LabelBinarizer

    n_out = plan.sizes[-1]
    if plan.link == "sigmoid" and n_out > 1:  # several labels at once
        names: Any = np.eye(n_out, dtype=int)
    elif plan.class_names is None:
        names = np.arange(max(2, n_out))
    else:
        names = np.array(plan.class_names)
        if list(names) != sorted(set(plan.class_names)):
            raise ValueError(
                "scikit-learn keeps classes sorted and different, but these are "
                f"{', '.join(plan.class_names[:5])}, ...; export with class_names=None for 0, 1, "
                "..."
            )
    estimator._label_binarizer = LabelBinarizer().fit(names)
    estimator.classes_ = estimator._label_binarizer.classes_
    multiclass = plan.link == "softmax" and n_out > 2
    estimator.out_activation_ = "softmax" if multiclass else "logistic"


def _set_weights(
    estimator: "MLPClassifier | MLPRegressor",
    weights: list[tuple[np.ndarray, np.ndarray]],
    model: Model,
) -> None:
    """Fill in what `fit` leaves behind."""
    estimator.coefs_ = [np.array(W) for W, _ in weights]
    estimator.intercepts_ = [np.array(b) for _, b in weights]
    estimator.n_layers_ = len(weights) + 1
    estimator.n_outputs_ = weights[-1][0].shape[1]
    estimator.n_features_in_ = weights[0][0].shape[0]
    if not hasattr(estimator, "out_activation_"):
        estimator.out_activation_ = "exp" if model.loss == "poisson" else "identity"
    if model.feature_names is not None and model.preprocessing is None:
        estimator.feature_names_in_ = np.array(model.feature_names, dtype=object)
    estimator.n_iter_ = estimator.t_ = 0
    estimator.loss_curve_ = []
    estimator.best_loss_ = np.inf
    estimator.validation_scores_ = estimator.best_validation_score_ = None
    estimator._no_improvement_count = 0


def _scaler(inputs: Scaling, model: Model) -> "StandardScaler":
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = np.array(inputs.center), np.array(inputs.scale)
    scaler.var_ = scaler.scale_**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(scaler.mean_), 0
    if model.feature_names is not None:
        scaler.feature_names_in_ = np.array(model.feature_names, dtype=object)
    return scaler
