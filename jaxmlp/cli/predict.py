"""`jaxmlp predict`."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxmlp.checks import unknown_name
from jaxmlp.cli.feature_columns import backbone_of_run, column_blocks
from jaxmlp.cli.feature_files import FileRows, read_blocks
from jaxmlp.cli.media import media_blocks
from jaxmlp.cli.predictions_file import Predictions, check_name, write_file, write_to_terminal
from jaxmlp.cli.standard_input import STANDARD_INPUT, as_file
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import ReadingOptions
from jaxmlp.data.tables.column_lists import named_columns
from jaxmlp.data.tables.inference import unknown_column
from jaxmlp.data.tables.reading import BLOCK_ROWS, SHEET_SUFFIXES
from jaxmlp.data.tables.values import Series, to_word
from jaxmlp.models import Model, class_probabilities, infer_blocks, load, prepare, top_k
from jaxmlp.models.behind_backbone import takes_items
from jaxmlp.models.inference import OUTPUTS


def predict(
    run: Annotated[Path, typer.Argument(help="A folder that train wrote, or its model file.")],
    data: Annotated[
        list[str],
        typer.Argument(
            help="A .csv, .xlsx, .jsonl, .parquet, .npy or .npz file of features; - for the "
            "standard input; or digits, mnist, fashion-mnist. Of a run that learnt from a folder "
            "of images or sounds: files, and folders of them."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .csv, .csv.gz, .jsonl or .parquet; default: the terminal.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        str, typer.Option(help="Columns of the data to write beside the predictions, such as id.")
    ] = "",
    proba: Annotated[
        bool, typer.Option("--proba", help="Add the probability of each class.")
    ] = False,
    top: Annotated[
        int, typer.Option("--top", help="Name the so many likeliest classes, with probabilities.")
    ] = 0,
    output: Annotated[
        str, typer.Option(help="probabilities, logits or embeddings (of the last hidden layer).")
    ] = "probabilities",
    header: Annotated[
        bool | None,
        typer.Option(
            help="Whether the first line names the columns; default: as in training.",
            show_default=False,
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            help="Between cells: a character, tab or whitespace; default: as in training.",
            show_default=False,
        ),
    ] = None,
    skip: Annotated[
        int | None,
        typer.Option(help="Lines above the table; default: as in training.", show_default=False),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(help="Sheet of a workbook; default: as in training.", show_default=False),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR"),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON, for programs: an object a row, or of --out."),
    ] = False,
) -> None:
    """Predict with a trained network: one line for each row of the data.

    The features go in as they are: the model brings its own standardization. The data are read
    and the predictions written block by block, so that both may be larger than the memory.

        jaxmlp predict runs/digits-1 new_digits.csv --out predictions.csv

    A run that learnt from photos takes photos:

        jaxmlp predict runs/photos-1 cat.jpg holiday/ --top 3

    One that learnt from a table of texts, or of paths of photos, takes such a table; a row whose
    file cannot be read is named and left out, and the others keep their numbers.
    """  # fmt: skip
    if output not in OUTPUTS:
        raise unknown_name("output", output, OUTPUTS)
    if out is not None:
        check_name(out)
    # the model may be one in float64; one in float32 stays that
    with jax.enable_x64(True), ExitStack() as stack:
        model = load(run)
        folder = Path() if data[0] == STANDARD_INPUT else Path(data[0]).parent
        through = backbone_of_run(model, folder, _notify_once(()))
        media = takes_items(model)
        if len(data) > 1 and not media:
            raise ValueError(f"{run} predicts from one file, and {len(data)} were given.")
        path = stack.enter_context(as_file(data[0]))
        if top and (model.class_names is None or not 1 <= top <= len(model.class_names)):
            classes = len(model.class_names or ())
            raise ValueError(f"--top is {top}, but the model knows {classes} classes.")
        of_words = isinstance(model.preprocessing, TablePreprocessor)
        options = _reading_options(model, path, header, delimiter, skip, sheet)
        if media:
            blocks = _with_progress(media_blocks(model, data, _notify_once(())))
        else:
            blocks = read_blocks(path, data_dir, of_words=of_words, options=options)
            if through is not None:
                blocks = column_blocks(model, through, blocks)
            blocks = _with_progress(blocks)
        parts = (
            Predictions(
                _numbers(block),
                _names(block) + _kept(block, keep) + _columns(model, part, proba, top, output),
            )
            for block, part in _predict_parts(model, blocks, path, output)
        )
        if out is None:
            write_to_terminal(parts, as_json)
            return
        n_rows = write_file(parts, out)
    if as_json:
        print(json.dumps({"out": str(out), "n_predictions": n_rows}))
    else:
        print(f"wrote {n_rows} predictions to {out}", file=sys.stderr)


def _reading_options(
    model: Model,
    data: str,
    header: bool | None,
    delimiter: str | None,
    skip: int | None,
    sheet: str | None,
) -> ReadingOptions:
    """Read the data as the training data were read, unless the user says otherwise."""
    options = ReadingOptions(**model.extra.get("reading", {}))
    return ReadingOptions(
        options.header if header is None else header,
        options.delimiter if delimiter is None else delimiter,
        options.skip if skip is None else skip,
        sheet if sheet is not None else options.sheet * data.lower().endswith(SHEET_SUFFIXES),
    )


def _predict_parts(
    model: Model, blocks: Iterator[FileRows], data: str, output: str
) -> Iterator[tuple[FileRows, np.ndarray]]:
    """Yield (block, outputs)."""
    notify = _notify_once(getattr(model.preprocessing, "column_names", ()))
    model = model._replace(extra={})  # the blocks hold features already
    for block in blocks:
        for note in block.notes:
            notify(note)
        table = block.table if block.inputs is None else block.inputs
        x = prepare(model, table, what=data, first_row=block.first_row, notify=notify)
        part = infer_blocks(model, [x], output=output, block_rows=BLOCK_ROWS)
        yield block, np.concatenate(list(part))


def _notify_once(columns: tuple[str, ...]) -> Callable[[str], None]:
    """Make what prints notes: each kind once a column, however many blocks it is true of."""
    said: set[tuple[str, str]] = set()

    def notify(note: str) -> None:
        # a column's name may begin with another's
        column = max((c for c in columns if note.startswith(f"{c}: ")), key=len, default="")
        kind = re.sub(r"-?\d[\d.,e+-]*|'.*'( and|$)?", "", note.removeprefix(f"{column}: "))
        if (column, kind) not in said:
            print(f"note: {note}", file=sys.stderr)
            said.add((column, kind))

    return notify


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


def _numbers(block: FileRows) -> np.ndarray:
    """Return the rows' numbers in the file."""
    if block.rows is not None:
        return block.rows
    return np.arange(block.first_row, block.first_row + len(block.table))


def _names(block: FileRows) -> list[tuple[str, np.ndarray]]:
    """Return the files that the rows are of, where each has its own."""
    return [("file", np.array(block.names, object))] if block.names else []


def _kept(block: FileRows, keep: str) -> list[tuple[str, np.ndarray]]:
    """Return the columns of the data that stand beside the predictions."""
    if not keep:
        return []
    if not hasattr(block.table, "columns"):
        raise ValueError("--keep names columns, but the data have no names.")
    names = named_columns(keep, block.table.columns)
    for name in names:
        if name not in block.table.columns:
            raise unknown_column(name, block.table)
    return [(name, _as_written(block.table[name])) for name in names]


def _as_written(column: Series) -> np.ndarray:
    """A column as text; whole numbers of Parquet are floats where others are missing."""
    texts = column.map(to_word) if column.dtype.kind == "f" else column.astype(str)
    return np.where(column.notna(), texts, "").astype(object)


def _columns(
    model: Model, outputs: np.ndarray, proba: bool, top: int, output: str
) -> list[tuple[str, np.ndarray]]:
    """Headings and columns: classes with their probabilities if wanted, or plain numbers."""
    if output != "probabilities" or model.class_names is None:
        kind = {"logits": "logit", "embeddings": "h", "probabilities": "prediction"}[output]
        alone = outputs.shape[1] == 1 and model.class_names is None
        return [(kind if alone else f"{kind}_{k}", column) for k, column in enumerate(outputs.T)]
    names = np.array(model.class_names, object)
    p = class_probabilities(outputs)
    classes, shares = top_k(p, max(1, top))
    columns = [("prediction", names[classes[:, 0]])]
    if top:
        columns = []
        for rank in range(top):
            columns.append((f"prediction_{rank + 1}", names[classes[:, rank]]))
            columns.append((f"probability_{rank + 1}", shares[:, rank]))
    return columns + [(f"p_{name}", p[:, k]) for k, name in enumerate(names)] * proba
