"""Estimators for tables as people have them: no preparation, a recipe, several members in one.

They take a DataFrame with numbers, words, dates and missing cells, keep a validation part, and
train what `jaxmlp train data.csv --target y` does.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, check_random_state, compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_samples,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from jaxmlp.checks import unknown_name
from jaxmlp.data import Standardizer, TablePreprocessor
from jaxmlp.data.tables.row_split import split_rows
from jaxmlp.data.tables.values import to_frame
from jaxmlp.losses import Loss, check_target_values, get_loss
from jaxmlp.models import Model, infer
from jaxmlp.models.calibration import calibrate
from jaxmlp.models.inference import class_probabilities
from jaxmlp.networks import functions_of
from jaxmlp.recipes import (
    RECIPES,
    Recipe,
    RecipePlan,
    RecipeSettings,
    fit_plan,
    get_recipe,
    make_plan,
    recipe_settings,
)
from jaxmlp.tabular_config import TabularConfig
from jaxmlp.tabular_network import member_logits
from jaxmlp.training import FitResult, FitStatus

_LEAST_ROWS = 10  # for a validation part
_SAID = ("layers", "activation", "learning_rate", "schedule", "batch_size", "epochs", "dropout",
         "label_smoothing", "patience")  # fmt: skip


class _BaseTabularMLP(BaseEstimator):
    """The common part of TabularMLPClassifier and TabularMLPRegressor."""

    _task: str
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "recipe": [StrOptions(set(RECIPES)), Recipe],
        "settings": [dict, None],
        "columns": [dict, None],
        "missing": ["array-like"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "loss": [str, Loss],
        "loss_options": [dict, None],
        "callbacks": [list, tuple],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
    }

    @abstractmethod
    def _learn_targets(self, y: np.ndarray) -> None:
        """Take in what there is to know about the targets of the rows that count."""

    @abstractmethod
    def _known_targets(self, y: np.ndarray) -> np.ndarray:
        """Return targets as the loss takes them."""

    @abstractmethod
    def _choose_loss(self) -> Loss:
        """Return the loss."""

    def _further_targets(self, y: Any) -> np.ndarray:
        """Check further targets, and return them as the loss takes them."""
        return self._known_targets(self._check_targets(y))

    @property
    def _n_out(self) -> int:
        """Outputs of the network."""
        raise NotImplementedError

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
        time: Any = None,
    ) -> Self:
        """Train on a table.

        Args:
            X: the table, (n, n_features): a DataFrame of pandas, polars or Arrow, or an array.
            y: what is to be predicted, (n,).
            sample_weight: non-negative weights, (n,).
            X_val: rows that decide which epoch is kept; by default a part of X does.
            y_val: their targets.
            groups: (n,); rows of a group stay together when a validation part is taken.
            time: (n,), numbers or dates; the last rows then validate.

        Returns:
            The estimator itself, with `model_`, `recipe_settings_`, `history_`, `best_epoch_`,
            `n_iter_` and `preprocessing_`.

        Raises:
            ValueError: for data that do not fit; if nothing finite was learnt.
        """
        self._validate_params()
        X, columns = self._read(X, reset=True)
        y = self._check_targets(y)
        check_consistent_length(X, y)
        weight = self._weigh(y, _checked_weight(sample_weight, X))
        self._learn_targets(y if weight is None else y[weight > 0])
        targets = self._known_targets(y)
        train, validation = self._parts(X, targets, weight, groups, time)
        recipe = get_recipe(self.recipe)
        table = _rows(X, train)
        preprocessor = TablePreprocessor.fit(
            table, columns=columns, missing=tuple(self.missing), max_one_hot=recipe.max_one_hot
        )
        plan = self._plan(recipe, preprocessor, len(train))
        check_target_values(plan.loss, self._n_out, targets)
        held_out = None
        if X_val is not None:
            X_val, _ = self._read(X_val, reset=False)
            held_out = preprocessor.transform(X_val), self._further_targets(y_val)
        elif len(validation):
            held_out = preprocessor.transform(_rows(X, validation)), targets[validation]
        seed = check_random_state(self.random_state).randint(2**31 - 2)
        result = fit_plan(
            plan, (preprocessor.transform(table), targets[train]), held_out, seed=seed,
            sample_weight=None if weight is None else weight[train],
            callbacks=(*self.callbacks, *([_print_epoch] if self.verbose else [])),
        )  # fmt: skip
        self._keep(plan, preprocessor, result)
        self._after_fit(held_out)
        return self

    def _plan(self, recipe: Recipe, preprocessor: TablePreprocessor, n_rows: int) -> RecipePlan:
        """Follow the recipe, but for what was said."""
        loss = self._choose_loss()
        settings = recipe_settings(recipe, n_rows, loss.task, self._n_out)
        said = dict(self.settings or {})
        for name in said:
            if name not in _SAID:
                raise unknown_name("setting", name, _SAID)
        if self.max_epochs is not None:
            said["epochs"] = int(self.max_epochs)
        settings = RecipeSettings(**{**settings._asdict(), **said})
        return make_plan(recipe, preprocessor, n_rows, loss, self._n_out, settings=settings)

    def _keep(self, plan: RecipePlan, preprocessor: TablePreprocessor, result: FitResult) -> None:
        """Remember what was learnt."""
        if result.status is FitStatus.DIVERGED and result.best_epoch == 0:
            raise ValueError(
                "training diverged before an epoch ended, and nothing was learnt; try a smaller "
                "settings={'learning_rate': ...}."
            )
        self.preprocessing_ = preprocessor
        self.recipe_settings_ = plan.settings
        self.history_ = {name: np.asarray(values) for name, values in result.history.items()}
        self.best_epoch_, self.n_iter_ = result.best_epoch, result.history.n_epochs
        self.model_ = Model(
            result.config, result.params, result.state, plan.loss.name, preprocessor,
            preprocessor.column_names, self._class_names(), target_transform=self._transform(),
            extra={"recipe": plan.recipe.to_dict(), "settings": _listed(plan.settings)},
        )  # fmt: skip

    def _loss_of_task(self, loss: str | Loss) -> Loss:
        found = get_loss(loss)
        if found.task != self._task:
            raise ValueError(f"loss {found.name!r} is for {found.task}, not for {self._task}.")
        return found

    def _class_names(self) -> tuple[str, ...] | None:
        return None

    def _transform(self) -> Standardizer | None:
        return None

    def _after_fit(self, held_out: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Do what needs the trained model."""

    def _weigh(self, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        return weight

    def _check_targets(self, y: Any) -> np.ndarray:
        raise NotImplementedError

    def _parts(
        self, X: Any, y: np.ndarray, weight: np.ndarray | None, groups: Any, time: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows that train, and of those that validate."""
        rows = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0)
        share = self.validation_fraction
        if share == 0 or len(rows) < _LEAST_ROWS:
            return rows, rows[:0]
        import pandas as pd

        def column(values: Any, name: str) -> Any:
            return None if values is None else pd.Series(np.asarray(values)[rows], name=name)

        stratify = self._task == "classification"
        parts = split_rows(
            y[rows], stratify=stratify, seed=check_random_state(self.random_state).randint(2**31),
            group=column(groups, "groups"), time=column(time, "time"),
            test_share=share, validation_share=0.01,
        )  # fmt: skip
        train = np.sort(np.concatenate([parts.train, parts.validation]))
        return rows[train], rows[np.sort(parts.test)]

    def _read(self, X: Any, reset: bool) -> tuple[Any, Mapping[str, Any] | None]:
        """Check a table; of an array of numbers, every column is a number."""
        foreign = type(X).__module__.partition(".")[0] in ("polars", "pyarrow")
        if foreign or (isinstance(X, dict) and not issparse(X)):  # a sparse matrix may be a dict
            X = to_frame(X)
        if hasattr(X, "columns"):
            validate_data(self, X, skip_check_array=True, reset=reset)
            if not _num_samples(X):
                raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
            return X, self.columns
        X = validate_data(
            self, X, dtype=None, ensure_all_finite="allow-nan", reset=reset, accept_sparse=False
        )
        if X.dtype.kind in "OUS":
            return X, self.columns
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
        numbers = {f"x{k}": "number" for k in range(X.shape[1])}
        return X, {**numbers, **(self.columns or {})}

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X, _ = self._read(X, reset=False)
        return infer(self.model_, self.preprocessing_.transform(X))

    def predict_members(self, X: Any) -> Float[np.ndarray, "members rows outputs"]:
        """Return what each member of the network predicts; their spread tells how sure it is.

        Args:
            X: the table.

        Returns:
            Probabilities (members, n, n_classes), or predictions (members, n).
        """
        check_is_fitted(self)
        X, _ = self._read(X, reset=False)
        model, x = self.model_, self.preprocessing_.transform(X)
        if isinstance(model.config, TabularConfig):
            logits = member_logits(model.config, model.params, jnp.asarray(x), state=model.state)
        else:
            logits = functions_of(model.config).predict(
                model.config, model.params, x, state=model.state
            )
        linked = np.asarray(get_loss(model.loss).link(logits))
        linked = linked.reshape(-1, len(x), linked.shape[1])
        if self._task == "classification":
            return np.stack([class_probabilities(part) for part in linked])
        if model.target_transform is not None:
            linked = np.stack([model.target_transform.inverse_transform(part) for part in linked])
        return linked[..., 0] if linked.shape[2] == 1 else linked

    def to_model(self) -> Model:
        """Return what was learnt as a `jaxmlp.models.Model`, which `jaxmlp.save` writes."""
        check_is_fitted(self)
        model: Model = self.model_
        return model

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has ended well."""
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        """Say what data the estimator takes."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags


class TabularMLPClassifier(ClassifierMixin, _BaseTabularMLP):
    """A classifier of the rows of a table, whatever its columns hold.

    Args:
        recipe: how it is learnt: "tabm" (members that share the layers behind a piecewise-linear
            embedding), "realmlp", "realmlp-s", "plain", or a `Recipe` of your own.
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
        **_BaseTabularMLP._parameter_constraints,
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


class TabularMLPRegressor(RegressorMixin, _BaseTabularMLP):
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
        outputs = self._outputs(X)
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
            self._standardizer = Standardizer.fit(y.reshape(len(y), -1))

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


def _checked_weight(sample_weight: Any, X: Any) -> np.ndarray | None:
    if sample_weight is None:
        return None
    rows = np.empty((_num_samples(X), 1))
    weight: np.ndarray = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is 0 for every row; there is nothing to learn from.")
    return weight


def _rows(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def _listed(settings: RecipeSettings) -> dict[str, Any]:
    return {**settings._asdict(), "layers": list(settings.layers)}


def _print_epoch(progress: Any) -> None:
    shown = ", ".join(
        f"{name} {value:.5g}" for name, value in progress.row.items() if name.endswith("loss")
    )
    print(f"epoch {progress.epoch} of {progress.epochs}: {shown}")
