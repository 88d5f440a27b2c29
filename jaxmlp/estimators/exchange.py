"""Estimators as models of the library, which files keep without pickle, and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils.validation import check_is_fitted

from jaxmlp.estimators.learnt import forget
from jaxmlp.estimators.options import ALIASES
from jaxmlp.estimators.weights import from_attributes, to_attributes
from jaxmlp.losses import get_loss
from jaxmlp.models import Model


def model_of(estimator: Any) -> Model:
    """Return what an estimator has learnt as a `jaxmlp.models.Model`.

    Raises:
        ValueError: for an ensemble, which is several networks.
    """
    check_is_fitted(estimator)
    if estimator.coefs_[0].ndim == 3:
        raise ValueError("an ensemble is several networks; a model file holds one.")
    config = estimator._config
    with estimator._arithmetic():
        params, state = jax.tree.map(jnp.asarray, from_attributes(estimator, config))
    classes = getattr(estimator, "classes_", None)
    names = getattr(estimator, "feature_names_in_", None)
    extra: dict[str, Any] = {"n_features_in": int(estimator.n_features_in_)}
    if classes is not None:
        extra |= {"classes": classes.tolist(), "y_type": estimator._label_binarizer.y_type_}
    return Model(
        config,
        params,
        state,
        loss=get_loss(estimator._find_loss()).name,
        preprocessing=getattr(estimator, "preprocessing_", None),
        feature_names=None if names is None else tuple(map(str, names)),
        class_names=None if classes is None else tuple(map(str, classes)),
        target_transform=getattr(estimator, "target_transform_", None),
        extra={"estimator": extra},
    )


def restore(estimator: Any, model: Model) -> Any:
    """Make a new estimator a fitted one, of a model that `model_of` made.

    Raises:
        ValueError: for a model of another kind.
    """
    extra = model.extra.get("estimator")
    if extra is None or ("classes" in extra) != (estimator._task == "classification"):
        raise ValueError(
            f"this model was not made by {type(estimator).__name__}.to_model(). Use "
            "jaxmlp.models.infer to predict with it."
        )
    config = model.config
    names = {ours: theirs for theirs, ours in ALIASES.items()}
    activation = config.activation
    estimator.set_params(
        hidden_layer_sizes=config.layer_sizes[1:-1],
        activation=names.get(activation, activation) if isinstance(activation, str) else activation,
        batch_norm=config.batch_norm,
        preprocessing=None if model.preprocessing is None else "auto",
        dtype=config.dtype,
    )
    if "classes" in extra:
        estimator._learn_labels(np.asarray(extra["classes"]), extra["y_type"])
    else:
        estimator.set_params(loss=model.loss)
        estimator.target_transform_ = model.target_transform
    estimator.n_features_in_ = extra["n_features_in"]
    if model.feature_names is not None:
        estimator.feature_names_in_ = np.asarray(model.feature_names, dtype=object)
    if model.preprocessing is not None:
        estimator.preprocessing_ = model.preprocessing
    estimator.n_outputs_ = config.layer_sizes[-1]
    forget(estimator, config)
    estimator._config, estimator._dtype = config, config.dtype
    estimator.__dict__.update(to_attributes(model.params, model.state))
    return estimator
