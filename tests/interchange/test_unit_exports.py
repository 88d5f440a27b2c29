"""Tables whose columns have units: the predictor of numpy reads them as training does."""

import runpy
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxmlp
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
    fitted = TablePreprocessor.fit(TRAINING, columns=kraft, **options)
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


@pytest.mark.parametrize(("to", "name"), [("to_c", "C"), ("to_onnx", "ONNX")])
def test_other_exports_refuse_units(tmp_path, to, name):
    if name == "ONNX":
        pytest.importorskip("onnx")
    sentence = f"column 'economy' has numbers in 'kmpl', which the export to {name} cannot read"
    with pytest.raises(ValueError, match=sentence):
        getattr(interchange, to)(unit_model(), tmp_path / "net.h")
    assert list(tmp_path.iterdir()) == []
