"""`jaxmlp predict`."""

import csv
import io
import sys
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer

import jaxmlp
from jaxmlp.cli.problem import DATA_SETS, find_data_dir
from jaxmlp.cli.run_folder import load_run
from jaxmlp.data import load_digits, load_idx
from jaxmlp.data.arrays import check_matrix
from jaxmlp.losses import get_loss
from jaxmlp.transfer import Model
from jaxmlp.transfer.files import write_atomically

BLOCK_ROWS = 8192


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
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with the IDX files.", envvar="JAXMLP_DATA_DIR"),
    ] = None,
) -> None:
    """Predict with a trained network: one line for each row of the data.

    The features go in as they are: the model brings its own standardization.

        jaxmlp predict runs/digits-1 new_digits.csv --out predictions.csv
    """  # fmt: skip
    with jax.enable_x64(True):  # the model may be one in float64; one in float32 stays that
        model = load_run(run)
        x = read_features(data, data_dir, model.feature_names, model.config.layer_sizes[0])
        text = predictions_csv(model, predict_outputs(model, x), proba)
    if out is None:
        sys.stdout.write(text)
        return
    write_atomically(out, text.encode())
    print(f"wrote {len(x)} predictions to {out}", file=sys.stderr)


def read_features(
    data: str, data_dir: Path | None, names: tuple[str, ...] | None, n_features: int
) -> np.ndarray:
    """Read the features to predict from.

    Args:
        data: a file, or the name of a data set (its test part).
        data_dir: for MNIST and Fashion-MNIST.
        names: of the model's features; a CSV with these columns may have others besides.
        n_features: how many the model takes.

    Returns:
        (rows, n_features), finite.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, or does not hold what the model takes.
    """
    if data in DATA_SETS:
        x = (
            load_digits().x
            if data == "digits"
            else load_idx(find_data_dir(data, data_dir), data)[1].x
        )
    else:
        path = Path(data)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path} (nor a data set of that name).")
        readers = {".csv": _read_csv, ".npy": _read_npy, ".npz": _read_npz}
        if path.suffix.lower() not in readers:
            raise ValueError(f"{path} is no .csv, .npy or .npz file; convert it to one of these.")
        x = readers[path.suffix.lower()](path, names)
    x = check_matrix(data, x, names)
    if x.shape[1] != n_features:
        raise ValueError(
            f"{data} has {x.shape[1]} columns, but the model takes {n_features} features."
        )
    return x


def _read_csv(path: Path, names: tuple[str, ...] | None) -> np.ndarray:
    import pandas as pd

    try:
        table = pd.read_csv(path)
        if _is_number(table.columns[0]):  # no heading: the first line is data
            table = pd.read_csv(path, header=None)
        elif names is not None and len(set(names) & set(table.columns)) > 0:
            missing = [name for name in names if name not in table.columns]
            if missing:
                raise ValueError(
                    f"{path} lacks the column {missing[0]!r} (and {len(missing) - 1} more)."
                )
            table = table[list(names)]
        return table.to_numpy()
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as CSV: {str(error).strip()}.") from error


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True


def _read_npy(path: Path, names: tuple[str, ...] | None) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a numpy file: {error}") from error


def _read_npz(path: Path, names: tuple[str, ...] | None) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "x" not in arrays and len(arrays.files) != 1:
                raise ValueError(f"it holds {', '.join(arrays.files)}; name the features x")
            return arrays["x" if "x" in arrays else arrays.files[0]]
    except Exception as error:  # zip files fail in many ways
        raise ValueError(f"{path} cannot be read as a numpy file: {error}.") from error


def predict_outputs(model: Model, x: np.ndarray) -> np.ndarray:
    """Return the linked outputs (probabilities, for classes), (rows, n_out), block by block."""
    if model.preprocessing is not None:
        warning = model.preprocessing.foreign_range(x)
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
        x = model.preprocessing.transform(x)
    link, call = get_loss(model.loss).link, jax.jit(jaxmlp.predict)
    blocks = []
    for start in range(0, len(x), BLOCK_ROWS):
        outputs = call(model.config, model.params, x[start : start + BLOCK_ROWS], state=model.state)
        blocks.append(np.asarray(link(outputs)))
    return np.concatenate(blocks)


def predictions_csv(model: Model, outputs: np.ndarray, proba: bool) -> str:
    """Format predictions: the row (from 0), the class or value, and the probabilities if wanted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if model.class_names is None:
        names = (
            ["prediction"]
            if outputs.shape[1] == 1
            else [f"prediction_{k}" for k in range(outputs.shape[1])]
        )
        writer.writerow(["row", *names])
        writer.writerows([i, *map(_short, row)] for i, row in enumerate(outputs))
        return text.getvalue()
    extra = [f"p_{name}" for name in model.class_names] if proba else []
    writer.writerow(["row", "prediction", *extra])
    for i, row in enumerate(outputs):
        shares = [_short(p) for p in row] if proba else []
        writer.writerow([i, model.class_names[int(row.argmax())], *shares])
    return text.getvalue()


def _short(value: float) -> str:
    return f"{value:.6g}"
