"""Tables whose columns have units: numpy reads them as training does, C and ONNX take numbers."""

import runpy
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxmlp
from benchmarks.interchange import GCC
from jaxmlp import interchange
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables.schema import Column
from jaxmlp.models import Model, infer, prepare

pd = pytest.importorskip("pandas")

N = 60
WAYS = np.linspace(3.0, 70.0, N)
TRAINING = {
    "economy": [f"{way:.1f} kmpl" for way in WAYS[:-2]] + ["", "?"],
    "engine": [f"{1000 + 7 * k:,} CC" for k in range(N)],
    "price": [f"${way:.2f}" for way in WAYS],
    "kraft": [f"{way:.1f} PS".replace(".", ",") for way in WAYS],
    "plain": [f"{way:.3f}" for way in WAYS],
}
ODD = {
    "economy": (
        "12.3 kmpl", "12.3kmpl", "12.3 KMPL", "12.3", "12.3 km/kg", "1e2", "1e2 kmpl", "1e2 mi",
        "(5) kmpl", "-4 kmpl", "kmpl", "12 34 kmpl", "k", "5k", "5k kmpl", "many", "", None, 7.5,
        float("nan"), "1" * 70 + " kmpl", "inf kmpl", "1e400 kmpl", "  9.5 kmpl ", "NA", "9 kmpl.",
    ),
    "engine": ("1,298 CC", "998 cc", "1.2 l", "1298", "1 298 CC", "1,298 ccs", "-1 CC", "2M CC"),
    "price": ("$5", "-$5", "$-5", "5 $", "€5", "5", "$5k", "US$ 5", "5 dollars", "$1,234.5", "12%"),
    "kraft": ("1,5 PS", "1.500 PS", "1,5", "1,5 kW", "1,5e2", "1,5e2 PS", "7 ps", "2 PSs"),
    "plain": ("1", "1 km", "12%", "$5", "x"),
}  # fmt: skip


def unit_model(**options):
    """A network of random weights behind the columns with units."""
    kraft = {"kraft": Column("kraft", "number", ",", unit="PS")}
    return model_of(TablePreprocessor.fit(TRAINING, columns=kraft, **options))


def model_of(fitted):
    config = jaxmlp.MLPConfig((fitted.n_features, 8, 1), "silu")
    params = jaxmlp.init(config, jax.random.key(1))
    names = fitted.column_names
    return Model(
        config, params, preprocessing=fitted, feature_names=names, loss="squared_error"
    )  # fmt: skip


def odd_rows():
    """Columns of equal length: every odd cell of each, and ordinary ones below."""
    n = max(map(len, ODD.values()))
    return {name: [*cells, *TRAINING[name][: n - len(cells)]] for name, cells in ODD.items()}


def test_the_columns_have_units():
    units = {encoder.name: encoder.unit for encoder in unit_model().preprocessing.encoders}
    assert units == {"economy": "kmpl", "engine": "CC", "price": "$", "kraft": "PS", "plain": ""}


@pytest.mark.parametrize("scaling", ["robust", "quantile", "standard"])
def test_the_predictor_reads_units_as_training_did(tmp_path, scaling):
    model = unit_model(scaling=scaling, missing=("-4 kmpl",))
    interchange.to_numpy(model, tmp_path / "predictor.py")
    program, columns = runpy.run_path(str(tmp_path / "predictor.py")), odd_rows()
    wanted = model.preprocessing.transform(pd.DataFrame(columns))
    assert (wanted.std(axis=0) > 0).all()
    np.testing.assert_allclose(program["encode"](columns), wanted, rtol=1e-5, atol=2e-6)
    answers = infer(model, prepare(model, pd.DataFrame(columns)))
    np.testing.assert_allclose(program["predict"](columns), answers, rtol=1e-5, atol=1e-5)


def test_another_unit_is_missing_and_none_is_the_columns_own(tmp_path):
    interchange.to_numpy(unit_model(), tmp_path / "predictor.py")
    encode = runpy.run_path(str(tmp_path / "predictor.py"))["encode"]
    cells = ["9 kmpl", "9", "9 mpg", ""]
    rows = encode({name: TRAINING[name][:4] for name in TRAINING} | {"economy": cells})[:, :2]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[2:], [[0.0, 1.0], [0.0, 1.0]])
    assert rows[0, 1] == 0.0 != rows[0, 0]


def test_the_program_checks_itself_and_reads_a_file(tmp_path):
    model = unit_model()
    interchange.to_numpy(model, tmp_path / "predictor.py")
    table = pd.DataFrame(TRAINING)
    table.to_csv(tmp_path / "cars.csv", index=False)
    said = [
        subprocess.run(
            [sys.executable, "predictor.py", *arguments], cwd=tmp_path, capture_output=True,
            text=True, check=True,
        ).stdout
        for arguments in ([], ["cars.csv"])
    ]  # fmt: skip
    assert said[0].startswith("self-check passed")
    printed = np.array([float(line) for line in said[1].split()])
    np.testing.assert_allclose(printed, infer(model, prepare(model, table)).ravel(), rtol=1e-4)


GIVEN = {
    "economy": [*np.round(WAYS[:-2], 1), np.nan, np.nan],
    "engine": 1000.0 + 7 * np.arange(N),
    "price": np.round(WAYS, 2),
    "plain": np.round(WAYS, 3),
}  # the numbers that TRAINING writes with their units


def given_model(**options):
    """A network behind the columns of GIVEN, and its answers to TRAINING."""
    training = {name: TRAINING[name] for name in GIVEN}
    model = model_of(TablePreprocessor.fit(training, **options))
    return model, infer(model, prepare(model, pd.DataFrame(training))).ravel()


@pytest.mark.parametrize("scaling", ["robust", "quantile"])
def test_the_onnx_graph_takes_numbers_in_the_columns_unit(scaling):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, answers = given_model(scaling=scaling)
    session = onnxruntime.InferenceSession(interchange.to_onnx(model).SerializeToString())
    given = {name: np.asarray(numbers) for name, numbers in GIVEN.items()}
    got = session.run(["predictions"], given)[0].ravel()
    np.testing.assert_allclose(got, answers, rtol=1e-5, atol=1e-5)
    said = session.get_modelmeta().custom_metadata_map["inputs"]
    assert '"economy": "number in kmpl, NaN if missing"' in said
    assert '"plain": "number, NaN if missing"' in said


C_ROWS = """
#include <stdio.h>
#include "net.h"
int main(void)
{
    double cells[4];
    while (fread(cells, sizeof cells, 1, stdin) == 1) {
        const net_row row = {cells[0], cells[1], cells[2], cells[3]};
        float y[NET_OUTPUTS];
        net_predict_row(&row, y);
        fwrite(y, sizeof y, 1, stdout);
    }
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_the_c_struct_takes_numbers_in_the_columns_unit(tmp_path):
    model, answers = given_model()
    header = interchange.to_c(model, tmp_path / "net.h")
    for name, unit in (("economy", " in kmpl"), ("price", " in $"), ("plain", "")):
        assert f"double {name};  /* {name}: number{unit} */" in header
    (tmp_path / "rows.c").write_text(C_ROWS)
    for program, source in (("check", ["-DNET_CHECK", "-x", "c", "net.h"]), ("rows", ["rows.c"])):
        subprocess.run([*GCC, *source, "-o", program, "-lm"], cwd=tmp_path, check=True)
    said = subprocess.run(tmp_path / "check", capture_output=True, check=True).stdout
    assert said.startswith(b"self-check passed")
    rows = np.stack(list(GIVEN.values()), axis=1)
    found = subprocess.run(tmp_path / "rows", input=rows.tobytes(), capture_output=True, check=True)
    got = np.frombuffer(found.stdout, np.float32)
    np.testing.assert_allclose(got, answers, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_a_unit_behind_a_decimal_comma_is_a_number_in_c(tmp_path):
    assert "double kraft;  /* kraft: number in PS */" in interchange.to_c(
        unit_model(), tmp_path / "net.h"
    )
    built = [*GCC, "-DNET_CHECK", "-x", "c", "net.h", "-o", "check", "-lm"]
    subprocess.run(built, cwd=tmp_path, check=True)
    said = subprocess.run(tmp_path / "check", capture_output=True, check=True).stdout
    assert said.startswith(b"self-check passed")
