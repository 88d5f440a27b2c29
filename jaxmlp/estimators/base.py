"""What the classifier and the regressor share: reading data, training, predicting."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from jaxmlp.checks import check_frozen
from jaxmlp.config import MLPConfig
from jaxmlp.data import TablePreprocessor
from jaxmlp.estimators import options
from jaxmlp.estimators.callbacks import CallbackSupportMixin, EpochReports
from jaxmlp.estimators.exchange import model_of, restore
from jaxmlp.estimators.inference import hidden_values, linked_outputs
from jaxmlp.estimators.job import FitJob
from jaxmlp.estimators.learnt import check_goes_on, forget, forget_curves, remember
from jaxmlp.estimators.rows import Rows
from jaxmlp.estimators.train import train
from jaxmlp.estimators.weights import (
    draw_weights,
    from_attributes,
    replace_initial,
)
from jaxmlp.losses import Loss, get_loss
from jaxmlp.models import Model
from jaxmlp.training.data import in_scale


class _FitData(NamedTuple):
    """What one call of `fit` was given, checked and encoded."""

    rows: Rows
    validation: Rows | None


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """The common part of MLPClassifier and MLPRegressor; not to be used directly."""

    _task: str
    _dtype = "float32"  # of weights and arithmetic; found by fit
    _parameter_constraints: dict[str, list[Any]] = options.CONSTRAINTS

    @abstractmethod
    def _learn_targets(self, y: Any, first: bool) -> None:
        """Take in what there is to know about the training targets."""

    @abstractmethod
    def _encode(self, y: Any) -> np.ndarray:
        """Return targets as a matrix (n, n_outputs)."""

    @abstractmethod
    def _loss_targets(self, encoded: np.ndarray) -> np.ndarray:
        """Return encoded targets as the loss takes them."""

    def _loss_options(self) -> dict[str, float]:
        """Return the numbers that the loss takes."""
        return self.loss_options or {}

    @abstractmethod
    def _find_loss(self) -> Loss:
        """Return the loss."""

    def _weigh(self, y: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """Return the rows' weights, class weights included."""
        return sample_weight

    # Reading data -------------------------------------------------------------------------------

    def _read_features(self, X: Any, reset: bool) -> np.ndarray:
        if self.preprocessing == "auto":
            validate_data(self, X, skip_check_array=True, reset=reset)
            if reset:
                self.preprocessing_ = TablePreprocessor.fit(X)
            return self.preprocessing_.transform(X).astype(self._dtype)
        X = validate_data(
            self,
            X,
            accept_sparse=["csr", "csc"],
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        return self._narrow(X)

    def _narrow(self, X: Any) -> np.ndarray:
        """Make X dense, in the network's dtype; what is too large for it becomes infinite."""
        dense = X.toarray() if hasattr(X, "toarray") else X
        with np.errstate(over="ignore"):
            return dense.astype(self._dtype, copy=False)

    def _read(self, X: Any, y: Any, sample_weight: Any, first: bool, training: bool) -> Rows:
        if self.preprocessing == "auto":
            X, y = self._read_features(X, reset=first), self._check_targets(y)
            check_consistent_length(X, y)
        else:
            X, y = validate_data(
                self, X, y, accept_sparse=["csr", "csc"], multi_output=True,
                y_numeric=self._task == "regression", dtype=(np.float64, np.float32), reset=first,
            )  # fmt: skip
            X = self._narrow(X)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if training:
            self._learn_targets(y, first)
        encoded = self._encode(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        weight = self._weigh(y, sample_weight) if training else sample_weight
        if weight is None:
            return Rows(X, encoded)
        if not weight.sum() > 0:
            raise ValueError("the weights of all rows are 0; give at least one row a weight.")
        return Rows(X, encoded, in_scale(weight).astype(self._dtype))

    @abstractmethod
    def _check_targets(self, y: Any) -> np.ndarray:
        """Return y as an array, where `validate_data` did not see it."""

    def _read_all(
        self, X: Any, y: Any, sample_weight: Any, first: bool, incremental: bool, given: Any
    ) -> _FitData:
        """Read training and validation data; split the latter off where it is not given."""
        rows = self._read(X, y, sample_weight, first, training=True)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self.n_outputs_ = rows.y.shape[1]
        self._random_state = check_random_state(self.random_state)
        X_val, y_val, weight_val = given
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val belong together; pass both, or neither.")
        if X_val is None:
            return _FitData(rows, None)
        return _FitData(rows, self._read(X_val, y_val, weight_val, first=False, training=False))

    def _split(self, rows: Rows) -> _FitData:
        """Set validation rows aside, as scikit-learn does with the same random state."""
        stratify = rows.y if self._task == "classification" and self.n_outputs_ == 1 else None
        given = {name: part for name, part in rows._asdict().items() if part is not None}
        parts = train_test_split(
            *given.values(),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        training, validation = (
            Rows(**dict(zip(given, parts[half::2], strict=True))) for half in (0, 1)
        )
        if len(validation.x) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        for name, part in (("training", training), ("validation", validation)):
            if part.weight is not None and not part.weight.any():
                raise ValueError(
                    f"the weights of all {name} rows are 0 after the split; pass X_val and y_val, "
                    "or leave rows of weight 0 out."
                )
        return _FitData(training, validation)

    # Training -----------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, **how: Any) -> Any:
        """Train; `how` are the keywords of `_prepare`."""
        with self._unless_it_fails():
            if self._begins(how.get("incremental", False)):
                self._dtype = self._find_dtype(X)
            with self._arithmetic():
                job = self._prepare(X, y, sample_weight, **how)
                job = job._replace(reports=EpochReports(self, X, y, sample_weight))
                remember(self, job, train(job))
        return self

    def _begins(self, incremental: bool) -> bool:
        """Whether training starts from fresh weights."""
        return not hasattr(self, "coefs_") or not (self.warm_start or incremental)

    def _find_dtype(self, X: Any) -> str:
        """Return what `dtype` asks for; None asks for that of X, in which lists are float64."""
        if self.dtype is not None:
            return str(self.dtype)
        columns = getattr(X, "dtypes", None)  # of a DataFrame
        dtypes = [getattr(X, "dtype", None)] if columns is None else list(columns)
        narrow = all(dtype in (np.float16, np.float32) for dtype in dtypes)
        return "float32" if narrow else "float64"

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Change the estimator only if what is done in this context succeeds."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        initial: tuple[Any, Any] = (None, None),
        places: np.ndarray | None = None,
    ) -> FitJob:
        """Check and encode everything that training needs."""
        self._validate_params()
        if incremental and self.n_ensemble > 1:
            raise ValueError("partial_fit trains one network; set n_ensemble=1.")
        first = self._begins(incremental)
        data = self._read_all(X, y, sample_weight, first, incremental, validation)
        config = options.make_config(self, data.rows.x.shape[1], self.n_outputs_)
        if not first:
            check_goes_on(self, config)
        starts = self._starts(config, first, initial)
        if first:
            forget(self, config)
        if self.solver != "lbfgs" and (first or not hasattr(self, "loss_curve_")):
            forget_curves(self)
        self._config = config
        data = data._replace(rows=data.rows._replace(places=places))
        if self.early_stopping and data.validation is None and self.solver != "lbfgs":
            data = self._split(data.rows)
        return FitJob(
            self,
            config,
            get_loss(self._find_loss()),
            self._for_loss(data.rows),
            None if data.validation is None else self._for_loss(data.validation),
            check_frozen(config.n_layers, self.frozen_layers),
            starts,
            incremental,
        )

    def _for_loss(self, rows: Rows) -> Rows:
        return rows._replace(y=self._loss_targets(rows.y))

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Compute in the network's dtype on `device`."""
        device = options.find_device(self.device)
        with jax.enable_x64(self._dtype == "float64"), jax.default_device(device):
            yield

    def _starts(self, config: MLPConfig, first: bool, initial: tuple[Any, Any]) -> list[Any]:
        """Return each member's initial (parameters, running statistics)."""
        if first:
            starts = [
                draw_weights(config, self.weight_init, self._random_state)
                for _ in range(self.n_ensemble)
            ]
        elif self.n_ensemble > 1:
            stacked = from_attributes(self, config)
            starts = [jax.tree.map(lambda a, m=m: a[m], stacked) for m in range(self.n_ensemble)]
        else:
            starts = [from_attributes(self, config)]
        return [(replace_initial(config, params, *initial), state) for params, state in starts]

    # Predicting ---------------------------------------------------------------------------------

    def _predict_linked(self, X: Any) -> np.ndarray:
        """Return link(logits), averaged over the members, (n, n_outputs)."""
        check_is_fitted(self)
        x = self._read_features(X, reset=False)
        with self._arithmetic():
            outputs = linked_outputs(
                self._config,
                get_loss(self._find_loss()),
                *from_attributes(self, self._config),
                x,
                members=self.coefs_[0].ndim == 3,
            )
        lost = np.flatnonzero(np.isnan(outputs).any(axis=1))
        if len(lost):
            raise ValueError(
                f"row {lost[0]} of X has no prediction: its values, up to "
                f"{np.abs(x[lost[0]]).max():.1e}, overflow {self._dtype} on their way. Scale X as "
                "the training data were, or leave such rows out."
            )
        return outputs

    def hidden_features(self, X: Any) -> np.ndarray:
        """Return the values of the last hidden layer, as features for another model.

        Args:
            X: (n, n_features), as for `predict`.

        Returns:
            h^(L-1), (n, units of the last hidden layer).

        Raises:
            ValueError: for an ensemble, whose members have features of their own.

        Reference: lecture, chapter VIII (feature extraction).
        """
        check_is_fitted(self)
        if self.coefs_[0].ndim == 3:
            raise ValueError("each member of an ensemble has its own features; set n_ensemble=1.")
        x = self._read_features(X, reset=False)
        with self._arithmetic():
            return hidden_values(self._config, *from_attributes(self, self._config), x)

    def to_model(self) -> Model:
        """Return what was learnt as a `jaxmlp.models.Model`, which `jaxmlp.models.save` writes.

        Raises:
            ValueError: for an ensemble, which is several networks.
        """
        return model_of(self)

    @classmethod
    def from_model(cls, model: Model) -> Self:
        """Return a fitted estimator of a model that `to_model` made, from a file or not.

        Raises:
            ValueError: for a model of another kind.
        """
        return restore(cls(), model)

    def __sklearn_tags__(self) -> Any:
        """Say what data the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.preprocessing is None
        return tags
