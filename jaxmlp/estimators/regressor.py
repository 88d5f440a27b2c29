"""MLPRegressor: scikit-learn's, and what its users have asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from jaxmlp.data import Standardizer
from jaxmlp.estimators import options
from jaxmlp.estimators.base import BaseMLP
from jaxmlp.estimators.callbacks import with_callbacks
from jaxmlp.estimators.classifier import _is_stochastic
from jaxmlp.losses import LOSSES, Loss, check_target_values, get_loss
from jaxmlp.losses.base import identity_link

_REGRESSION_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.task == "regression")


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multilayer perceptron that predicts numbers; drop-in for scikit-learn's.

    J = sum_i w_i l_i / sum_i w_i + alpha / (2 sum_i w_i) sum_l ||W^(l)||^2 over each batch; for
    the squared error l_i = 1/2 sum_k (o_ik - y_ik)^2.

    Args:
        loss: "squared_error", "poisson", "absolute_error", "huber", "quantile", or a `jaxmlp.Loss`
            of your own for regression.
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
        early_stopping: watch the validation score (R2), and keep the best weights.
        validation_fraction: rows set aside for it, unless `fit` is given X_val and y_val.
        beta_1: of "adam".
        beta_2: of "adam".
        epsilon: of "adam".
        n_iter_no_change: epochs without improvement that are waited for.
        max_fun: most evaluations of "lbfgs".
        loss_options: numbers that the loss takes, such as {"quantile": 0.9} or {"delta": 2.0}.
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
            as people have them: scaled, imputed, encoded;
            targets are standardized too, except for a loss with a link.
        callbacks: functions of a `jaxmlp.training.Progress`, called after every epoch; True stops.
            `set_callbacks` takes scikit-learn's own callbacks, where its version has them.
        device: "cpu", "gpu", "gpu:1", a jax.Device, or None for JAX's default.
        dtype: of weights and arithmetic: "float32" or "float64"; None takes that of X, which is
            what scikit-learn does. Fits in float64 took 1.5 times as long (20,640 houses).

    Attributes:
        coefs_, intercepts_: weights (n_in, n_out) and biases (n_out,) of each layer.
        loss_curve_, loss_, best_loss_: the objective of each epoch, with the penalty.
        validation_scores_, validation_loss_curve_, best_validation_score_: of the validation rows.
        history_: every recorded metric by name, one entry an epoch.
        n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_:
            as in scikit-learn.

    Raises:
        ValueError: from `fit`, for parameters or data that do not fit; the message says what to do.

    Differences from scikit-learn: arithmetic is float32 whatever X is, unless dtype is "float64" or
    None; the order of shuffled rows is another one for the same seed; sparse X is made dense; an
    epoch's loss weights its batches by the sum of their sample weights; the loss of several targets
    is their sum, whose gradient both follow, not their mean; that of "poisson" lacks the constant
    of the deviance.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> upper = MLPRegressor("quantile", loss_options={"quantile": 0.9}, max_iter=300,
        ...                      learning_rate_init=0.05, random_state=0).fit(X, y)
        >>> bool(0.8 < (y < upper.predict(X)).mean() < 0.97)
        True

    Reference: lecture, chapters III to VII; scikit-learn's MLPRegressor.
    """

    _task = "regression"
    _parameter_constraints = {  # noqa: RUF012
        **options.CONSTRAINTS,
        "loss": [StrOptions(set(_REGRESSION_LOSSES)), Loss],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
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
        loss_options: Mapping[str, float] | None = None,
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
        self.loss = loss
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
        self.loss_options = loss_options
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
    ) -> "MLPRegressor":
        """Train on rows with targets.

        Args:
            X: features, (n, n_features): an array, sparse matrix or DataFrame.
            y: targets, (n,) or (n, n_targets).
            sample_weight: non-negative weights, (n,).
            X_val: rows to validate on; measured every epoch, and what early_stopping watches.
            y_val: their targets.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MLPRegressor":
        """Train for one epoch on these rows, keeping the solver's moments.

        Args:
            X: features, (n, n_features).
            y: targets, (n,) or (n, n_targets).
            sample_weight: non-negative weights, (n,).

        Returns:
            The estimator itself.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted target of each row, (n,) or (n, n_targets)."""
        outputs = self._predict_linked(X)
        if self.preprocessing == "auto" and self.target_transform_ is not None:
            outputs = self.target_transform_.inverse_transform(outputs)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _check_targets(self, y: Any) -> np.ndarray:
        return check_array(y, ensure_2d=False, dtype="numeric").astype(np.float64)

    def _learn_targets(self, y: Any, first: bool) -> None:
        if first and self.preprocessing == "auto":
            linear = get_loss(self._find_loss()).link is identity_link
            self.target_transform_ = Standardizer.fit(y.reshape(len(y), -1)) if linear else None

    def _encode(self, y: Any) -> np.ndarray:
        y = y.reshape(len(y), -1)
        check_target_values(self._find_loss(), y.shape[1], y)
        if self.preprocessing == "auto" and self.target_transform_ is not None:
            y = self.target_transform_.transform(y)
        with np.errstate(over="ignore"):
            return y.astype(self._dtype)

    def _loss_targets(self, encoded: np.ndarray) -> np.ndarray:
        return encoded

    def _find_loss(self) -> Any:
        names = {name: name for name in _REGRESSION_LOSSES}
        return options.make_loss(self.loss, names, self._task)

    def __sklearn_tags__(self) -> Any:
        """Say what targets the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
