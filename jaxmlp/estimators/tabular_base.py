"""What the estimators for tables share: reading, splitting, training by a recipe, predicting."""

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
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


class BaseTabularMLP(BaseEstimator):
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
    @abstractmethod
    def _n_out(self) -> int:
        """Return the number of the network's outputs."""

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
        share = 0.0 if X_val is not None else self.validation_fraction
        train, validation = self._parts(targets, weight, share, groups, time)
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
        return make_plan(
            recipe, preprocessor, n_rows, loss, self._n_out, settings=settings,
            loss_options=self.loss_options,
        )  # fmt: skip

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

    @abstractmethod
    def _check_targets(self, y: Any) -> np.ndarray:
        """Refuse targets that are none."""

    def _parts(
        self, y: np.ndarray, weight: np.ndarray | None, share: float, groups: Any, time: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows that train, and of those that validate."""
        rows = np.arange(len(y)) if weight is None else np.flatnonzero(weight > 0)
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
