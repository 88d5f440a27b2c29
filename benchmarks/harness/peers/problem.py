"""What is trained, and the yardstick; numpy only."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]
Fit = Callable[[int], Weights]
CLASSIFICATION, REGRESSION = "softmax_cross_entropy", "squared_error"


class Problem(NamedTuple):
    """Data, layer sizes, and how long to train.

    Attributes:
        x: features, (rows, n_in), float32.
        y: classes, (rows,), int32; or targets, (rows, n_out), float32.
        layer_sizes: with input and output; ReLU between them.
        batch_size: rows a step; the last batch of an epoch is what is left.
        epochs: passes over the rows, each in a fresh order.
        learning_rate: of Adam.
    """

    x: np.ndarray
    y: np.ndarray
    layer_sizes: tuple[int, ...]
    batch_size: int
    epochs: int
    learning_rate: float = 1e-3

    @property
    def loss(self) -> str:
        """Softmax cross entropy for classes, half the squared error otherwise."""
        return CLASSIFICATION if self.y.ndim == 1 else REGRESSION

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches an epoch, the ragged last one included."""
        return -(-len(self.x) // self.batch_size)

    @property
    def steps(self) -> int:
        """Number of training steps of the whole fit."""
        return self.epochs * self.steps_per_epoch

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(self.layer_sizes))


def initial_weights(problem: Problem, seed: int) -> Weights:
    """Draw Glorot-uniform weights and zero biases, the same for every peer."""
    rng = np.random.default_rng(seed)
    layers = []
    for n_in, n_out in itertools.pairwise(problem.layer_sizes):
        bound = np.sqrt(6 / (n_in + n_out))
        W = rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32)
        layers.append((W, np.zeros(n_out, np.float32)))
    return layers


def batch_tables(problem: Problem, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers and weights of every batch, each (steps, batch); padding has weight 0."""
    rng, n, length = np.random.default_rng(seed), len(problem.x), problem.steps_per_epoch
    rows = np.zeros((problem.epochs, length * problem.batch_size), np.int32)
    for epoch in rows:
        epoch[:n] = rng.permutation(n)
    weight = (np.arange(rows.shape[1]) < n).astype(np.float32)
    shape = (problem.steps, problem.batch_size)
    return rows.reshape(shape), np.tile(weight, (problem.epochs, 1)).reshape(shape)


def final_loss(problem: Problem, weights: Weights) -> float:
    """Mean loss of a trained network on its training data, in numpy; independent of all peers."""
    h = problem.x
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0)
    outputs = (h @ weights[-1][0] + weights[-1][1]).astype(np.float64)
    if problem.loss == REGRESSION:
        return float(np.mean(np.sum((outputs - problem.y) ** 2, axis=1)) / 2)
    largest = outputs.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(outputs - largest).sum(axis=1)) + largest[:, 0]
    return float(np.mean(log_sum - outputs[np.arange(len(h)), problem.y]))
