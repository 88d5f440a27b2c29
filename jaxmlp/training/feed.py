"""A stream of rows as training takes it: chunks of equal capacity, one after the other."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.blocks import pad_rows
from jaxmlp.data.streams import Block, RowStream
from jaxmlp.losses import Loss
from jaxmlp.networks import NetworkConfig
from jaxmlp.training.data import TrainData, prepare_data
from jaxmlp.training.metrics import target_spread
from jaxmlp.types import Key

_MOST_ROWS, _MOST_BYTES = 200_000, 64 << 20  # of a chunk


class _Chunk(NamedTuple):
    """Rows that lie on the device, and the steps that are theirs.

    Attributes:
        train: the rows, padded to the capacity.
        first: step of the epoch, from 0, that begins with its first row.
        begin: step of the run that begins with it.
        end: step of the run that begins behind it.
    """

    train: TrainData
    first: int
    begin: int
    end: int


class Feed:
    """Reads a stream as chunks: every row once an epoch, in an order that key and epoch decide.

    The order of the blocks is drawn anew for every epoch, and the rows of a chunk are mixed; a
    chunk holds the rows of a few blocks, so rows should be stored in no telling order. Where a run
    goes on, the blocks before that place are not read.

    Args:
        stream: the rows.
        config: the network.
        loss: the loss.
        batch_size: rows a step.
        key: of the order.
        shuffle: whether blocks are taken in another order in every epoch, or as they are stored.
    """

    def __init__(
        self,
        stream: RowStream,
        config: NetworkConfig,
        loss: Loss,
        batch_size: int,
        key: Key,
        shuffle: bool = True,
    ) -> None:
        """Read the first block, to check it."""
        self._shuffle = shuffle
        self.stream, self._config, self._loss = stream, config, loss
        self.batch_size = min(batch_size, stream.n_rows)
        self._seed = int(np.asarray(jax.random.key_data(key)).ravel()[-1]) & 0x3FFFFFFF
        n_in = config.layer_sizes[0]
        most = min(_MOST_ROWS, _MOST_BYTES // (4 * n_in), stream.n_rows)
        self.capacity = self.batch_size * max(1, -(-most // self.batch_size))
        self._spread: Any = None
        block_bytes = 4 * n_in * max(stream.sizes)
        self._ahead = min(8, max(2, _MOST_BYTES // block_bytes))
        self._epoch, self._wait = -1, 0.0
        self._pool = ThreadPoolExecutor(1, "feed")  # joins the next chunk while this one trains
        self._coming: Future[Block | None] | None = None
        self._chunks: Iterator[Block] = iter(())
        self._chunk: _Chunk | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps that an epoch takes."""
        return -(-self.stream.n_rows // self.batch_size)

    def at(self, step: int) -> _Chunk:
        """Return the chunk that a step of the run belongs to; later steps come cheapest."""
        chunk = self._chunk
        if chunk is not None and chunk.begin <= step < chunk.end:
            return chunk
        epoch, position = divmod(step, self.steps_per_epoch)
        number = position // (self.capacity // self.batch_size)
        before = time.perf_counter()
        follows = chunk is not None and chunk.end == step and epoch == self._epoch
        if not follows:
            self._epoch, self._chunks = epoch, self._read_from(epoch, number)
            self._coming = self._pool.submit(next, self._chunks, None)
        assert self._coming is not None
        block = self._coming.result()
        assert block is not None  # as many chunks come as there are steps for
        self._coming = self._pool.submit(next, self._chunks, None)
        first = number * (self.capacity // self.batch_size)
        begin = epoch * self.steps_per_epoch + first
        end = begin + -(-len(block[1]) // self.batch_size)
        self._chunk = _Chunk(self._prepared(block), first, begin, end)
        self._wait += time.perf_counter() - before
        return self._chunk

    def take_wait(self) -> float:
        """Return the seconds that rows were waited for since this was last asked."""
        wait, self._wait = self._wait, 0.0
        return wait

    def _read_from(self, epoch: int, number: int) -> Iterator[Block]:
        """Read an epoch from one of its chunks on."""
        order = list(range(len(self.stream.sizes)))
        if self._shuffle:
            order = self.stream.order(self._seed, epoch)
        before, skipped = 0, number * self.capacity
        while before + self.stream.sizes[order[0]] <= skipped:
            before += self.stream.sizes[order.pop(0)]
        return _joined(self.stream.blocks(order, self._ahead), self.capacity, skipped - before)

    def _prepared(self, block: Block) -> TrainData:
        """Check rows and put them on the device."""
        n_rows = len(block[1])
        padded = tuple(pad_rows(part, self.capacity) for part in block)  # with copies of a row
        ready = prepare_data(self._config, self._loss, padded, what="a block of the stream")
        if self._spread is None:
            self._spread = self._measure_spread()
        return ready._replace(n_rows=np.int32(n_rows), spread=self._spread)

    def _measure_spread(self) -> Any:
        """The variance of the targets, for R2: of all of them, which are read once for that."""
        if self._loss.task == "classification":
            return np.ones(1, np.float32)
        blocks = self.stream.blocks(range(len(self.stream.sizes)))
        targets = np.concatenate([np.asarray(y, np.float32) for _, y in blocks])
        return target_spread(self._loss, targets).astype(np.float32)


def _joined(blocks: Iterator[Block], size: int, skipped: int) -> Iterator[Block]:
    """Cut blocks into chunks of so many rows; the last one has what is left."""
    held: list[Block] = []
    n_held = 0
    for x, y in blocks:
        x, y = x[skipped:], y[skipped:]
        skipped = 0
        held.append((x, y))
        n_held += len(y)
        while n_held >= size:
            chunk, held = _cut(held, size)
            n_held -= size
            yield chunk
    if n_held:
        yield _cut(held, n_held)[0]


def _cut(held: list[Block], size: int) -> tuple[Block, list[Block]]:
    """Take the first rows of blocks; return them, and what is left."""
    x, y = (np.concatenate(parts) for parts in zip(*held, strict=True))
    rest = [(x[size:], y[size:])] if len(y) > size else []
    return (x[:size], y[:size]), rest


def check_stream(stream: RowStream, options: Mapping[str, Any]) -> None:
    """Refuse options that need all rows at once.

    Raises:
        ValueError: for such an option.
    """
    for name in ("sample_weight", "distributed"):
        if options[name] is not None and options[name] is not False:
            raise ValueError(f"{name} does not go with a stream of rows; leave it out.")
    if options["batch_size"] is None:
        raise ValueError("batch_size=None takes all rows at once; give a number for a stream.")
    if options["drop_last"]:
        raise ValueError("drop_last does not go with a stream of rows; leave it out.")
