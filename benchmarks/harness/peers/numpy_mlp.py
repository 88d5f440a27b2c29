"""numpy, by hand: products into fresh arrays, Adam in place."""

from typing import Any

import numpy as np

from .problem import REGRESSION, Fit, Problem, Weights, initial_weights


def by_hand(problem: Problem) -> Fit:
    """The backward pass and Adam in float32."""
    x, y = problem.x, problem.y
    b1, b2, eps = np.float32(0.9), np.float32(0.999), np.float32(1e-8)

    def gradients(layers: Weights, rows: np.ndarray) -> Weights:
        activations = [x[rows]]
        for W, b in layers[:-1]:
            z = activations[-1] @ W
            z += b
            activations.append(np.maximum(z, 0, out=z))
        outputs = activations[-1] @ layers[-1][0]
        outputs += layers[-1][1]
        delta = output_delta(outputs, y[rows])
        grads: list[Any] = [None] * len(layers)
        for l in reversed(range(len(layers))):
            grads[l] = (activations[l].T @ delta, delta.sum(axis=0))
            if l > 0:
                delta = delta @ layers[l][0].T
                delta *= activations[l] > 0
        return grads

    def output_delta(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if problem.loss == REGRESSION:
            outputs -= targets
        else:
            outputs -= outputs.max(axis=1, keepdims=True)
            np.exp(outputs, out=outputs)
            outputs /= outputs.sum(axis=1, keepdims=True)
            outputs[np.arange(len(targets)), targets] -= 1
        outputs /= np.float32(len(targets))
        return outputs

    def fit(seed: int) -> Weights:
        rng, layers, step = np.random.default_rng(seed), initial_weights(problem, seed), 0
        flat = [array for layer in layers for array in layer]
        moments = [(np.zeros_like(p), np.zeros_like(p), np.empty_like(p)) for p in flat]
        for _ in range(problem.epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), problem.batch_size):
                grads = gradients(layers, order[start : start + problem.batch_size])
                step += 1
                rate = np.float32(
                    problem.learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
                )
                small = np.float32(eps * np.sqrt(1 - 0.999**step))
                for p, g, (m, v, work) in zip(
                    flat, (a for layer in grads for a in layer), moments, strict=True
                ):
                    m *= b1
                    v *= b2
                    np.multiply(g, 1 - b1, out=work)
                    m += work
                    np.multiply(g, g, out=g)
                    g *= 1 - b2
                    v += g
                    np.sqrt(v, out=work)
                    work += small
                    np.divide(m, work, out=work)
                    work *= rate
                    p -= work
        return layers

    return fit
