"""Checkpoints on disk: the one place that knows orbax, which writes a step wholly or not at all."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.optional import import_optional
from jaxmlp.types import PyTree

_Records = Mapping[str, np.ndarray]


class Step(NamedTuple):
    """What a step on disk holds beside its arrays.

    Attributes:
        number: of training steps taken.
        call: what the training was called with, JSON-ready.
        records: what has been recorded so far, by name.
    """

    number: int
    call: dict[str, Any]
    records: dict[str, np.ndarray]


class CheckpointStore:
    """A folder of steps, of which the newest are kept.

    Args:
        folder: where they lie; it is made.
        keep: how many.

    Raises:
        ImportError: without orbax-checkpoint, with the command that installs it.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        """Open the folder."""
        self._orbax = import_optional(
            "orbax.checkpoint", "a checkpoint needs orbax-checkpoint", "jaxmlp[scale]"
        )
        ocp = self._orbax
        handlers = {"carry": ocp.StandardCheckpointHandler(), "said": ocp.JsonCheckpointHandler()}
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(
            folder.absolute(), options=options, item_handlers=handlers
        )

    @property
    def steps(self) -> list[int]:
        """The steps that lie there, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, carry: PyTree, step: Step) -> None:
        """Begin to write a step; training may go on meanwhile, and donate what `carry` holds."""
        args = self._orbax.args
        said = {"call": step.call, "records": _pack(step.records)}
        self._manager.save(
            step.number,
            args=args.Composite(carry=args.StandardSave(_leaves(carry)), said=args.JsonSave(said)),
            force=True,
        )

    def read(self, number: int) -> Step:
        """Read what a step says, without its arrays."""
        args = self._orbax.args
        said = self._manager.restore(number, args=args.Composite(said=args.JsonRestore())).said
        return Step(number, said["call"], _unpack(said["records"]))

    def restore(self, number: int, like: PyTree) -> PyTree:
        """Read a step's arrays in the structure, dtypes and places of `like`."""
        args = self._orbax.args
        target = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in _leaves(like).items()
        }
        found = self._manager.restore(
            number, args=args.Composite(carry=args.StandardRestore(target))
        ).carry
        leaves, structure = jax.tree.flatten(like)
        restored = [found.get(str(i), leaf) for i, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, restored)

    def delete(self, number: int) -> None:
        """Delete a step."""
        self._manager.delete(number)

    def close(self) -> None:
        """Wait until all is written, and say what went wrong."""
        self._manager.close()


def _leaves(carry: PyTree) -> dict[str, jax.Array]:
    """Name the arrays by their place; orbax refuses those without elements."""
    return {str(i): leaf for i, leaf in enumerate(jax.tree.leaves(carry)) if leaf.size}


def _pack(records: _Records) -> str:
    """Write arrays of any shapes into a text.

    >>> _unpack(_pack({"steps": np.zeros((0, 2))}))["steps"].shape
    (0, 2)
    """
    file = io.BytesIO()
    np.savez_compressed(file, **records)  # type: ignore[arg-type]
    return base64.b64encode(file.getvalue()).decode()


def _unpack(text: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(base64.b64decode(text))) as found:
        return dict(found)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON-ready values are written alike.

    >>> same((1, 2), [1, 2])
    True
    """
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
