"""One run of "sgd", "adam" or a given optimizer, with scikit-learn's rules for when it ends."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from jaxmlp.estimators import solvers
from jaxmlp.estimators.job import FitJob, FitOutcome, Solver
from jaxmlp.estimators.rows import device_data, member_data
from jaxmlp.training import EarlyStopping, FitStatus, Program
from jaxmlp.training.chunk import MemberInputs, SharedInputs, first_carry
from jaxmlp.training.data import TrainData, all_positive, bucket
from jaxmlp.training.options import check_batch_size, prepare_settings
from jaxmlp.training.program import Carry
from jaxmlp.training.runner import Runner
from jaxmlp.types import Params, State

_SMALLEST_RATE = 1e-6  # where "adaptive" gives up


class StochasticRun:
    """One run of "sgd", "adam" or a given optimizer.

    Args:
        job: what is to be trained.
        params: initial parameters.
        state: running statistics.
        features: on the device, if the examples are rows of features that runs share.
    """

    def __init__(
        self, job: FitJob, params: Params, state: State, features: TrainData | None = None
    ) -> None:
        """Choose program and numbers, and put the examples on the device."""
        estimator, n_rows = job.estimator, len(job.rows.x)
        self.job, self.estimator = job, estimator
        self.told = 0  # epochs that the callbacks know of
        batch_size = _batch_size(job, n_rows)
        self.steps_per_epoch = -(-n_rows // batch_size)
        self.learning_rate = self._initial_rate()
        key = jax.random.key(estimator._random_state.randint(2**31 - 1))
        program = self._program(batch_size, n_rows)
        optimizer = solvers.make_solver(estimator, self._schedule())
        carry = first_carry(program, None, optimizer, params, state)
        self.run = Runner(
            program,
            MemberInputs(optimizer, self._settings(key), *self._own_data(features)),
            self._shared_data(features),
            self._resumed(carry),
            self.steps_per_epoch,
        )

    def _own_data(self, features: TrainData | None) -> list[TrainData | None]:
        """Training and validation data beside shared features."""
        job = self.job
        if features is None:
            return [None, None]
        n_shared = len(features.x)
        return [
            None if rows is None else member_data(rows, job.loss, n_shared)
            for rows in (job.rows, job.validation)
        ]

    def _shared_data(self, features: TrainData | None) -> SharedInputs:
        job = self.job
        if features is not None:
            return SharedInputs(features)
        validation = None if job.validation is None else device_data(job.validation, job.loss)
        return SharedInputs(device_data(job.rows, job.loss), validation)

    def _program(self, batch_size: int, n_rows: int) -> Program:
        job, single = self.job, self.steps_per_epoch == 1
        score = "validation_accuracy" if job.loss.task == "classification" else "validation_r2"
        return Program(
            job.config,
            job.loss,
            # A single batch takes all rows: the bucket serves any number of them.
            bucket(n_rows) if single else batch_size,
            frozen=job.frozen,
            best_metric=score if self.estimator.early_stopping else "train_loss",
            shuffle=bool(self.estimator.shuffle) and not single,
            empty_batches=not all_positive(job.rows.weight),
            shared_penalty=True,
            gains_add_up=False,
        )

    def _initial_rate(self) -> float:
        held = getattr(self.estimator, "_optimizer", None)
        if self.job.incremental and held is not None:
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
        if named == "invscaling" and estimator.solver == "sgd" and not self.job.incremental:
            return solvers.inverse_scaling(
                self.learning_rate,
                estimator.power_t,
                estimator.t_,
                len(self.job.rows.x),
                self.steps_per_epoch,
            )
        return self.learning_rate

    def _settings(self, key: Any) -> Any:
        estimator = self.estimator
        patience = min(estimator.n_iter_no_change + 1, np.iinfo(np.int32).max)
        stopping = EarlyStopping(patience=int(patience), min_delta=float(estimator.tol))
        return prepare_settings(
            self.job.loss, key, stopping=stopping, l2=estimator.alpha,
            dropout_rate=estimator.dropout, loss_options=self.job.options,
        )  # fmt: skip

    def _resumed(self, carry: Carry) -> Carry:
        """Take over what an earlier call of `fit` or `partial_fit` left."""
        estimator, early = self.estimator, self.estimator.early_stopping
        seen = estimator.best_validation_score_ if early else estimator.best_loss_
        if seen is not None and np.isfinite(seen):
            value = jnp.asarray(-seen if early else seen, carry.best.value.dtype)
            waited = jnp.int32(estimator._no_improvement_count)
            carry = carry._replace(best=carry.best._replace(value=value), waited=waited)
        held = getattr(estimator, "_optimizer", None)
        if self.job.incremental and held is not None:
            leaves, structure = jax.tree.flatten(carry.optimizer_state)
            if [np.shape(leaf) for leaf in held.leaves] == [leaf.shape for leaf in leaves]:
                moments = jax.tree.unflatten(structure, held.leaves)
                carry = carry._replace(optimizer_state=moments)
        return carry

    def train(self) -> FitOutcome:
        """Run epochs until nothing improves, somebody says stop, or they are over."""
        run, last, every = self.run, self.job.last_epoch, 1 if self.job.heard else None
        while self._goes_on() and run.n_epochs < last and not run.stopped:
            run.advance(last - run.n_epochs, [self], every)
        if run.interrupted:
            warnings.warn("Training interrupted by user.")
        return self.outcome(run.metrics[0])

    def before_chunk(self, run: Runner) -> None:
        """Announce an epoch to the callbacks."""
        self.told = run.n_epochs
        if self.job.reports is not None and run.n_steps % run.steps_per_epoch == 0:
            self.job.reports.begin()

    def after_chunk(self, run: Runner) -> bool:
        """Print and announce epochs; whether somebody said stop."""
        if not (self.estimator.verbose or self.job.heard):
            return False
        stop = False
        for epoch, values in enumerate(run.metrics[0, self.told :], self.told + 1):
            row = dict(zip(run.columns, values.tolist(), strict=True))
            if self.estimator.verbose:
                print(f"Iteration {epoch}, loss = {row['train_loss']:.8f}")
                for name, value in row.items():
                    if name in ("validation_accuracy", "validation_r2"):
                        print(f"Validation score: {value:f}")
            if self.job.reports is not None and self.job.heard:
                stop |= self.job.reports.end(epoch, row, run.carry.params, run.carry.state)
        return stop

    @property
    def status(self) -> FitStatus:
        """How the run stands by itself, whether or not somebody stopped it."""
        return FitStatus(int(self.run.carry.status))

    def _goes_on(self) -> bool:
        """Whether the run still trains; after a plateau, "adaptive" does at a fifth of the rate."""
        status = self.status
        if status is not FitStatus.EARLY_STOPPED:
            return status is FitStatus.RUNNING
        adaptive = self.estimator.learning_rate == "adaptive" and self.estimator.solver == "sgd"
        if not adaptive or self.learning_rate <= _SMALLEST_RATE:
            return False
        self.learning_rate /= 5.0
        if self.estimator.verbose:
            print(f"No improvement by tol. Setting learning rate to {self.learning_rate:f}")
        optimizer = solvers.make_solver(self.estimator, self.learning_rate)
        self.run.members = self.run.members._replace(optimizer=optimizer)
        self.run.go_on()
        return True

    def outcome(self, table: np.ndarray) -> FitOutcome:
        """Pack what was learnt and recorded; warn of a run that did not come to an end."""
        last, estimator, status = self.job.last_epoch, self.estimator, self.status
        diverged = status is FitStatus.DIVERGED
        if diverged:
            lost_epoch = np.full((1, len(self.run.columns)), np.nan)
            table = np.concatenate([table.reshape(-1, lost_epoch.shape[1]), lost_epoch])
            warnings.warn(
                f"the loss was not finite in epoch {len(table)}, where training stopped. Scale the "
                "data, or lower learning_rate_init.",
                ConvergenceWarning,
            )
        elif status is FitStatus.RUNNING and len(table) == last and not self.job.incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({last}) reached and the optimization "
                "hasn't converged yet.",
                ConvergenceWarning,
            )
        carry = jax.device_get(self.run.carry)
        kept = carry.best if estimator.early_stopping else carry
        return FitOutcome(
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
            seen = estimator.t_ + int(self.run.carry.epochs) * len(self.job.rows.x)
            return float(estimator.learning_rate_init / (seen + 1) ** estimator.power_t)
        return float(self.learning_rate)


def _batch_size(job: FitJob, n_rows: int) -> int:
    """Return the rows a step; batch normalization needs two in the last one as well."""
    wanted = job.estimator.batch_size
    if wanted != "auto":
        if wanted > n_rows:
            warnings.warn(
                f"batch_size={wanted} is larger than the {n_rows} training rows; all of them make "
                "one batch."
            )
        return check_batch_size(job.config, min(int(wanted), n_rows), n_rows, job.frozen)
    size = min(200, n_rows)
    if any(job.config.normalized):
        size = next((s for s in range(size, 1, -1) if n_rows % s != 1), size)
    return check_batch_size(job.config, size, n_rows, job.frozen)
