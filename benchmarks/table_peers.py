"""What people use for tables beside this library, at its defaults: fitted, asked and timed.

A peer is a function (split, seed) -> `Predicted`. It takes categories as its library does where
one argument says so, and gets scikit-learn's usual preparation where the library has none. A peer
that has no use for validation rows trains on them, too: each gets the same rows. Regression of
scikit-learn's networks is on standardized targets. All else is the library's default.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score, root_mean_squared_error
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.quality_data import TableSplit


class Predicted(NamedTuple):
    """What a peer said of the test rows, and what fitting and asking it took.

    Attributes:
        outputs: probabilities, (rows, classes), or numbers in the target's units, (rows,).
        seconds: on the clock.
        processor_seconds: of the process, all threads together.
    """

    outputs: np.ndarray
    seconds: float
    processor_seconds: float


def measures(split: TableSplit, outputs: np.ndarray) -> dict[str, float]:
    """Return accuracy, log loss and, of two classes, the area under the curve; or the RMSE."""
    if split.class_names is None:
        return {"rmse": float(root_mean_squared_error(split.y_test, outputs))}
    outputs = outputs / outputs.sum(axis=1, keepdims=True)  # of float32, they miss 1 by a little
    found = {
        "accuracy": float(accuracy_score(split.y_test, outputs.argmax(axis=1))),
        "log_loss": float(log_loss(split.y_test, outputs, labels=range(len(split.class_names)))),
    }
    if len(split.class_names) == 2:
        found["roc_auc"] = float(roc_auc_score(split.y_test, outputs[:, 1]))
    return found


def _timed(
    split: TableSplit,
    model: Any,
    prepare: Callable[[Any], Any] = lambda X: X,
    validation: bool = False,
    **fit_params: Any,
) -> Predicted:
    """Fit and ask a model, its preparation of the features included.

    Args:
        split: the rows.
        model: a classifier or regressor with scikit-learn's methods.
        prepare: X -> X, which learns nothing from the rows.
        validation: whether `fit` is given the validation rows as such.
        fit_params: further arguments of `fit`.
    """
    X, y = (split.X_train, split.y_train) if validation else split.rest
    begin, processor = time.perf_counter(), time.process_time()
    if validation:
        fit_params.update(X_val=prepare(split.X_val), y_val=split.y_val)
    model.fit(prepare(X), y, **fit_params)
    ask = model.predict if split.class_names is None else model.predict_proba
    outputs = np.asarray(ask(prepare(split.X_test)), float)
    return Predicted(outputs, time.perf_counter() - begin, time.process_time() - processor)


def hist_gradient_boosting(split: TableSplit, seed: int) -> Predicted:
    """scikit-learn's boosted trees, stopped early by rows of their own choice."""
    kinds = HistGradientBoostingClassifier, HistGradientBoostingRegressor
    return _timed(split, _of_task(split, kinds)(early_stopping=True, random_state=seed))


def lightgbm(split: TableSplit, seed: int) -> Predicted:
    """LightGBM, which knows categories by their dtype."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    make = _of_task(split, (LGBMClassifier, LGBMRegressor))
    return _timed(split, make(random_state=seed, verbose=-1))


def xgboost(split: TableSplit, seed: int) -> Predicted:
    """XGBoost, told to look at the categories' dtype."""
    from xgboost import XGBClassifier, XGBRegressor

    make = _of_task(split, (XGBClassifier, XGBRegressor))
    return _timed(split, make(random_state=seed, enable_categorical=True))


def catboost(split: TableSplit, seed: int) -> Predicted:
    """CatBoost, which takes categories as texts without holes."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    make = _of_task(split, (CatBoostClassifier, CatBoostRegressor))
    categories = list(split.X_train.select_dtypes("category"))

    def with_texts(X: Any) -> Any:
        return X.assign(
            **{name: X[name].astype(object).fillna("?").map(str) for name in categories}
        )

    model = make(
        random_seed=seed, cat_features=categories, verbose=False, allow_writing_files=False
    )
    return _timed(split, model, with_texts)


def sklearn_mlp(split: TableSplit, seed: int) -> Predicted:
    """scikit-learn's network, stopped early, behind the preparation its users write."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    preparation = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        remainder=numbers,
    )
    network = _of_task(split, (MLPClassifier, MLPRegressor))
    model = make_pipeline(preparation, network(early_stopping=True, random_state=seed))
    if split.class_names is None:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    return _timed(split, model)


def realmlp(kind: str, **options: Any) -> Callable[[TableSplit, int], Predicted]:
    """Make the function of pytabkit's RealMLP, "TD" or "TD_S", which takes no holes in numbers."""

    def run(split: TableSplit, seed: int) -> Predicted:
        import pytabkit

        kinds = (getattr(pytabkit, f"RealMLP_{kind}_{t}") for t in ("Classifier", "Regressor"))
        make = _of_task(split, tuple(kinds))
        medians = split.X_train.select_dtypes("number").median()
        model = make(random_state=seed, device="cpu", **options)
        return _timed(split, model, lambda X: X.fillna(medians), validation=True)

    return run


def _of_task(split: TableSplit, kinds: tuple[Any, ...]) -> Any:
    """Choose from (classifier, regressor)."""
    return kinds[split.class_names is None]


class Peer(NamedTuple):
    """A peer's function, and the package it needs."""

    run: Callable[[TableSplit, int], Predicted]
    package: str


PEERS = {
    "scikit-learn boosted trees": Peer(hist_gradient_boosting, "sklearn"),
    "LightGBM": Peer(lightgbm, "lightgbm"),
    "XGBoost": Peer(xgboost, "xgboost"),
    "CatBoost": Peer(catboost, "catboost"),
    "scikit-learn MLP": Peer(sklearn_mlp, "sklearn"),
    "RealMLP-TD-S": Peer(realmlp("TD_S"), "pytabkit"),
}


def why_absent(name: str) -> str | None:
    """Say why a peer cannot run here; None where it can."""
    package = PEERS[name].package
    if find_spec(package) is not None:
        return None
    return f"{package} is not installed; run python -m pip install -e '.[peers]'"
