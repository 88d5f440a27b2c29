"""`jaxmlp.load(run).predict(df)` is `jaxmlp predict`."""

import io

import jax
import numpy as np
import pandas as pd
import pytest

import jaxmlp
from jaxmlp.cli.main import run

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on a table of classes and on one of amounts, and rows to predict."""
    folder = tmp_path_factory.mktemp("runs")
    size, kind = RNG.normal(50, 10, 120), RNG.choice(["a", "b", "c"], 120)
    table = pd.DataFrame({"size": size, "kind": kind})
    table["sort"] = np.where(size + 10 * (kind == "a") > 55, "large", "small")
    table["price"] = 3e4 * size
    table.to_csv(folder / "table.csv", index=False)
    common = ["train", str(folder / "table.csv"), "--epochs", "3", "--layers", "8", "--quiet"]
    for target, other in (("sort", "price"), ("price", "sort")):
        out = ["--out", str(folder / target)]
        with jax.numpy_dtype_promotion("standard"):  # for optax's schedules
            assert not run([*common, "--target", target, "--drop", other, *out])
    return folder, table[["kind", "size"]].iloc[:20]


def commanded(folder, target, rows, capsys, *options):
    rows.to_csv(folder / "rows.csv", index=False)
    capsys.readouterr()
    assert not run(["predict", str(folder / target), str(folder / "rows.csv"), *options])
    return pd.read_csv(io.StringIO(capsys.readouterr().out))


def test_classes(runs, capsys):
    folder, rows = runs
    model = jaxmlp.load(folder / "sort")
    expected = commanded(folder, "sort", rows, capsys, "--proba")
    assert model.predict(rows).tolist() == expected["prediction"].tolist()
    probabilities = model.predict_proba(rows)
    names = [f"p_{name}" for name in model.class_names]
    np.testing.assert_allclose(probabilities, expected[names].to_numpy(), rtol=1e-6)


def test_numbers(runs, capsys):
    folder, rows = runs
    model = jaxmlp.load(folder / "price" / "model.safetensors")
    expected = commanded(folder, "price", rows, capsys)["prediction"]
    np.testing.assert_array_equal(model.predict(rows).astype(np.float32), expected.astype("f4"))
    with pytest.raises(ValueError, match="predicts numbers; use predict"):
        model.predict_proba(rows)


def test_what_may_be_a_mistake_is_a_warning(runs):
    folder, rows = runs
    with pytest.warns(UserWarning, match="zebra"):
        jaxmlp.load(folder / "sort").predict(rows.assign(kind="zebra"))


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="is it a folder that train wrote"):
        jaxmlp.load(tmp_path)
