"""The same training run in each library: Glorot-uniform weights, Adam, shuffled mini-batches.

Every peer is a function (problem) -> fit, and fit(seed) -> the final parameters as a list of
(W, b), so that one yardstick (`final_loss`) measures all of them. A peer imports its library when
it is made: a cold run pays for its own imports only.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]
Fit = Callable[[int], Weights]


class Problem(NamedTuple):
    """What is trained: data, layer sizes, and how long."""

    x: np.ndarray
    y: np.ndarray
    layer_sizes: tuple[int, ...]
    batch_size: int
    epochs: int
    learning_rate: float = 1e-3

    @property
    def steps(self) -> int:
        """Number of training steps of the whole fit."""
        return self.epochs * -(-len(self.x) // self.batch_size)


def jaxmlp_fit(problem: Problem, gradient: str = "manual") -> Fit:
    """This library's `fit`."""
    import jax

    import jaxmlp

    config = jaxmlp.MLPConfig(problem.layer_sizes, weight_init="xavier_uniform")
    optimizer = jaxmlp.adam(problem.learning_rate)

    def fit(seed: int) -> Weights:
        result = jaxmlp.fit(
            config,
            jaxmlp.init(config, jax.random.key(seed)),
            (problem.x, problem.y),
            loss="softmax_cross_entropy",
            optimizer=optimizer,
            epochs=problem.epochs,
            batch_size=problem.batch_size,
            key=jax.random.key(seed + 1000),
            gradient=gradient,
        )
        return [(np.asarray(layer.W), np.asarray(layer.b)) for layer in result.params]

    return fit


def flax_fit(problem: Problem, compiled_epochs: bool = True) -> Fit:
    """flax.linen and optax: a scan over all steps, or a jitted step in a Python loop."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            for size in problem.layer_sizes[1:-1]:
                x = linen.relu(
                    linen.Dense(size, kernel_init=linen.initializers.glorot_uniform())(x)
                )
            return linen.Dense(
                problem.layer_sizes[-1], kernel_init=linen.initializers.glorot_uniform()
            )(x)

    network, rule = Network(), optax.adam(problem.learning_rate)
    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)
    n, size = len(x), problem.batch_size

    def loss(params: Any, rows: Any, weight: Any) -> Any:
        values = optax.softmax_cross_entropy_with_integer_labels(
            network.apply(params, x[rows]), y[rows]
        )
        return jnp.sum(values * weight) / jnp.sum(weight)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        grads = jax.grad(loss)(params, *batch)
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches)[0])
    one = jax.jit(lambda carry, batch: step(carry, batch)[0])

    def batches(seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Index tables, made on the host; the last batch of an epoch is padded."""
        rng, per_epoch = np.random.default_rng(seed), -(-n // size)
        rows = np.zeros((problem.epochs, per_epoch * size), np.int32)
        for epoch in rows:
            epoch[:n] = rng.permutation(n)
        weight = np.tile((np.arange(per_epoch * size) < n).astype(np.float32), (problem.epochs, 1))
        return rows.reshape(-1, size), weight.reshape(-1, size)

    def fit(seed: int) -> Weights:
        params = network.init(jax.random.key(seed), x[:1])
        carry, tables = (params, rule.init(params)), batches(seed)
        if compiled_epochs:
            carry = run(carry, tables)
        else:
            for batch in zip(*tables, strict=True):
                carry = one(carry, batch)
        layers = carry[0]["params"]
        return [
            (np.asarray(layers[f"Dense_{i}"]["kernel"]), np.asarray(layers[f"Dense_{i}"]["bias"]))
            for i in range(len(problem.layer_sizes) - 1)
        ]

    return fit


def sklearn_fit(problem: Problem) -> Fit:
    """scikit-learn's MLPClassifier, without its penalty and its early end."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.filterwarnings("ignore", category=ConvergenceWarning)

    def fit(seed: int) -> Weights:
        model = MLPClassifier(
            problem.layer_sizes[1:-1],
            alpha=0.0,
            batch_size=problem.batch_size,
            learning_rate_init=problem.learning_rate,
            max_iter=problem.epochs,
            tol=0.0,
            n_iter_no_change=problem.epochs,
            random_state=seed,
        )
        model.fit(problem.x, problem.y)
        return list(zip(model.coefs_, model.intercepts_, strict=True))

    return fit


def torch_fit(problem: Problem) -> Fit:
    """PyTorch, eager, with the fused Adam it recommends."""
    import torch

    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y.astype(np.int64))

    def fit(seed: int) -> Weights:
        torch.manual_seed(seed)
        sizes, layers = problem.layer_sizes, []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
            torch.nn.init.xavier_uniform_(layers[-2].weight)
            torch.nn.init.zeros_(layers[-2].bias)
        network = torch.nn.Sequential(*layers[:-1])
        rule = torch.optim.Adam(network.parameters(), lr=problem.learning_rate, fused=True)
        for _ in range(problem.epochs):
            for rows in torch.randperm(len(x)).split(problem.batch_size):
                rule.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
                rule.step()
        return [
            (layer.weight.detach().numpy().T, layer.bias.detach().numpy())
            for layer in network
            if isinstance(layer, torch.nn.Linear)
        ]

    return fit


PEERS: dict[str, Callable[[Problem], Fit]] = {
    "jaxmlp": jaxmlp_fit,
    "jaxmlp, gradient by autodiff": lambda problem: jaxmlp_fit(problem, "autodiff"),
    "flax + optax, compiled scan": flax_fit,
    "flax + optax, jitted step": lambda problem: flax_fit(problem, compiled_epochs=False),
    "scikit-learn": sklearn_fit,
    "PyTorch, eager": torch_fit,
}


def final_loss(problem: Problem, weights: Weights) -> float:
    """Mean cross entropy of a trained network on its training data, in numpy."""
    h = problem.x.astype(np.float64)
    for W, b in weights[:-1]:
        h = np.maximum(h @ W + b, 0)
    logits = h @ weights[-1][0] + weights[-1][1]
    largest = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
    return float(np.mean(log_sum - logits[np.arange(len(h)), problem.y]))
