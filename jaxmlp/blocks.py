"""Any number of rows in blocks of few fixed shapes.

XLA compiles one program a shape, which takes longer than most predictions. So rows are cut into
blocks whose sizes are powers of two, and each block is filled up with copies of its first row: a
row that the function takes, whatever its domain, and whose outputs are dropped.

    outputs = map_blocks(partial(compiled, params), x)              # joined, on the host
    for part in stream_blocks(partial(compiled, params), parts):    # one block in memory at a time
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxmlp.types import PyTree

BLOCK_ROWS = 4096  # large enough for products at full speed, small enough for any memory


class _Block(NamedTuple):
    """Some rows, filled up to a fixed shape.

    Attributes:
        rows: the arrays' rows, each array (size, ...).
        n_rows: how many of them are real; copies of the first follow.
    """

    rows: PyTree
    n_rows: int


def block_size(n_rows: int, *, least: int = 1, most: int = BLOCK_ROWS) -> int:
    """Return the size of a block for `n_rows` rows: the next power of two, within the bounds.

    >>> [block_size(n) for n in (0, 1, 3, 64, 65, 10_000)]
    [1, 1, 4, 64, 128, 4096]
    """
    return min(most, 1 << (max(n_rows, least) - 1).bit_length())


def pad_rows(array: np.ndarray, size: int) -> np.ndarray:
    """Repeat an array's first row at its end until there are `size` rows.

    >>> pad_rows(np.array([3, 4]), 4).tolist()
    [3, 4, 3, 3]
    """
    array = np.asarray(array)
    if len(array) == size:
        return array
    return np.concatenate([array, np.repeat(array[:1], size - len(array), axis=0)])


def row_blocks(
    rows: PyTree, *, size: int | None = None, block_rows: int = BLOCK_ROWS
) -> Iterator[_Block]:
    """Cut arrays along their first axis into padded blocks.

    Args:
        rows: an array, or a pytree of arrays with equally many rows n.
        size: rows of every block, the last one as well; None gives each block of `block_rows` rows
            its own `block_size`, so that a short last block costs little.
        block_rows: rows of a block where no size is given.

    Yields:
        The blocks in order, on the host; one empty block where there are no rows, so that the
        function may say what it makes of them.

    Example:
        >>> [(b.rows.shape, b.n_rows) for b in row_blocks(np.ones((7, 2)), block_rows=4)]
        [((4, 2), 4), ((4, 2), 3)]
    """
    n_rows = len(jax.tree.leaves(rows)[0])
    step = size or block_rows
    for start in range(0, max(n_rows, 1), step):
        n_real = min(step, n_rows - start)
        padded = size or block_size(n_real, most=block_rows)
        if n_real == n_rows == padded:  # a whole request, often of one row, for which a cut is long
            yield _Block(rows, n_real)
            return

        def cut(array: np.ndarray, start: int = start, padded: int = padded) -> np.ndarray:
            return pad_rows(array[start : start + step], padded)

        yield _Block(jax.tree.map(cut, rows), n_real)


def map_blocks(
    compute: Callable[[PyTree], PyTree],
    rows: PyTree,
    *,
    size: int | None = None,
    block_rows: int = BLOCK_ROWS,
) -> PyTree:
    """Apply a function of rows to any number of them, in blocks of few shapes.

    Args:
        compute: the function, which gives one row of output a row of input; usually under `jit`.
        rows: an array, or a pytree of arrays with equally many rows n.
        size: as for `row_blocks`.
        block_rows: as for `row_blocks`.

    Returns:
        What `compute` returns, n rows of it, on the host.

    Example:
        >>> map_blocks(jax.jit(lambda x: 2 * x), np.arange(5), block_rows=2).tolist()
        [0, 2, 4, 6, 8]
    """
    blocks = row_blocks(rows, size=size, block_rows=block_rows)
    # All blocks are dispatched before the first result is fetched: the device never waits.
    found = [(compute(block.rows), block.n_rows) for block in blocks]
    parts = [_on_host(outputs, n_rows) for outputs, n_rows in found]
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def stream_blocks(
    compute: Callable[[PyTree], PyTree],
    parts: Iterable[PyTree],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[PyTree]:
    """Apply a function of rows to a stream of them; only one block is in memory at a time.

    Args:
        compute: as for `map_blocks`.
        parts: rows, of any lengths; longer ones are cut, empty ones give nothing.
        block_rows: as for `row_blocks`.

    Yields:
        What `compute` returns, block by block in order, on the host.

    Example:
        >>> stream = (np.ones(n) for n in (5, 3))
        >>> [part.shape for part in stream_blocks(jax.jit(lambda x: 2 * x), stream, block_rows=4)]
        [(4,), (1,), (3,)]
    """
    for part in parts:
        for block in row_blocks(part, block_rows=block_rows):
            if block.n_rows:
                yield _on_host(compute(block.rows), block.n_rows)


def _on_host(outputs: PyTree, n_rows: int) -> PyTree:
    leaves, structure = jax.tree.flatten(outputs)  # a third of the time that jax.tree.map takes
    return jax.tree.unflatten(structure, [np.asarray(leaf)[:n_rows] for leaf in leaves])
