"""From initial weights to an `Outcome`: one network or several, by whichever solver."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from sklearn.exceptions import ConvergenceWarning

from jaxmlp.estimators.lbfgs import minimize
from jaxmlp.estimators.stochastic import StochasticRun
from jaxmlp.estimators.task import Outcome, Task
from jaxmlp.estimators.training import apart, capacity, pad_rows, together
from jaxmlp.training import FitStatus
from jaxmlp.training.interruption import interruptible
from jaxmlp.types import Params


def train(task: Task) -> list[Outcome]:
    """Train every member from its initial weights."""
    if task.estimator.solver == "lbfgs":
        outcomes = [_minimize(task, params) for params, _ in task.starts]
    elif len(task.starts) == 1:
        outcomes = [StochasticRun(task, *task.starts[0]).train()]
    else:
        outcomes = _train_ensemble(task)
    if task.reports is not None:
        task.reports.close()
    return outcomes


def _train_ensemble(task: Task) -> list[Outcome]:
    """Train the members at once; one after another where their steps depend on their progress."""
    if task.heard:
        raise ValueError("callbacks hear of one network; leave them out, or set n_ensemble=1.")
    if not at_once(task.estimator):
        return [StochasticRun(task, *start).train() for start in task.starts]
    task, features = _sharing(task)
    return train_together([StochasticRun(task, *start, features) for start in task.starts])


def _sharing(task: Task) -> tuple[Task, Array]:
    """Put training and validation features into one array, and say where they are in it."""
    n_rows = len(task.rows.x)
    rows, validation, features = task.rows, task.validation, task.rows.x
    rows = rows._replace(places=np.arange(n_rows))
    if validation is not None:
        features = np.concatenate([features, validation.x])
        validation = validation._replace(places=np.arange(n_rows, len(features)))
    padded = jnp.asarray(pad_rows(features, capacity(len(features))))
    return task._replace(rows=rows, validation=validation), padded


def at_once(estimator: Any) -> bool:
    """Whether several such runs can be one program: all take the same steps at the same time."""
    return estimator.solver != "lbfgs" and estimator.learning_rate != "adaptive"


def train_together(runs: "list[StochasticRun]") -> list[Outcome]:
    """Train runs of one shape, on rows of the same features, in one program."""
    joint = together([run.run for run in runs])
    tables, last = [], runs[0].task.last_epoch
    with interruptible() as interruption:
        while joint.status is FitStatus.RUNNING and joint.epochs < last:
            tables.append(joint.run(last - joint.epochs))
            if interruption.requested:
                warnings.warn("Training interrupted by user.")
                break
    apart(joint, [run.run for run in runs])
    table = np.concatenate(tables, axis=1)
    return [run.outcome(rows[: run.run.epochs]) for rows, run in zip(table, runs, strict=False)]


def _minimize(task: Task, params: Params) -> Outcome:
    estimator = task.estimator

    def listener(iteration: int, loss: float, params: Params) -> bool:
        if estimator.verbose:
            print(f"Iteration {iteration}, loss = {loss:.8f}")
        if task.reports is None or not task.heard:
            return False
        stop = task.reports.end(iteration, {"train_loss": loss}, params, ())
        task.reports.begin()
        return stop

    if task.reports is not None:
        task.reports.begin()
    params, result = minimize(
        task.config,
        task.loss,
        params,
        task.rows,
        l2=estimator.alpha,
        loss_options=task.options,
        frozen=task.frozen,
        max_iter=estimator.max_iter,
        max_fun=estimator.max_fun,
        tol=estimator.tol,
        listener=listener if task.heard or estimator.verbose else None,
    )
    if result.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {result.nit} iterations ({result.message}). Increase "
            "max_iter or max_fun, or scale the data.",
            ConvergenceWarning,
        )
    n_iter = min(result.nit, estimator.max_iter)
    return Outcome(params, (), np.zeros((0, 0)), n_iter, float(result.fun))
