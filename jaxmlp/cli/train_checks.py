"""What `jaxmlp train` refuses before it reads any data."""

import math
from collections.abc import Mapping
from types import SimpleNamespace

from jaxmlp.cli.calls import parse_interval
from jaxmlp.cli.options import Options
from jaxmlp.cli.prepared_table import is_table
from jaxmlp.cli.standard_input import STANDARD_INPUT
from jaxmlp.cli.turns import SWEPT_SCHEDULES

COLUMNS = ("text", "image", "sound")
"""Options that name columns; what makes features of them is a backbone of that kind."""
_SUCH_AS = {"image": "package:efficientnet-lite0", "sound": "package:resemblyzer"}


def check_checkpoints(o: SimpleNamespace) -> None:
    """Refuse to save what cannot be resumed."""
    said = o.checkpoint_every not in (None, "never")
    if said and o.budget is not None:
        raise ValueError(
            "--checkpoint-every saves one training, and --budget makes many; give one."
        )
    if said and o.data == STANDARD_INPUT:
        raise ValueError("--checkpoint-every needs a file to go on with, not the standard input.")
    if o.checkpoint_every is not None:
        parse_interval(o.checkpoint_every)


def check_backbone(o: SimpleNamespace) -> None:
    """Refuse what does not go with a backbone, or needs one."""
    said = [name for name in COLUMNS if getattr(o, name)]
    _check_tuning(o)
    if o.backbone is None:
        for name in said:
            if name != "text":
                raise ValueError(f"--{name} needs a backbone: --backbone {_SUCH_AS[name]}.")
        return
    if is_table(o.data):
        if not said and o.schema is None:
            raise ValueError(
                "--backbone needs to know the column of the table that goes through it: --text, "
                "--image or --sound COLUMN."
            )
        return
    for name, wanted in (("target", o.target), ("seeds", o.seeds > 1), *((n, True) for n in said)):
        if wanted:
            raise ValueError(f"--{name} does not go with --backbone and a folder; leave it out.")


def _check_tuning(o: SimpleNamespace) -> None:
    """Refuse to tune what is no backbone of a folder."""
    if o.tune_epochs < 0:
        raise ValueError(f"--tune-epochs is {o.tune_epochs}; give a whole number >= 0.")
    if not o.tune_epochs:
        if o.freeze:
            raise ValueError("--freeze goes with --tune-epochs; say how many passes there are.")
        return
    if o.backbone is None or is_table(o.data):
        raise ValueError("--tune-epochs goes with --backbone and a folder of images or sounds.")
    if not 0 < o.backbone_rate < math.inf:
        raise ValueError(f"--backbone-lr is {o.backbone_rate:g}; give a number above 0.")
    for name, wanted in (
        ("--batch-norm", o.batch_norm), ("--dtype float64", o.dtype == "float64"),
        ("--distributed", o.distributed), ("--label-smoothing", o.label_smoothing),
    ):  # fmt: skip
        if wanted:
            raise ValueError(f"{name} does not go with --tune-epochs; leave it out.")


def choose_columns(
    kind: str, backbone: str, columns: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the columns that go through a backbone.

    Args:
        kind: of the backbone.
        backbone: its name.
        columns: those of each kind, as was said.

    Raises:
        ValueError: where files are of another kind.
    """
    if kind not in COLUMNS:
        raise ValueError(f"{backbone} takes {kind}s, which no table has.")
    for name in COLUMNS[1:]:
        if columns[name] and name != kind:
            raise ValueError(f"--{name} names {name}s, and {backbone} takes {kind}s.")
    return columns[kind]


def check_stream(o: SimpleNamespace) -> None:
    """Refuse what trains many networks on all rows at once."""
    for name in ("seeds", "folds", "budget", "trees", "distributed", "backbone"):
        value = getattr(o, name)
        if value and (name != "seeds" or value > 1):
            raise ValueError(
                f"--{name} does not go with data that are read block by block; leave it out, or "
                "give one file and --no-stream."
            )


def check_budget(budget: float, options: Options, seeds: int, folds: int) -> None:
    """Refuse a time that is none, or what leaves none to search in."""
    if not 0 < budget < math.inf:
        raise ValueError(f"--budget is {budget:g}; give seconds, such as 60.")
    if folds or seeds > 1:
        raise ValueError(
            f"--budget makes one run as good as it can, and {'--folds' if folds else '--seeds'} "
            "repeats a run to see how it varies; give one of them."
        )
    if options.schedule not in SWEPT_SCHEDULES:
        known = ", ".join(SWEPT_SCHEDULES)
        raise ValueError(
            f"--budget trains several learning rates in one program, which --schedule "
            f"{options.schedule} has no place for; give one of {known}."
        )


def check_repeats(data: str, seeds: int, folds: int) -> None:
    """Refuse repetitions of what cannot be repeated."""
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; give at least 1.")
    if folds and seeds > 1:
        raise ValueError("--folds and --seeds each repeat the training; give one of them.")
    if folds and folds < 2:
        raise ValueError(f"--folds is {folds}; give at least 2, or 0 for a single split.")
    if folds and not is_table(data):
        raise ValueError(f"--folds goes with a table, but {data} is none; --seeds goes with both.")
    if (folds or seeds > 1) and data == STANDARD_INPUT:
        name = "--folds" if folds else "--seeds"
        raise ValueError(f"{name} reads the data several times; give a file instead of -.")
