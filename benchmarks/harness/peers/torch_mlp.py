"""PyTorch with the fused Adam it recommends: eager, or the loss through torch.compile."""

import os
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .problem import REGRESSION, Fit, Problem, Weights, initial_weights


def network(weights: Weights, device: Any) -> torch.nn.Sequential:
    """Make linear layers with ReLU between them, from given weights."""
    layers: list[torch.nn.Module] = []
    for W, b in weights:
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(device)


def accelerator() -> torch.device:
    """Return the GPU where there is one, as JAX does; it rounds factors of products as JAX does."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    exact = os.environ.get("JAX_DEFAULT_MATMUL_PRECISION") in ("float32", "highest")
    torch.set_float32_matmul_precision("highest" if exact else "high")  # the latter is TF32
    return torch.device("cuda")


def eager(problem: Problem, compiled: bool = False) -> Fit:
    """A Python loop over batches."""
    device = accelerator()
    x = torch.from_numpy(problem.x).to(device)
    y = torch.from_numpy(problem.y).to(device)
    y = y if problem.loss == REGRESSION else y.long()

    def loss(model: Any, rows: torch.Tensor) -> torch.Tensor:
        outputs = model(x[rows])
        if problem.loss == REGRESSION:
            return ((outputs - y[rows]) ** 2).sum(1).mean() / 2
        return functional.cross_entropy(outputs, y[rows])

    def fit(seed: int) -> Weights:
        torch.manual_seed(seed)
        model = network(initial_weights(problem, seed), device)
        rule = torch.optim.Adam(model.parameters(), lr=problem.learning_rate, fused=True)
        for _ in range(problem.epochs):
            for rows in torch.randperm(len(x), device=device).split(problem.batch_size):
                rule.zero_grad(set_to_none=True)
                objective(model, rows).backward()
                rule.step()
        return [
            (layer.weight.detach().cpu().numpy().T, layer.bias.detach().cpu().numpy())
            for layer in model
            if isinstance(layer, torch.nn.Linear)
        ]

    # Two shapes (the ragged last batch), compiled each, beat one program for all.
    objective = torch.compile(loss, dynamic=False) if compiled else loss
    return fit


def compiled(problem: Problem) -> Fit:
    """The same loop, forward and backward pass compiled."""
    return eager(problem, compiled=True)


def predictor(weights: Weights) -> Any:
    """Return a function x -> class probabilities, as numpy arrays."""
    device = accelerator()
    model = network(weights, device).eval()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return torch.softmax(model(torch.from_numpy(x).to(device)), 1).cpu().numpy()

    return predict
