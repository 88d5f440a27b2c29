"""Estimators for tables as people have them: no preparation, a recipe, several members in one.

They take a DataFrame with numbers, words, dates and missing cells, keep a validation part, and
train what `jaxmlp train data.csv --target y` does.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from jaxmlp.data import Standardizer
from jaxmlp.estimators.tabular_base import BaseTabularMLP
from jaxmlp.losses import Loss
from jaxmlp.models.calibration import calibrate
from jaxmlp.models.inference import class_probabilities
from jaxmlp.recipes import (
    Recipe,
    get_recipe,
)


class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):
    """A classifier of the rows of a table, whatever its columns hold.

    Args:
        recipe: how it is learnt: "tabm" (members that share the layers behind a piecewise-linear
            embedding), "realmlp" and its smaller "realmlp-s", "plain", or a `Recipe` of your own.
        settings: what is said instead of the recipe's settings, such as {"learning_rate": 1e-3};
            see `jaxmlp.recipes.RecipeSettings`.
        columns: what some columns are, {name: "number", "category", "boolean", "date", "text",
            "drop"}; the rest is inferred.
        missing: words that mean a missing cell, besides the usual ones.
        max_epochs: passes over the rows; None: the recipe's.
        validation_fraction: share of the rows that decides which epoch is kept; 0 keeps the last.
        class_weight: weights of the classes, {label: weight}, or "balanced".
        calibrated: whether the probabilities are calibrated on the validation part, by a
            temperature.
        loss: "auto", or a loss of classes.
        loss_options: numbers that the loss takes.
        callbacks: called after every epoch, as `jaxmlp.fit` does.
        verbose: whether each epoch is printed.
        random_state: of the validation part, the parameters and the order of the rows.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"town": ["A", "B", "C", "D"] * 30, "size": np.arange(120) % 7})
        >>> y = np.where(table.town.isin(["A", "B"]), "yes", "no")
        >>> model = TabularMLPClassifier(random_state=0).fit(table, y)
        >>> model.predict(pd.DataFrame({"town": ["A", "D"], "size": [3, 3]})).tolist()
        ['yes', 'no']

    Reference: Gorishniy et al., TabM, 2024, arXiv 2410.24210; Holzmüller et al., RealMLP, 2024,
    arXiv 2407.04491.
    """

    _task = "classification"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseTabularMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "calibrated": ["boolean"],
    }

    def __init__(
        self,
        recipe: str | Recipe = "tabm",
        *,
        settings: dict[str, Any] | None = None,
        columns: Mapping[str, Any] | None = None,
        missing: Iterable[str] = (),
        max_epochs: int | None = None,
        validation_fraction: float = 0.15,
        class_weight: Any = None,
        calibrated: bool = False,
        loss: str | Loss = "auto",
        loss_options: dict[str, float] | None = None,
        callbacks: Any = (),
        verbose: Any = False,
        random_state: Any = None,
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        self.recipe = recipe
        self.settings = settings
        self.columns = columns
        self.missing = missing
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.calibrated = calibrated
        self.loss = loss
        self.loss_options = loss_options
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest label of each row, (n,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[likeliest]
        return labels

    def predict_proba(self, X: Any) -> Float[np.ndarray, "rows classes"]:
        """Return the probability of each class, (n, n_classes), in the order of `classes_`."""
        return class_probabilities(self._outputs(X))

    def predict_log_proba(self, X: Any) -> Float[np.ndarray, "rows classes"]:
        """Return the logarithm of `predict_proba`, (n, n_classes)."""
        with np.errstate(divide="ignore"):
            logarithms: np.ndarray = np.log(self.predict_proba(X))
        return logarithms

    def _check_targets(self, y: Any) -> np.ndarray:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        y = check_array(y, ensure_2d=False, dtype=None)
        check_classification_targets(y)
        if y.ndim == 2 and y.shape[1] == 1:
            from sklearn.utils.validation import column_or_1d

            y = column_or_1d(y, warn=True)
        if y.ndim != 1:
            raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
        return y

    def _learn_targets(self, y: np.ndarray) -> None:
        encoder = LabelEncoder().fit(y)
        if len(encoder.classes_) < 2:
            raise ValueError(
                f"Classifier can't train when only one class is present: {encoder.classes_[0]!r}."
            )
        self._encoder, self.classes_ = encoder, encoder.classes_

    def _known_targets(self, y: np.ndarray) -> np.ndarray:
        return self._encoder.transform(y).astype(np.int32)

    def _choose_loss(self) -> Loss:
        return self._loss_of_task("softmax_cross_entropy" if self.loss == "auto" else self.loss)

    @property
    def _n_out(self) -> int:
        return len(self.classes_)

    def _class_names(self) -> tuple[str, ...]:
        return tuple(map(str, self.classes_))

    def _weigh(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weight
        by_class: np.ndarray = compute_sample_weight(self.class_weight, y)
        return by_class if weight is None else by_class * weight

    def _after_fit(self, held_out: tuple[np.ndarray, np.ndarray] | None) -> None:
        if not self.calibrated:
            return
        if held_out is None:
            raise ValueError("calibrated=True needs a validation part; set validation_fraction.")
        self.model_, self.temperature_ = calibrate(self.model_, *held_out)


class TabularMLPRegressor(RegressorMixin, BaseTabularMLP):
    """A regressor of the rows of a table, whatever its columns hold.

    Args:
        recipe: how it is learnt: "tabm", "realmlp", "realmlp-s", "plain", or a `Recipe`.
        settings: what is said instead of the recipe's settings, such as {"learning_rate": 1e-3}.
        columns: what some columns are, as for the classifier.
        missing: words that mean a missing cell, besides the usual ones.
        max_epochs: passes over the rows; None: the recipe's.
        validation_fraction: share of the rows that decides which epoch is kept; 0 keeps the last.
        loss: "squared_error", "absolute_error", "huber", "quantile", "poisson" (counts), or a
            `Loss`.
        loss_options: numbers that the loss takes, such as {"quantile": 0.9}.
        callbacks: called after every epoch, as `jaxmlp.fit` does.
        verbose: whether each epoch is printed.
        random_state: of the validation part, the parameters and the order of the rows.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"size": np.linspace(0, 1, 200)})
        >>> model = TabularMLPRegressor(random_state=0).fit(table, 10 * table["size"])
        >>> abs(float(model.predict(pd.DataFrame({"size": [0.5]}))[0]) - 5) < 0.5
        True

    Reference: Gorishniy et al., TabM, 2024, arXiv 2410.24210; Holzmüller et al., RealMLP, 2024,
    arXiv 2407.04491.
    """

    _task = "regression"

    def __init__(
        self,
        recipe: str | Recipe = "tabm",
        *,
        settings: dict[str, Any] | None = None,
        columns: Mapping[str, Any] | None = None,
        missing: Iterable[str] = (),
        max_epochs: int | None = None,
        validation_fraction: float = 0.15,
        loss: str | Loss = "squared_error",
        loss_options: dict[str, float] | None = None,
        callbacks: Any = (),
        verbose: Any = False,
        random_state: Any = None,
    ) -> None:
        """Keep the parameters as they are; `fit` checks them."""
        self.recipe = recipe
        self.settings = settings
        self.columns = columns
        self.missing = missing
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.loss = loss
        self.loss_options = loss_options
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Return the predicted number of each row.

        Args:
            X: the table.
            return_std: also return the deviation of the members' predictions.

        Returns:
            (n,), or (n, n_outputs); with `return_std` a pair of such.
        """
        outputs = self._outputs(X).astype(np.float64)
        predicted = outputs[:, 0] if outputs.shape[1] == 1 else outputs
        if not return_std:
            return predicted
        return predicted, self.predict_members(X).std(axis=0)

    def _check_targets(self, y: Any) -> np.ndarray:
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        y = check_array(y, ensure_2d=False, dtype=np.float64)
        if y.ndim == 2 and y.shape[1] == 1:
            from sklearn.utils.validation import column_or_1d

            y = column_or_1d(y, warn=True)
        return y

    def _learn_targets(self, y: np.ndarray) -> None:
        self._n_outputs = 1 if y.ndim == 1 else y.shape[1]
        self._standardizer = None
        if self._choose_loss().name != "poisson":
            clamp = get_recipe(self.recipe).clamp
            self._standardizer = Standardizer.fit(y.reshape(len(y), -1), clamp=clamp)

    def _known_targets(self, y: np.ndarray) -> np.ndarray:
        y = y.reshape(len(y), -1)
        if self._standardizer is not None:
            y = self._standardizer.transform(y)
        return (y[:, 0] if y.shape[1] == 1 else y).astype(np.float32)

    def _choose_loss(self) -> Loss:
        return self._loss_of_task(self.loss)

    @property
    def _n_out(self) -> int:
        return self._n_outputs

    def _transform(self) -> Standardizer | None:
        return self._standardizer

    def __sklearn_tags__(self) -> Any:
        """Say what targets the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
