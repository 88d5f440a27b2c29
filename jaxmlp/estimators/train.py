"""From initial weights to what was learnt: one network or several, by whichever solver."""

import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from jaxmlp.estimators.job import FitJob, FitOutcome
from jaxmlp.estimators.lbfgs import minimize
from jaxmlp.estimators.rows import device_features
from jaxmlp.estimators.stochastic import StochasticRun
from jaxmlp.sweeps.executors import choose_executor
from jaxmlp.training.data import TrainData
from jaxmlp.training.runner import Runner
from jaxmlp.types import Params


def train(job: FitJob) -> list[FitOutcome]:
    """Train every member from its initial weights."""
    if job.estimator.solver == "lbfgs":
        outcomes = [_minimize(job, params) for params, _ in job.starts]
    elif len(job.starts) == 1:
        outcomes = [StochasticRun(job, *job.starts[0]).train()]
    else:
        outcomes = _train_ensemble(job)
    if job.reports is not None:
        job.reports.close()
    return outcomes


def _train_ensemble(job: FitJob) -> list[FitOutcome]:
    """Train the members at once; one after another where their steps depend on their progress."""
    if job.heard:
        raise ValueError("callbacks hear of one network; leave them out, or set n_ensemble=1.")
    if not at_once(job.estimator):
        return [StochasticRun(job, *start).train() for start in job.starts]
    job, features = _sharing(job)
    return train_together([StochasticRun(job, *start, features) for start in job.starts])


def _sharing(job: FitJob) -> tuple[FitJob, TrainData]:
    """Put training and validation features into one array, and say where they are in it."""
    n_rows = len(job.rows.x)
    rows, validation, features = job.rows, job.validation, job.rows.x
    rows = rows._replace(places=np.arange(n_rows))
    if validation is not None:
        features = np.concatenate([features, validation.x])
        validation = validation._replace(places=np.arange(n_rows, len(features)))
    return job._replace(rows=rows, validation=validation), device_features(features)


def at_once(estimator: Any) -> bool:
    """Whether several such runs can be one program: all take the same steps at the same time."""
    return estimator.solver != "lbfgs" and estimator.learning_rate != "adaptive"


def train_together(runs: list[StochasticRun]) -> list[FitOutcome]:
    """Train runs of one shape, on rows of the same features, in one program."""
    joint = _joined([run.run for run in runs])
    joint.advance(runs[0].job.last_epoch)
    if joint.interrupted:
        warnings.warn("Training interrupted by user.")
    carry = jax.device_get(joint.carry)
    outcomes = []
    for member, run in enumerate(runs):
        run.run.carry = jax.tree.map(lambda leaf, m=member: leaf[m], carry)
        ended = int(run.run.carry.epochs)
        outcomes.append(run.outcome(joint.metrics[member, :ended]))
    return outcomes


def fits_with(run: Runner) -> Any:
    """Return what runs must have in common to be trained at once."""
    leaves, structure = jax.tree.flatten((run.members, run.carry))
    shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return run.program, run.steps_per_epoch, structure, shapes


def _joined(runs: list[Runner]) -> Runner:
    """Return one run that is all of these, stacked, with some repeated at the end if need be."""
    first, size = runs[0], len(runs)
    program = replace(first.program, keep_last=True)
    executor = choose_executor(None, program.config, program.batch_size, size)
    padded = runs + [runs[-1]] * (executor.padded(size) - size)
    stacked = jax.tree.map(_stacked, *((run.members, run.carry) for run in padded))
    members, carry = executor.place(stacked)
    return Runner(program, members, first.shared, carry, first.steps_per_epoch, executor, size)


def _stacked(*leaves: Any) -> Any:
    """Stack leaves on the host, where it compiles nothing; random keys by their data."""
    if jnp.issubdtype(jnp.result_type(leaves[0]), jax.dtypes.prng_key):
        data = np.stack([np.asarray(jax.random.key_data(leaf)) for leaf in leaves])
        return jax.random.wrap_key_data(jnp.asarray(data))
    return np.stack([np.asarray(leaf) for leaf in leaves])


def _minimize(job: FitJob, params: Params) -> FitOutcome:
    estimator = job.estimator

    def listener(iteration: int, loss: float, params: Params) -> bool:
        if estimator.verbose:
            print(f"Iteration {iteration}, loss = {loss:.8f}")
        if job.reports is None or not job.heard:
            return False
        stop = job.reports.end(iteration, {"train_loss": loss}, params, ())
        job.reports.begin()
        return stop

    if job.reports is not None:
        job.reports.begin()
    params, result = minimize(
        job.config,
        job.loss,
        params,
        job.rows,
        l2=estimator.alpha,
        loss_options=job.options,
        frozen=job.frozen,
        max_iter=estimator.max_iter,
        max_fun=estimator.max_fun,
        tol=estimator.tol,
        listener=listener if job.heard or estimator.verbose else None,
    )
    if result.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {result.nit} iterations ({result.message}). Increase "
            "max_iter or max_fun, or scale the data.",
            ConvergenceWarning,
        )
    n_iter = min(result.nit, estimator.max_iter)
    return FitOutcome(params, (), np.zeros((0, 0)), n_iter, float(result.fun))
