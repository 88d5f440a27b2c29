"""Telling callbacks about each epoch: functions of ours, and scikit-learn's callbacks."""

import copy
from typing import Any

from jaxmlp.estimators.weights import to_attributes
from jaxmlp.training import Progress
from jaxmlp.types import State

try:  # scikit-learn 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's callbacks, which this version does not have."""

    def with_callbacks(method: Any) -> Any:
        """Leave the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "EpochReports", "with_callbacks"]


class EpochReports:
    """Who wants to hear of each epoch of one fit.

    Args:
        estimator: the estimator being fitted.
        X: the training data, as `fit` was given them.
        y: the targets, likewise.
        sample_weight: the weights, likewise.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        """Open scikit-learn's context of the fit."""
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"X": X, "y": y, "metadata": metadata}
        self.context: Any = None
        self.epoch_context: Any = None
        if hasattr(estimator, "_init_callback_context"):
            context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
            context.call_on_fit_task_begin(estimator=estimator, **self.data)
            if getattr(estimator, "_skl_callbacks", ()):
                self.context = context

    @property
    def wanted(self) -> bool:
        """Whether anybody needs the weights after every epoch."""
        return self.context is not None or bool(self.estimator.callbacks)

    def begin(self) -> None:
        """Announce an epoch to scikit-learn's callbacks."""
        if self.context is not None:
            self.epoch_context = self.context.subcontext(task_name="epoch")
            self.epoch_context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self, epoch: int, row: dict[str, float], params: Any, state: State) -> bool:
        """Tell everybody that an epoch is over; return whether one of them said stop."""
        attributes = to_attributes(params, state)
        stop = False
        if self.epoch_context is not None:
            stop |= self.epoch_context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self.data
            )
            self.epoch_context = None
        progress = Progress(epoch, self.estimator.max_iter, row, lambda: self._fitted(attributes))
        answers = [callback(progress) for callback in self.estimator.callbacks]
        return stop or True in answers

    def close(self) -> None:
        """Tell scikit-learn's callbacks that the fit is over."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)

    def _fitted(self, attributes: dict[str, Any]) -> Any:
        fitted = copy.copy(self.estimator)
        fitted.__dict__.update(attributes)
        return fitted
