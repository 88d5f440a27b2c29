"""MLPClassifier: scikit-learn's, and what its users have asked for."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from jaxmlp.estimators import options
from jaxmlp.estimators.base import BaseMLP
from jaxmlp.estimators.callbacks import with_callbacks
from jaxmlp.losses import Loss


def _is_stochastic(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit takes single steps, which solver='lbfgs' does not have.")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron that predicts classes; drop-in for scikit-learn's.

    J = sum_i w_i l_i / sum_i w_i + alpha / (2 sum_i w_i) sum_l ||W^(l)||^2 over each batch, with l
    the cross-entropy of a softmax, or of a sigmoid where there are two classes or several labels.

    Args:
        hidden_layer_sizes: units of the hidden layers; () makes a linear model.
        activation: "relu", "tanh", "logistic", "identity", any other of `jaxmlp.ACTIVATIONS`, a
            `jaxmlp.Activation` of your own, or a list with one for each hidden layer.
        solver: "adam", "sgd", "lbfgs" (scipy's, full batch, float64), or an optimizer of this
            library or of optax; or a function that makes one, such as partial(optax.adamw, 1e-3),
            which can be pickled where optax's rules cannot.
        alpha: weight of the penalty.
        batch_size: rows a step; "auto" is min(200, n).
        learning_rate: "constant"; "invscaling" and "adaptive", for "sgd"; "cosine", to 0 over
            max_iter epochs; or a function step -> rate, such as an optax schedule.
        learning_rate_init: the (initial) rate.
        power_t: exponent of "invscaling".
        max_iter: most epochs; for "lbfgs" iterations.
        shuffle: whether each epoch has its own order.
        random_state: seed of weights, splits, shuffles and dropout.
        tol: an epoch that improves the loss (or the validation score) by less does not count.
        verbose: print each epoch.
        warm_start: go on from the last fit.
        momentum: of "sgd".
        nesterovs_momentum: whether it looks ahead.
        early_stopping: watch the validation score, and keep the best weights.
        validation_fraction: rows set aside for it, unless `fit` is given X_val and y_val.
        beta_1: of "adam".
        beta_2: of "adam".
        epsilon: of "adam".
        n_iter_no_change: epochs without improvement that are waited for.
        max_fun: most evaluations of "lbfgs".
        loss: "log_loss", or a `jaxmlp.Loss` for classification, which is given integer labels
            (n,) of several classes, else a matrix of 0 and 1.
        loss_options: numbers that it takes.
        class_weight: None, "balanced" (n / (n_classes count)), or a dict label -> weight.
        label_smoothing: share of each label that is spread over all classes, in [0, 1).
        dropout: probability to drop each hidden activation in training, in [0, 1).
        batch_norm: normalize hidden pre-activations; a list of booleans chooses layers.
        weight_init: None draws scikit-learn's initial weights, number for number; or one of
            `jaxmlp.INITIALIZERS`, "auto" (He or Xavier by activation), a function (key, shape,
            dtype) -> array, or a list with one a layer.
        frozen_layers: indices of layers that do not train.
        clip_norm: shorten longer gradients to this global norm.
        clip_value: bound every entry of the gradient by this.
        n_ensemble: number of networks, of different initial weights and shuffles, whose
            predictions are averaged; `coefs_` then has a leading axis.
        preprocessing: None takes numbers as they are (scikit-learn's meaning); "auto" takes tables
            as people have them: scaled, imputed, encoded.
        callbacks: functions of a `jaxmlp.training.Progress`, called after every epoch; True stops.
            `set_callbacks` takes scikit-learn's own callbacks, where its version has them.
        device: "cpu", "gpu", "gpu:1", a jax.Device, or None for JAX's default.
        dtype: of weights and arithmetic: "float32" or "float64"; None takes that of X, which is
            what scikit-learn does. Fits in float64 took 1.9 times as long (digits, two cores).

    Attributes:
        coefs_, intercepts_: weights (n_in, n_out) and biases (n_out,) of each layer.
        loss_curve_, loss_, best_loss_: the objective of each epoch, with the penalty.
        validation_scores_, validation_loss_curve_, best_validation_score_: of the validation rows.
        history_: every recorded metric by name, one entry an epoch.
        n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_,
            classes_:
            as in scikit-learn.

    Raises:
        ValueError: from `fit`, for parameters or data that do not fit; the message says what to do.

    Differences from scikit-learn: arithmetic is float32 whatever X is, unless dtype is "float64" or
    None; the order of shuffled rows is another one for the same seed; sparse X is made dense; an
    epoch's loss weights its batches by the sum of their sample weights; the validation score of
    several labels is the share of right ones.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, class_weight="balanced", random_state=0).fit(X, y)
        >>> model.score(X, y) > 0.95
        True

    Reference: lecture, chapters III to VII; scikit-learn's MLPClassifier.
    """

    _task = "classification"
    _parameter_constraints = {  # noqa: RUF012
        **options.CONSTRAINTS,
        "loss": [StrOptions({"log_loss"}), Loss],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        loss_options: Mapping[str, float] | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        dropout: float = 0.0,
        batch_norm: Any = False,
        weight_init: Any = None,
        frozen_layers: Any = (),
        clip_norm: float | None = None,
        clip_value: float | None = None,
        n_ensemble: int = 1,
        preprocessing: str | None = None,
        callbacks: Any = (),
        device: Any = None,
        dtype: str | None = "float32",
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.loss_options = loss_options
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.weight_init = weight_init
        self.frozen_layers = frozen_layers
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.n_ensemble = n_ensemble
        self.preprocessing = preprocessing
        self.callbacks = callbacks
        self.device = device
        self.dtype = dtype

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
    ) -> "MLPClassifier":
        """Train on labelled rows.

        Args:
            X: features, (n, n_features): an array, sparse matrix or DataFrame.
            y: labels, (n,); or a matrix of 0 and 1, (n, n_labels), of several labels a row.
            sample_weight: non-negative weights, (n,).
            X_val: rows to validate on; measured every epoch, and what early_stopping watches.
            y_val: their labels.
            sample_weight_val: their weights.
            coefs_init: initial weights, one array (or None) a layer.
            intercepts_init: initial biases, likewise.

        Returns:
            The estimator itself.

        Raises:
            ValueError: for data that do not fit; if nothing finite was learnt.
        """
        validation = (X_val, y_val, sample_weight_val)
        initial = (coefs_init, intercepts_init)
        return self._fit(X, y, sample_weight, validation=validation, initial=initial)

    @available_if(_is_stochastic)
    @with_callbacks
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> "MLPClassifier":
        """Train for one epoch on these rows, keeping the solver's moments.

        Args:
            X: features, (n, n_features).
            y: labels, of all classes or a part of them.
            sample_weight: non-negative weights, (n,).
            classes: all labels there will ever be; needed by the first call only.

        Returns:
            The estimator itself.

        Raises:
            ValueError: without classes in the first call, or for other ones later.
        """
        known: Any = getattr(self, "classes_", None)
        several = type_of_target(y).startswith("multilabel")
        if classes is None and known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        given: Any = known if classes is None else unique_labels(classes)
        if known is not None and not np.array_equal(known, given):
            raise ValueError(
                f"`classes={classes}` is not the same as on last call to partial_fit, was: {known}"
            )
        with self._unless_it_fails():
            if known is None:
                self._label_binarizer = LabelBinarizer().fit(y if several else classes)
                self.classes_ = given
            return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row, (n,); or a matrix of 0 and 1."""
        return self._decide(self._predict_linked(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n, n_classes), in the order of `classes_`."""
        probabilities = self._predict_linked(X)
        if self.n_outputs_ == 1:
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
        return probabilities

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of `predict_proba`, (n, n_classes)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _decide(self, linked: np.ndarray) -> np.ndarray:
        linked = linked.ravel() if self.n_outputs_ == 1 else linked
        return self._label_binarizer.inverse_transform(linked)

    def _check_targets(self, y: Any) -> np.ndarray:
        y = check_array(y, ensure_2d=False, dtype=None)
        check_classification_targets(y)
        return y

    def _learn_targets(self, y: Any, first: bool) -> None:
        if first and not self._begun_by_partial_fit():
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif self.warm_start and set(unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {unique_labels(y)}"
            )

    def _learn_labels(self, classes: np.ndarray, y_type: str) -> None:
        """Take in the labels of a model that was trained before."""
        several = y_type.startswith("multilabel")
        self._label_binarizer = LabelBinarizer().fit(
            np.eye(len(classes), dtype=int) if several else classes
        )
        self.classes_ = classes

    def _begun_by_partial_fit(self) -> bool:
        """Whether `partial_fit`, which was told the classes, is what called."""
        return hasattr(self, "classes_") and not hasattr(self, "coefs_")

    def _encode(self, y: Any) -> np.ndarray:
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {unique_labels(y)}."
            )
        return self._label_binarizer.transform(y).astype(bool)

    def _loss_targets(self, encoded: np.ndarray) -> np.ndarray:
        if self._label_binarizer.y_type_ == "multiclass":
            return encoded.argmax(axis=1).astype(np.int32)
        return encoded.astype(self._dtype)

    def _find_loss(self) -> Any:
        several = self._label_binarizer.y_type_ == "multiclass"
        name = "softmax_cross_entropy" if several else "sigmoid_binary_cross_entropy"
        return options.make_loss(self.loss, {"log_loss": name}, self._task)

    def _loss_options(self) -> dict[str, float]:
        smoothing = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        return {**smoothing, **(self.loss_options or {})}

    def _weigh(self, y: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        weight = compute_sample_weight(self.class_weight, y)
        return weight if sample_weight is None else weight * sample_weight

    def __sklearn_tags__(self) -> Any:
        """Say what targets the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
