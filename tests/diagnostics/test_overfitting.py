"""A seeded sample of the study of overfitting, and what the finding says."""

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.overfitting import TABLES, draw, is_named
from jaxmlp.diagnostics import FindingKind, diagnose
from jaxmlp.training import EarlyStopping


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_planted_overfitting_is_named_and_a_healthy_run_is_not(table):
    assert is_named(table, 100, planted=True)
    assert not is_named(table, 100, planted=False)


def fit(early_stopping=None):
    """Learn noise by heart."""
    train, validation = draw("diabetes", 0, planted=True)
    config = jaxmlp.MLPConfig((10, 128, 1))
    result = jaxmlp.fit(
        config, jaxmlp.init(config, jax.random.key(0)), train, loss="squared_error", epochs=150,
        optimizer=jaxmlp.optimizers.adam(3e-3), key=jax.random.key(1), batch_size=32,
        validation_data=validation, early_stopping=early_stopping,
    )  # fmt: skip
    found = diagnose(
        config, result, train, loss="squared_error", validation_data=validation, trial_steps=0
    )
    return result, [finding for finding in found if finding.kind is FindingKind.OVERFITTING]


def test_the_finding_tells_what_the_curves_show():
    result, (finding,) = fit()
    losses = result.history["validation_loss"]
    assert result.epoch == 150
    assert f"what it was after epoch {result.best_epoch}" in finding.evidence
    assert f"The validation loss is {losses[-1]:.3g}, {losses[-1] - losses.min():.2g} above" in (
        finding.evidence
    )


def test_nothing_is_said_of_epochs_that_were_not_kept():
    result, found = fit(EarlyStopping(patience=150))
    assert result.epoch == result.best_epoch < 150
    assert result.history["validation_loss"][-1] > 1.2 * np.min(result.history["validation_loss"])
    assert not found
