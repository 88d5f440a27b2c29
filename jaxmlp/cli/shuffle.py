"""`jaxmlp shuffle`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from jaxmlp.data.streams import row_groups, shuffle_rows


def shuffle(
    source: Annotated[
        str, typer.Argument(help="A .csv or .parquet file, a folder of Parquet files, a pattern.")
    ],
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    seed: Annotated[int, typer.Option(help="Of the order.")] = 0,
    memory: Annotated[str, typer.Option(help="That may be used, such as 500MB or 4GB.")] = "1GB",
) -> None:
    """Write rows in random order, once, so that they can be learnt from block by block.

    What does not fit into memory goes to temporary files beside the one that is written:

        jaxmlp shuffle trips.csv trips.parquet
    """
    begin = time.perf_counter()
    console = Console(highlight=False, soft_wrap=True)
    columns = (TextColumn("shuffling"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, console=console) as bar:
        task = bar.add_task("", total=100)
        shuffle_rows(
            source, out, seed=seed, memory=memory,
            progress=lambda percent: bar.update(task, completed=percent),
        )  # fmt: skip
    n_rows = sum(group.n_rows for group in row_groups(out))
    seconds = time.perf_counter() - begin
    console.print(f"wrote {n_rows:,} rows to {out} in {seconds:.1f} s")
