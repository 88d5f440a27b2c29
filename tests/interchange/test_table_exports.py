"""Models of tables as ONNX, numpy and C: from raw cells to what the model itself answers."""

import datetime
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from table_cells import (
    ANY_CELLS,
    COLUMNS,
    KINDS,
    NUMBER_LEVELS,
    ODD,
    ORDERS,
    RNG,
    TRAINING,
    N,
    pd,
    rows_of,
)

import jaxmlp
from benchmarks.interchange import GCC
from jaxmlp import interchange, tabular_network
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.bins import piecewise_bins
from jaxmlp.data.tables.dates import to_days
from jaxmlp.data.tables.reading import read_table
from jaxmlp.data.tables.values import to_numbers
from jaxmlp.interchange import cells as own_cells
from jaxmlp.interchange.c_text import c_string
from jaxmlp.interchange.table_plan import Days, Numbers, table_plan
from jaxmlp.models import Model, infer, prepare


def model_of(training, regression=False, recipe=False, **options):
    """A network of random weights behind a preprocessing that was fitted."""
    fitted = TablePreprocessor.fit(training, **options)
    n_out = 1 if regression else 3
    config = jaxmlp.MLPConfig((fitted.n_features, 16, n_out), "silu")
    params = jaxmlp.init(config, jax.random.key(1))
    if recipe:
        config = with_input_side(fitted, n_out)
        numbers = list(config.front.numbers)
        bins = piecewise_bins(fitted.transform(training)[:, numbers], config.front.bins)
        params = tabular_network.init(config, jax.random.key(1), bins=bins)
    said = {"loss": "squared_error"} if regression else {"class_names": ("no", "yes", "perhaps")}
    return Model(config, params, preprocessing=fitted, feature_names=fitted.column_names, **said)


def with_input_side(fitted, n_out):
    """A config of two members with embeddings of numbers and levels."""
    numbers, levels, column = [], [], 0
    for encoder in fitted.encoders:
        numbers += range(column, column + encoder.n_numbers)
        levels += [(column, encoder.n_levels)] * bool(encoder.n_levels)
        column += len(encoder.feature_names)
    front = jaxmlp.FrontConfig(column, numbers, levels, "piecewise", bins=8, members=2)
    return jaxmlp.TabularConfig(front, jaxmlp.MLPConfig((front.n_out, 16, n_out)), "softmax")


def answers(model, data):
    return np.asarray(infer(model, prepare(model, pd.DataFrame(data))))


MISSING = ("-999", "unknown")
MODELS = {
    "robust": model_of(TRAINING, columns=COLUMNS, missing=MISSING),
    "quantile": model_of(TRAINING, True, columns=COLUMNS, scaling="quantile"),
    "standard": model_of(TRAINING, columns=COLUMNS, scaling="standard", missing=("Überall",)),
    "input side": model_of(TRAINING, recipe=True, columns=COLUMNS, max_one_hot=4),
    "numbers of levels": model_of(TRAINING, columns=COLUMNS, max_one_hot=4),
}


def assert_equal(model, columns, predictions, encoded=None):
    np.testing.assert_allclose(predictions, answers(model, columns), rtol=1e-5, atol=1e-5)
    if encoded is not None:
        wanted = model.preprocessing.transform(pd.DataFrame(columns))
        np.testing.assert_allclose(encoded, wanted, rtol=1e-5, atol=2e-6)


def predictor(folder, model):
    interchange.to_numpy(model, folder / "predictor.py")
    return runpy.run_path(str(folder / "predictor.py"))


def test_the_columns_are_of_every_kind():
    fitted = MODELS["robust"].preprocessing
    assert tuple(encoder.kind for encoder in fitted.encoders) == KINDS
    encoded = fitted.transform(pd.DataFrame(rows_of(ODD)))
    assert (encoded.std(axis=0) > 0).all()
    kinds = {encoder.kind for encoder in MODELS["numbers of levels"].preprocessing.encoders}
    assert "level" in kinds


@pytest.mark.parametrize("case", MODELS)
def test_numpy(tmp_path, case):
    model, columns = MODELS[case], rows_of({**ODD, "room": ODD["room"] + NUMBER_LEVELS})
    program = predictor(tmp_path, model)
    assert_equal(model, columns, program["predict"](columns), program["encode"](columns))
    if model.class_names:
        likeliest = answers(model, columns).argmax(axis=1)
        assert program["predict_label"](columns) == [model.class_names[k] for k in likeliest]


def test_numpy_takes_rows_and_typed_columns(tmp_path):
    model, program = MODELS["robust"], predictor(tmp_path, MODELS["robust"])
    columns = rows_of(ODD)
    rows = list(zip(*columns.values(), strict=True))  # the column that is not used included
    assert_equal(model, columns, program["predict"](rows))
    typed = {
        **columns,
        "amount": np.append(RNG.normal(50, 9, N - 2), [np.nan, -999.0]),
        "room": RNG.choice([1.0, 2.0, 3.5, np.nan], N),
        "flag": RNG.choice([True, False], N),
        "born": pd.Series(pd.date_range("2020-01-01 03:00", periods=N, freq="31h")),
        "logits": RNG.integers(0, 90, N),
        "one more": [0] * N,
    }
    assert_equal(model, typed, program["predict"](dict(reversed(typed.items()))))
    assert_equal(model, typed, program["predict"](pd.DataFrame(typed)))
    cell = datetime.datetime(2020, 3, 4, 5, 6)
    one = {name: [cells[-1]] for name, cells in columns.items()} | {"born": [cell]}
    assert_equal(model, one, program["predict"](one))
    assert program["predict"]({name: [] for name in columns}).shape == (0, 3)
    with pytest.raises(ValueError, match="the data lack the column 'amount'"):
        program["predict"]({"weight": [1.0]})
    with pytest.raises(ValueError, match="every row must have the 18 cells amount, weight, preis"):
        program["predict"]([["1", "2"]])


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def test_numpy_program_by_itself(tmp_path):
    """Without jaxmlp, JAX and pandas: its own check, and CSV files."""
    model, path = MODELS["robust"], tmp_path / "p.py"
    model = model._replace(extra={"reading": {"delimiter": ";"}})
    interchange.to_numpy(model, path)
    assert not re.search(r"^(import|from) (jax|pandas|scipy)", path.read_text(), re.MULTILINE)
    python = (sys.executable, "-I", path)
    assert run(*python).stdout.startswith("self-check passed: logits agree to ")
    frame = pd.DataFrame(rows_of(ODD)).fillna("")
    labels = [model.class_names[k] for k in answers(model, frame).argmax(axis=1)]
    for header in (True, False):
        frame.to_csv(tmp_path / "x.csv", sep=";", index=False, header=header)
        assert run(*python, tmp_path / "x.csv").stdout.split() == labels
    frame[["weight", "town"]].to_csv(tmp_path / "x.csv", sep=";", index=False)
    done = run(*python, tmp_path / "x.csv")
    assert done.returncode == 1
    assert "lacks the column 'amount'" in done.stderr
    assert "Traceback" not in done.stderr


needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
C_DRIVER = """
#include <stdio.h>
#include "net.h"
static const char *const cells[][COLUMNS] = {
CELLS
};
int main(void)
{
    float x[NET_INPUTS], y[NET_OUTPUTS];
    for (unsigned i = 0; i < sizeof cells / sizeof *cells; ++i) {
        net_row row;
FILL
        net_encode(&row, x);
        net_predict_row(&row, y);
        fwrite(x, sizeof x, 1, stdout);
        fwrite(y, sizeof y, 1, stdout);
    }
    return 0;
}
"""


def c_texts(rows):
    return ",\n".join(
        "{" + ", ".join("0" if pd.isna(cell) else c_string(cell) for cell in row) + "}"
        for row in rows
    )


def compiled(folder, program, *arguments):
    """What a program says, that compiles without a warning."""
    built = run(*GCC, *arguments, "-I", folder, "-o", folder / program, "-lm")
    assert (built.returncode, built.stderr) == (0, "")
    return subprocess.run(folder / program, capture_output=True, check=True).stdout


def run_c(folder, model, columns):
    """Predictions of the header, whose texts are the cells as they are, and encoded rows."""
    header = interchange.to_c(model, folder / "net.h")
    struct = header[header.index("typedef struct {") : header.index("} net_row;")]
    fields = re.findall(r"    (double |const char \*)(\w+);  /\* .*? \*/\n", struct)
    names = model.preprocessing.column_names
    assert len(fields) == len(names)
    fill = []
    for k, (kind, field) in enumerate(fields):
        cell = f"cells[i][{k}]"
        fill.append(f"row.{field} = {f'net_number({cell}, 46)' if 'double' in kind else cell};")
    texts = c_texts(zip(*(columns[name] for name in names), strict=True))
    source = C_DRIVER.replace("FILL", "\n".join(fill)).replace("CELLS", texts)
    (folder / "driver.c").write_text(source.replace("COLUMNS", str(len(names))))
    checked = compiled(folder, "check", "-DNET_CHECK", "-x", "c", folder / "net.h")
    assert checked.startswith(b"self-check passed")
    got = np.frombuffer(compiled(folder, "driver", folder / "driver.c"), np.float32)
    got = got.reshape(len(columns[names[0]]), -1)
    return got[:, model.preprocessing.n_features :], got[:, : model.preprocessing.n_features]


@needs_gcc
@pytest.mark.parametrize("case", MODELS)
def test_c(tmp_path, case):
    model, columns = MODELS[case], rows_of({**ODD, "room": ODD["room"] + NUMBER_LEVELS})
    assert_equal(model, columns, *run_c(tmp_path, model, columns))
    header = (tmp_path / "net.h").read_text()
    assert re.findall(r"#include (\S+)", header.split("#ifdef NET_CHECK")[0]) == ["<math.h>"]
    assert not re.search(r"\b(malloc|strtod|strlen|memcpy)\b|PREFIX|@", header)


def test_c_writes_only_what_is_needed(tmp_path):
    header = interchange.to_c(model_of({"town": ["A", "B", "C", "A"]}), tmp_path / "net.h")
    assert not re.search("net_(days|parse|number|given|scaled|rank|cycle|folds)", header)


def onnx_inputs(model, columns):
    """What the graph takes: numbers and dates as numbers, words without the space around them."""
    given = {}
    for column in table_plan(model.preprocessing).columns:
        cells = pd.Series(columns[column.name], dtype=object)
        name = column.name + "_" * (column.name in ("label", "logits"))
        if isinstance(column.reading, Numbers):
            given[name] = to_numbers(cells, column.reading.style)
        elif isinstance(column.reading, Days):
            given[name] = to_days(cells, column.reading.order)
        else:
            given[name] = np.array(["" if pd.isna(c) else c.strip() for c in cells], object)
    return given


@pytest.mark.parametrize("case", MODELS)
def test_onnx(case):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, columns = MODELS[case], rows_of(ODD)
    session = onnxruntime.InferenceSession(interchange.to_onnx(model).SerializeToString())
    for rows in (1, N):
        part = {name: cells[:rows] for name, cells in columns.items()}
        assert_equal(model, part, session.run(["predictions"], onnx_inputs(model, part))[0])
    inputs = onnx_inputs(model, columns)
    inputs["amount"][:3] = np.inf, -np.inf, np.nan
    columns["amount"][:3] = [None] * 3
    assert_equal(model, columns, session.run(["predictions"], inputs)[0])
    said = session.get_modelmeta().custom_metadata_map["inputs"]
    assert '"born": "date: days since 1970-01-01 (UTC)' in said


def read_by_pandas():
    """What the cells say: numbers in both styles, and days in every order."""
    numbers, days = (pd.Series(cells) for cells in zip(*ANY_CELLS, strict=True))
    read = [to_numbers(numbers, "."), to_numbers(numbers, ",")]
    return np.stack(read + [to_days(days, order) for order in ORDERS], axis=1)


def test_any_cell_is_read_alike_by_numpy():
    numbers, days = zip(*ANY_CELLS, strict=True)
    got = [own_cells.read_numbers(numbers, {}, style) for style in (".", ",")]
    got += [own_cells.read_days(days, {}, order) for order in ORDERS]
    wanted = read_by_pandas()
    assert (np.mean(~np.isnan(wanted), axis=0) > 0.1).all()
    np.testing.assert_allclose(np.stack(got, axis=1), wanted, rtol=1e-14, atol=1e-9)


@needs_gcc
def test_any_cell_is_read_alike_by_c(tmp_path):
    interchange.to_c(MODELS["robust"], tmp_path / "net.h")
    reads = ["net_number(cells[i][0], '.')", "net_number(cells[i][0], ',')"]
    reads += [f'net_days(cells[i][1], "{order}")' for order in ORDERS]
    source = f"""
    #include <stdio.h>
    #include "net.h"
    static const char *const cells[][2] = {{{c_texts(ANY_CELLS)}}};
    int main(void)
    {{
        for (unsigned i = 0; i < sizeof cells / sizeof *cells; ++i) {{
            const double v[5] = {{{", ".join(reads)}}};
            fwrite(v, sizeof v, 1, stdout);
        }}
        return 0;
    }}"""
    (tmp_path / "cells.c").write_text(source)
    got = np.frombuffer(compiled(tmp_path, "cells", tmp_path / "cells.c")).reshape(-1, 5)
    np.testing.assert_allclose(got, read_by_pandas(), rtol=1e-14, atol=1e-9)


@pytest.mark.parametrize("to", [interchange.to_numpy, interchange.to_c, interchange.to_onnx])
@pytest.mark.parametrize("other", [{"kind": "smell"}, {"feature_names": ("a",)}])
def test_an_encoder_that_no_export_knows(tmp_path, to, other):
    model = MODELS["robust"]
    first, *others = model.preprocessing.encoders
    unknown = type("Unknown", (type(first),), other)(**vars(first))
    fitted = replace(model.preprocessing, encoders=(unknown, *others))
    with pytest.raises(
        ValueError, match=r"column 'amount' is encoded as .*, in a way that no export"
    ):
        to(model._replace(preprocessing=fitted), tmp_path / "net.h")
    assert list(tmp_path.iterdir()) == []


SAID = ["a red car", "the blue house", "green grass", "red house", "a blue car", "grass"]
TEXTS = [f"{SAID[k % 6]} {SAID[k % 5]} beside {SAID[k % 4]} {'x' * k}" for k in range(60)]


def text_model():
    """A network behind a column of texts and one of numbers."""
    training = {"said": TEXTS, "size": (np.arange(60) % 7 / 3).tolist()}
    model = model_of(training, columns={"said": "text"}, missing=("nothing",))
    assert any(len(e.feature_names) > 2 for e in model.preprocessing.encoders)
    return model


def test_the_predictor_reads_texts_as_scikit_learn_does(tmp_path):
    model = text_model()
    odd = [
        "A RED  Car\t", "", None, "nothing", "?", "\u0130stanbul stra\xdfe", "x", "zz", "q" * 5000,
        "red\nhouse", "  ", "1 car", "ca", "the the the", "c\xa0ar", "gar\xe7on \u4e2d\u6587",
        12, 1.5, float("nan"), "-" * 3, "\u2003blue\u2003",
    ]  # fmt: skip
    columns = {"said": [*odd, *TEXTS], "size": [1.5] * (len(odd) + len(TEXTS))}
    interchange.to_numpy(model, tmp_path / "net.py")
    program = runpy.run_path(str(tmp_path / "net.py"))
    wanted = model.preprocessing.transform(pd.DataFrame(columns))
    np.testing.assert_allclose(program["encode"](columns), wanted, rtol=1e-5, atol=2e-6)
    answers = infer(model, prepare(model, pd.DataFrame(columns)))
    np.testing.assert_allclose(program["predict"](columns), answers, rtol=1e-5, atol=1e-5)
    checked = run(sys.executable, tmp_path / "net.py")
    assert checked.stdout.startswith("self-check passed"), checked.stderr


@pytest.mark.parametrize("to", [interchange.to_c, interchange.to_onnx])
def test_c_and_onnx_refuse_texts(tmp_path, to):
    with pytest.raises(ValueError, match="column 'said' holds texts, which the export to"):
        to(text_model(), tmp_path / "net.h")
    assert list(tmp_path.iterdir()) == []


FOLDER = Path(os.environ.get("JAXMLP_DATA_DIR", "none"))


@needs_gcc
@pytest.mark.slow
@pytest.mark.skipif(not (FOLDER / "tabular").is_dir(), reason="needs JAXMLP_DATA_DIR with tabular/")
@pytest.mark.parametrize(
    ("file", "target"), [("titanic.csv", "Survived"), ("adult.csv.gz", "income")]
)
@pytest.mark.parametrize("recipe", [False, True])
def test_real_tables(tmp_path, file, target, recipe):
    onnxruntime = pytest.importorskip("onnxruntime")
    table = read_table(FOLDER / "tabular" / file).drop(columns=target)
    table = table.drop(columns=["Name", "Ticket", "Cabin"], errors="ignore")  # texts
    model = model_of(table[::2][:5000], recipe=recipe)
    columns = table[1::2][:1000].to_dict("list")
    program = predictor(tmp_path, model)
    assert_equal(model, columns, program["predict"](columns), program["encode"](columns))
    assert_equal(model, columns, *run_c(tmp_path, model, columns))
    session = onnxruntime.InferenceSession(interchange.to_onnx(model).SerializeToString())
    assert_equal(model, columns, session.run(["predictions"], onnx_inputs(model, columns))[0])
