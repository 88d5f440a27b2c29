"""The data of a command: loaded, split, and standardized on the training part alone."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmlp.checks import unknown_name
from jaxmlp.data import (
    Dataset,
    DataSplit,
    Preprocessing,
    Standardizer,
    load_digits,
    load_idx,
    train_test_split,
)

DATA_SETS = ("digits", "mnist", "fashion-mnist")
TEST_SHARE = 0.2  # of digits, which come as one set
VALIDATION_SHARE = 0.1  # of what is not test data


@dataclass(frozen=True)
class PreparedData:
    """Three parts of a data set as the network takes them, and what new data need.

    Attributes:
        name: of the run's folder.
        train: what it learns from.
        validation: what decides when to stop.
        test: what the scores are measured on.
        preprocessing: fitted on the training part, for new data.
        feature_names: of the raw data.
        loss: that suits the targets.
        target_transform: from the targets' units to those of `train.y`, or None.
        target_name: of what is predicted.
    """

    name: str
    train: Dataset
    validation: Dataset
    test: Dataset
    preprocessing: Preprocessing
    feature_names: tuple[str, ...]
    loss: str = "softmax_cross_entropy"
    target_transform: Standardizer | None = None
    target_name: str = "class"

    @property
    def extra(self) -> dict[str, Any]:
        """What else a model keeps of its data."""
        return {}

    @property
    def is_calibrated(self) -> bool:
        """Whether a temperature makes the probabilities suit the validation part."""
        return False

    @property
    def rows(self) -> Any:
        """What the network learns from, as `fit` takes it."""
        return self.train.x, self.train.y

    @property
    def n_train(self) -> int:
        """How many rows that are."""
        return len(self.train.x)


def load_data_set(name: str, data_dir: Path | None, seed: int) -> PreparedData:
    """Load a data set by name and split it: stratified, by seed.

    Args:
        name: one of `DATA_SETS`.
        data_dir: folder with the IDX files of MNIST and Fashion-MNIST, or its parent.
        seed: of the splits. MNIST's own test set stays what it is.

    Returns:
        The parts. All pixels share one mean and one scale, as they share a unit.

    Raises:
        ValueError: for an unknown name, or a missing folder.
        FileNotFoundError: for missing files.
    """
    parts = load_parts(name, data_dir, seed)
    standardizer = Standardizer.fit(parts.train.x, per_feature=False)
    train, validation, test = (part._replace(x=standardizer.transform(part.x)) for part in parts)
    return PreparedData(name, train, validation, test, standardizer, train.feature_names)


def load_parts(name: str, data_dir: Path | None, seed: int) -> DataSplit:
    """Load a data set by name and split it, as `load_data_set` does, but leave it as it is.

    Raises:
        ValueError: for an unknown name, or a missing folder.
        FileNotFoundError: for missing files.
    """
    if name not in DATA_SETS:
        raise unknown_name("data set", name, DATA_SETS)
    if name == "digits":
        rest, test = train_test_split(load_digits(), TEST_SHARE, seed=seed)
    else:
        rest, test = load_idx(find_data_dir(name, data_dir), name)
    train, validation = train_test_split(rest, VALIDATION_SHARE, seed=seed)
    return DataSplit(train, validation, test)


def find_data_dir(name: str, data_dir: Path | None) -> Path:
    """Return the folder given, or the one that JAXMLP_DATA_DIR names."""
    folder = data_dir or os.environ.get("JAXMLP_DATA_DIR")
    if not folder:
        raise ValueError(
            f"{name} is read from its IDX files: pass --data-dir FOLDER, or set JAXMLP_DATA_DIR."
        )
    return Path(folder)
