"""One run of "sgd", "adam" or a given optimizer, with scikit-learn's rules for when it ends."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.exceptions import ConvergenceWarning

from jaxmlp.estimators import solvers
from jaxmlp.estimators.task import Outcome, Solver, Task
from jaxmlp.estimators.training import Run, capacity, device_data, start
from jaxmlp.training import EarlyStopping, FitStatus, Program
from jaxmlp.training.interruption import interruptible
from jaxmlp.training.preparation import check_batch_size, prepare_settings
from jaxmlp.types import Params, State

SMALLEST_RATE = 1e-6  # where "adaptive" gives up


class StochasticRun:
    """One run of "sgd", "adam" or a given optimizer.

    Args:
        task: what is to be trained.
        params: initial parameters.
        state: running statistics.
        features: on the device, if the examples are rows of features that runs share.
    """

    def __init__(
        self, task: Task, params: Params, state: State, features: Array | None = None
    ) -> None:
        """Choose program and numbers, and put the examples on the device."""
        estimator, n_rows = task.estimator, len(task.rows.x)
        self.task, self.estimator = task, estimator
        batch_size = _batch_size(task, n_rows)
        self.steps_per_epoch = -(-n_rows // batch_size)
        self.learning_rate = self._initial_rate()
        key = jax.random.key(estimator._random_state.randint(2**31 - 1))
        program = self._program(batch_size, n_rows)
        optimizer = solvers.make_solver(estimator, self._schedule())
        self.run = Run(
            program,
            optimizer,
            device_data(task.rows, task.loss, features),
            task.validation and device_data(task.validation, task.loss, features),
            self._settings(key),
            start(program, optimizer, params, state, task.rows.x.dtype),
            n_rows,
            features,
        )
        self._resume()

    def _program(self, batch_size: int, n_rows: int) -> Program:
        task, single = self.task, self.steps_per_epoch == 1
        score = "validation_accuracy" if task.loss.task == "classification" else "validation_r2"
        return Program(
            task.config,
            task.loss,
            # A single batch takes all rows: the capacity serves any number of them.
            capacity(n_rows) if single else batch_size,
            frozen=task.frozen,
            watched=task.columns.index(score if self.estimator.early_stopping else "train_loss"),
            history_rows=1,
            shuffle=bool(self.estimator.shuffle) and not single,
            empty_batches=task.rows.weight is not None and not (task.rows.weight > 0).all(),
            shared_penalty=True,
            gains_add_up=False,
        )

    def _initial_rate(self) -> float:
        held = getattr(self.estimator, "_optimizer", None)
        if self.task.incremental and held is not None:
            return held.learning_rate
        return self.estimator.learning_rate_init

    def _schedule(self) -> Any:
        """Return the learning rate as a number, or as a function of the step."""
        estimator, named = self.estimator, self.estimator.learning_rate
        if callable(named):
            return named
        if named == "cosine":
            return solvers.cosine(
                self.learning_rate, self.estimator.max_iter * self.steps_per_epoch
            )
        if named == "invscaling" and estimator.solver == "sgd" and not self.task.incremental:
            return solvers.inverse_scaling(
                self.learning_rate,
                estimator.power_t,
                estimator.t_,
                len(self.task.rows.x),
                self.steps_per_epoch,
            )
        return self.learning_rate

    def _settings(self, key: Any) -> Any:
        estimator = self.estimator
        patience = min(estimator.n_iter_no_change + 1, np.iinfo(np.int32).max)
        stopping = EarlyStopping(patience=int(patience), min_delta=float(estimator.tol))
        return prepare_settings(
            self.task.loss, key, estimator.alpha, estimator.dropout, self.task.options, stopping
        )

    def _resume(self) -> None:
        """Take over what an earlier call of `fit` or `partial_fit` left."""
        estimator, carry = self.estimator, self.run.carry
        early = estimator.early_stopping
        seen = estimator.best_validation_score_ if early else estimator.best_loss_
        if seen is not None and np.isfinite(seen):
            value = jnp.asarray(-seen if early else seen, carry.best.value.dtype)
            waited = jnp.int32(estimator._no_improvement_count)
            carry = carry._replace(best=carry.best._replace(value=value), waited=waited)
        held = getattr(estimator, "_optimizer", None)
        if self.task.incremental and held is not None:
            leaves, structure = jax.tree.flatten(carry.optimizer_state)
            if [np.shape(leaf) for leaf in held.leaves] == [leaf.shape for leaf in leaves]:
                moments = jax.tree.unflatten(structure, held.leaves)
                carry = carry._replace(optimizer_state=moments)
        self.run.carry = carry

    def train(self) -> Outcome:
        """Run epochs until nothing improves, somebody says stop, or they are over."""
        last, tables = self.task.last_epoch, []
        with interruptible() as interruption:
            while self._goes_on() and self.run.epochs < last:
                self._begin_epoch()
                tables.append(self.run.run(1 if self.task.heard else last - self.run.epochs))
                if self._report(tables[-1]) or interruption.requested:
                    break
        if interruption.requested:
            warnings.warn("Training interrupted by user.")
        return self.outcome(np.concatenate(tables))

    def _begin_epoch(self) -> None:
        if self.task.reports is not None:
            self.task.reports.begin()

    def _report(self, table: np.ndarray) -> bool:
        """Print and announce epochs; whether somebody said stop."""
        if not (self.estimator.verbose or self.task.heard):
            return False
        stop = False
        for epoch, values in enumerate(table, self.run.epochs - len(table) + 1):
            row = dict(zip(self.run.columns, values.tolist(), strict=True))
            if self.estimator.verbose:
                print(f"Iteration {epoch}, loss = {row['train_loss']:.8f}")
                for name, value in row.items():
                    if name in ("validation_accuracy", "validation_r2"):
                        print(f"Validation score: {value:f}")
            if self.task.reports is not None and self.task.heard:
                carry = self.run.carry
                stop |= self.task.reports.end(epoch, row, carry.params, carry.state)
        return stop

    def _goes_on(self) -> bool:
        """Whether the run still trains; after a plateau, "adaptive" does at a fifth of the rate."""
        status = self.run.status
        if status is not FitStatus.EARLY_STOPPED:
            return status is FitStatus.RUNNING
        adaptive = self.estimator.learning_rate == "adaptive" and self.estimator.solver == "sgd"
        if not adaptive or self.learning_rate <= SMALLEST_RATE:
            return False
        self.learning_rate /= 5.0
        if self.estimator.verbose:
            print(f"No improvement by tol. Setting learning rate to {self.learning_rate:f}")
        self.run.optimizer = solvers.make_solver(self.estimator, self.learning_rate)
        self.run.go_on()
        return True

    def outcome(self, table: np.ndarray) -> Outcome:
        """Pack what was learnt and recorded; warn of a run that did not come to an end."""
        last, estimator, status = self.task.last_epoch, self.estimator, self.run.status
        diverged = status is FitStatus.DIVERGED
        if diverged:
            lost_epoch = np.full((1, len(self.run.columns)), np.nan)
            table = np.concatenate([table.reshape(-1, lost_epoch.shape[1]), lost_epoch])
            warnings.warn(
                f"the loss was not finite in epoch {len(table)}, where training stopped. Scale the "
                "data, or lower learning_rate_init.",
                ConvergenceWarning,
            )
        elif status is FitStatus.RUNNING and self.run.epochs == last and not self.task.incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({last}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
            )
        carry = jax.device_get(self.run.carry)
        kept = carry.best if estimator.early_stopping else carry
        return Outcome(
            kept.params,
            kept.state,
            table,
            len(table),
            float(table[-1, 0]),
            int(carry.waited),
            Solver(self._next_rate(), jax.tree.leaves(carry.optimizer_state)),
            lost=diverged and not estimator.early_stopping,
        )

    def _next_rate(self) -> float:
        """Return the rate of the next step, for the next `partial_fit`."""
        estimator = self.estimator
        if estimator.learning_rate == "invscaling" and estimator.solver == "sgd":
            seen = estimator.t_ + self.run.epochs * len(self.task.rows.x)
            return float(estimator.learning_rate_init / (seen + 1) ** estimator.power_t)
        return float(self.learning_rate)


def _batch_size(task: Task, n_rows: int) -> int:
    """Return the rows a step; batch normalization needs two in the last one as well."""
    wanted = task.estimator.batch_size
    if wanted != "auto":
        if wanted > n_rows:
            warnings.warn(
                f"batch_size={wanted} is larger than the {n_rows} training rows; all of them make "
                "one batch."
            )
        return check_batch_size(task.config, min(int(wanted), n_rows), n_rows, task.frozen)
    size = min(200, n_rows)
    if any(task.config.normalized):
        size = next((s for s in range(size, 1, -1) if n_rows % s != 1), size)
    return check_batch_size(task.config, size, n_rows, task.frozen)
