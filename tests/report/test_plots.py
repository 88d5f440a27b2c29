"""Figures: what is drawn is what was given."""

import numpy as np
import pytest

from jaxmlp.report.plots import confusion_matrix, learning_curves

HISTORY = {
    "epoch": np.arange(1, 6),
    "train_loss": np.array([2.0, 0.5, 0.2, 0.1, 0.05]),
    "train_accuracy": np.array([0.3, 0.6, 0.8, 0.9, 0.95]),
    "validation_loss": np.array([2.1, 0.6, 0.4, 0.3, np.inf]),
    "validation_accuracy": np.array([0.3, 0.5, 0.7, 0.8, 0.8]),
}


def test_curves_hold_the_history():
    figure = learning_curves(HISTORY, best_epoch=4)
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"  # it falls by more than a factor of ten
    assert accuracy.get_yscale() == "linear"
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), HISTORY["train_loss"])
    np.testing.assert_array_equal(accuracy.lines[0].get_ydata(), HISTORY["train_accuracy"])
    labels = [text.get_text() for text in loss.get_legend().get_texts()]
    assert labels == ["train", "validation", "best epoch: 4"]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_short_runs_can_be_drawn(epochs, tmp_path):
    history = {name: column[:epochs] for name, column in HISTORY.items()}
    learning_curves(history, best_epoch=1).savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_loss_below_zero_stays_linear():
    history = {"epoch": [1, 2, 3], "train_loss": [5.0, -1.0, -2.0]}  # Poisson's may be negative
    assert learning_curves(history).axes[0].get_yscale() == "linear"


def test_regression_draws_its_metric():
    history = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "train_rmse": [2.0, 1.4]}
    assert [axes.get_ylabel() for axes in learning_curves(history, metric="rmse").axes] == [
        "loss",
        "rmse",
    ]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column 'train_loss'"):
        learning_curves({"epoch": [1]})


def test_the_matrix_shows_its_counts():
    counts = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 3]])
    axes = confusion_matrix(counts, ["a", "b", "c"]).axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {(0, 0): "5", (1, 0): "1", (1, 1): "7", (0, 2): "2", (2, 2): "3"}


def test_a_matrix_needs_a_name_for_each_class():
    with pytest.raises(ValueError, match="2 class names"):
        confusion_matrix(np.eye(3, dtype=int), ["a", "b"])
