"""The work: real data where they are at hand, random numbers of the same shape where not."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.harness.peers import Problem
from jaxmlp.data import load_digits, load_idx

DIGITS = (64, 128, 10)
IMAGES = (784, 512, 512, 10)


class Case(NamedTuple):
    """A fit to time.

    Attributes:
        name: what tables call it.
        make: makes the problem, given whether it is a quick run.
        heavy: seconds a fit: fewer rounds.
    """

    name: str
    make: Callable[[bool], Problem]
    heavy: bool = False


def moons(quick: bool) -> Problem:
    """Two interleaved half circles, 1,000 points; so noisy that no seed ends at twice the loss."""
    from sklearn.datasets import make_moons

    x, y = make_moons(1000, noise=0.35, random_state=0)
    return Problem(
        x.astype(np.float32), y.astype(np.int32), (2, 16, 2), 32, 1 if quick else 60, 1e-2
    )


def digits(
    batch_size: int, epochs: int, sizes: tuple[int, ...] = DIGITS, rows: int = 1437
) -> Problem:
    """1,437 handwritten digits of 8 x 8 pixels, in random order."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.x))[:rows]
    x = (data.x[order] / 16).astype(np.float32)
    return Problem(x, data.y[order].astype(np.int32), sizes, batch_size, epochs)


def digits_128(quick: bool) -> Problem:
    """The digits in batches of 128."""
    return digits(128, 2, rows=300) if quick else digits(128, 100)


def digits_32(quick: bool) -> Problem:
    """The digits in batches of 32."""
    return digits(32, 1 if quick else 40)


def narrow(quick: bool) -> Problem:
    """The digits through 30 layers."""
    return digits(128, 1 if quick else 10, (64, *[32] * (3 if quick else 29), 10))


def images(quick: bool) -> Problem:
    """One epoch of Fashion-MNIST; random pixels where `JAXMLP_DATA_DIR` is not set."""
    if quick:
        x, y = _random_images(600)
        return Problem(x, y, (784, 32, 32, 10), 256, 1)
    if "JAXMLP_DATA_DIR" in os.environ:
        train, _ = load_idx(os.environ["JAXMLP_DATA_DIR"], "fashion-mnist")
        return Problem(train.x, train.y, IMAGES, 256, 1)
    return Problem(*_random_images(60_000), IMAGES, 256, 1)


def _random_images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Blurred class prototypes under noise: learnable, and not at once."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, n).astype(np.int32)
    prototypes = rng.uniform(0, 1, (10, 784)).astype(np.float32)
    x = 0.3 * prototypes[y] + 0.7 * rng.uniform(0, 1, (n, 784)).astype(np.float32)
    return x, y


def regression(quick: bool) -> Problem:
    """A few steps of a large regression: targets are a random nonlinear map of the inputs."""
    n, width, size = (100, 16, 32) if quick else (2100, 1024, 512)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, width)).astype(np.float32)
    mixing = rng.normal(size=(width, width)).astype(np.float32) / np.float32(np.sqrt(width))
    return Problem(x, np.tanh(x @ mixing), (width, 2 * width, 2 * width, width), size, 2)


CASES = {
    "moons": Case("moons, 2-16-2, batch 32", moons),
    "digits-32": Case("digits, 64-128-10, batch 32", digits_32),
    "digits": Case("digits, 64-128-10, batch 128", digits_128),
    "images": Case("images, 784-512-512-10, batch 256", images, heavy=True),
    "regression": Case("regression, 1024-2048-2048-1024, batch 512", regression, heavy=True),
    "narrow": Case("digits, 30 layers of 32, batch 128", narrow),
}
