"""`jaxmlp predict`."""

import csv
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxmlp.checks import unknown_name
from jaxmlp.cli.feature_files import FileRows, read_blocks
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.reading import BLOCK_ROWS
from jaxmlp.files import atomic_writer
from jaxmlp.formatting import format_exactly
from jaxmlp.models import Model, class_probabilities, infer_blocks, load, prepare, top_k
from jaxmlp.models.inference import OUTPUTS


def predict(
    run: Annotated[Path, typer.Argument(help="A folder that train wrote, or its model file.")],
    data: Annotated[
        str,
        typer.Argument(
            help="A .csv, .npy or .npz file of features, or digits, mnist, fashion-mnist."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to write; default: the terminal.", show_default=False),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="Add the probability of each class.")
    ] = False,
    top: Annotated[
        int, typer.Option("--top", help="Name the so many likeliest classes, with probabilities.")
    ] = 0,
    output: Annotated[
        str, typer.Option(help="probabilities, logits or embeddings (of the last hidden layer).")
    ] = "probabilities",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR"),
    ] = None,
) -> None:
    """Predict with a trained network: one line for each row of the data.

    The features go in as they are: the model brings its own standardization. The data are read
    and the predictions written block by block, so that both may be larger than the memory.

        jaxmlp predict runs/digits-1 new_digits.csv --out predictions.csv
    """  # fmt: skip
    if output not in OUTPUTS:
        raise unknown_name("output", output, OUTPUTS)
    with jax.enable_x64(True):  # the model may be one in float64; one in float32 stays that
        model = load(run)
        if top and (model.class_names is None or not 1 <= top <= len(model.class_names)):
            classes = len(model.class_names or ())
            raise ValueError(f"--top is {top}, but the model knows {classes} classes.")
        of_words = isinstance(model.preprocessing, TablePreprocessor)
        blocks = _with_progress(read_blocks(data, data_dir, of_words=of_words))
        parts = _predict_parts(model, blocks, data, output)
        lines = (_csv_lines(model, row, part, proba, top, output) for row, part in parts)
        if out is None:
            _write_to_terminal(lines)
            return
        with atomic_writer(out) as file:
            n_lines = sum(file.write(text.encode()) and text.count("\n") for text in lines)
    print(f"wrote {n_lines - 1} predictions to {out}", file=sys.stderr)


def _predict_parts(
    model: Model, blocks: Iterator[FileRows], data: str, output: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number of the first row, outputs) of each block."""
    said: set[str] = set()

    def notify(note: str) -> None:
        kind = note.split()[0]  # once each, however many blocks it is true of
        if kind not in said:
            print(f"note: {note}", file=sys.stderr)
            said.add(kind)

    for block in blocks:
        x = prepare(model, block.table, what=data, first_row=block.first_row, notify=notify)
        part = infer_blocks(model, [x], output=output, block_rows=BLOCK_ROWS)
        yield block.first_row, np.concatenate(list(part))


def _with_progress(blocks: Iterator[FileRows]) -> Iterator[FileRows]:
    """Show on stderr, where that is a terminal, how much of the input has been predicted."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("predict", total=1.0, rows=0)
        for block in blocks:
            yield block
            bar.update(task, completed=block.done, rows=block.first_row + len(block.table))


def _write_to_terminal(lines: Iterator[str]) -> None:
    try:
        for text in lines:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _csv_lines(
    model: Model, first_row: int, outputs: np.ndarray, proba: bool, top: int, output: str
) -> str:
    """Format a part of the predictions; the first one has the heading above it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heading, columns = _columns(model, outputs, proba, top, output)
    if first_row == 0:
        writer.writerow(["row", *heading])
    writer.writerows([first_row + i, *row] for i, row in enumerate(zip(*columns, strict=True)))
    return text.getvalue()


def _columns(
    model: Model, outputs: np.ndarray, proba: bool, top: int, output: str
) -> tuple[list[str], list[list[str]]]:
    """Headings and columns: classes with their probabilities if wanted, or plain numbers."""
    names = model.class_names
    if output != "probabilities" or names is None:
        kind = {"logits": "logit", "embeddings": "h", "probabilities": "prediction"}[output]
        width = outputs.shape[1]
        plain = [f"{kind}_{k}" for k in range(width)]
        return ([kind] if width == 1 and names is None else plain), _short(outputs)
    p = class_probabilities(outputs)
    classes, shares = top_k(p, max(1, top))
    heading, columns = ["prediction"], [[names[k] for k in classes[:, 0]]]
    if top:
        heading, columns = [], []
        for rank in range(top):
            heading += [f"prediction_{rank + 1}", f"probability_{rank + 1}"]
            columns += [[names[k] for k in classes[:, rank]], *_short(shares[:, rank : rank + 1])]
    if proba:
        return heading + [f"p_{name}" for name in names], columns + _short(p)
    return heading, columns


def _short(values: np.ndarray) -> list[list[str]]:
    return [[format_exactly(value) for value in column] for column in values.T]
