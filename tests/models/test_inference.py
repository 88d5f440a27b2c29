"""Inference: columns by name, blocks of few shapes, streams, and the likeliest classes."""

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.special
from sklearn.preprocessing import StandardScaler

import jaxmlp
from jaxmlp.data import Standardizer
from jaxmlp.models import Model, infer, infer_blocks, prepare, top_k
from jaxmlp.testing import assert_compiles

NAMES = ("a", "b", "c")
RAW = np.random.default_rng(0).normal(3, [1, 10, 0.1], size=(37, 3)).astype(np.float32)


def make_model(loss="softmax_cross_entropy", n_out=4, **settings):
    config = jaxmlp.MLPConfig((3, 8, n_out), **settings)
    params = jaxmlp.init(config, jax.random.key(0))
    classes = None if loss == "squared_error" else tuple("wxyz")[: max(n_out, 2)]
    return Model(config, params, (), loss, Standardizer.fit(RAW), NAMES, classes)


def test_columns_are_found_by_name():
    model = make_model()
    expected = StandardScaler().fit_transform(RAW.astype(np.float64))
    table = pd.DataFrame(RAW, columns=NAMES)
    shuffled = table.assign(target=1)[["c", "target", "a", "b"]]
    foreign = pd.DataFrame(RAW, columns=["x", "y", "z"])
    notes = []
    for data in (RAW, table, shuffled, foreign):
        x = prepare(model, data, notify=notes.append)
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, expected, atol=2e-6)
    assert notes == ["the model does not use the columns target"]
    prepare(model, 1000 * RAW, notify=notes.append)
    assert "check the units" in notes[-1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (RAW[:, :2], "data has 2 columns, but the model takes 3"),
        (pd.DataFrame(RAW[:, :2], columns=["a", "b"]), "lacks the column 'c' of the 3"),
        (pd.DataFrame(RAW[:, :1], columns=["c"]), r"lacks the columns 'a', 'b' \(2 in all\)"),
        (pd.DataFrame(np.ones((2, 4)), columns=["a", "b", "c", "a"]), "column 'a' twice"),
        (pd.DataFrame({"a": [1.0], "b": ["?"], "c": [2.0]}), r"'\?' at row 100, column 'b'"),
        (np.where(np.arange(111).reshape(37, 3) == 4, np.nan, RAW), "NaN at row 101, column 'b'"),
        (RAW[:0], "at least one row"),
        (RAW[0], r"x\[None|one row"),
    ],
)
def test_data_that_do_not_fit(data, message):
    with pytest.raises((TypeError, ValueError), match=message):
        prepare(make_model(), data, first_row=100)


class Tenfold:
    """A preprocessing and a target transform that are not ours."""

    def transform(self, data):
        if "a" not in data:
            raise ValueError("the table lacks the column 'a'")
        return np.stack([data["a"]] * 3, axis=1) * 10.0

    def remarks(self, data):
        return ("level 'x' never seen",)

    def inverse_transform(self, outputs):
        return outputs * 10


def test_another_preprocessing_and_units_of_targets():
    model = make_model("squared_error", n_out=1)._replace(
        preprocessing=Tenfold(), target_transform=Tenfold()
    )
    notes, table = [], pd.DataFrame({"a": [1.0, 2.0]})
    x = prepare(model, table, notify=notes.append)
    assert x.tolist() == [[10.0] * 3, [20.0] * 3]
    assert notes == ["level 'x' never seen"]
    with pytest.raises(ValueError, match=r"new\.csv: the table lacks the column 'a'"):
        prepare(model, pd.DataFrame({"b": [1.0]}), what="new.csv")
    logits = infer(model, x, output="logits")
    np.testing.assert_allclose(infer(model, x), 10 * logits, rtol=1e-6)


def test_outputs_against_scipy_and_any_blocks():
    model = make_model()
    x = prepare(model, RAW)
    logits = np.asarray(jaxmlp.predict(model.config, model.params, x))
    np.testing.assert_allclose(infer(model, x, output="logits"), logits, rtol=1e-6, atol=1e-6)
    p = infer(model, x)
    np.testing.assert_allclose(p, scipy.special.softmax(logits, axis=1), rtol=1e-5)
    stream = (x[start : start + 10] for start in range(0, 37, 10))
    streamed = np.concatenate(list(infer_blocks(model, stream, block_rows=8)))
    np.testing.assert_allclose(streamed, p, rtol=1e-6)
    h = np.maximum(x @ np.asarray(model.params[0].W) + np.asarray(model.params[0].b), 0)
    np.testing.assert_allclose(infer(model, x, output="embeddings"), h, rtol=1e-5, atol=1e-6)


def test_few_shapes_are_compiled():
    model = make_model(activation="elu")  # a program of its own
    with assert_compiles(5, "_compute"):  # 1, 2, 4, 8, 16 rows
        for rows in range(1, 38):
            infer(model, RAW[:rows], block_rows=16)


def test_a_stream_is_not_read_ahead():
    """The first outputs come before the second part is asked for."""
    asked = []

    def parts():
        for number in range(3):
            asked.append(number)
            yield RAW[:5]

    found = infer_blocks(make_model(), parts())
    next(found)
    assert asked == [0]


def test_one_output_makes_two_classes():
    model = make_model("sigmoid_binary_cross_entropy", n_out=1)
    logits = infer(model, RAW, output="logits")
    classes, shares = top_k(infer(model, RAW), 2)
    np.testing.assert_array_equal(classes[:, 0], (logits[:, 0] > 0).astype(int))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(shares[:, 0], scipy.special.expit(np.abs(logits[:, 0])), rtol=1e-5)


def test_ties_and_bounds_of_top_k():
    classes, _ = top_k(np.array([[0.25, 0.5, 0.25]]), 3)
    assert classes.tolist() == [[1, 0, 2]]
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"k is {k}, but there are 3 classes"):
            top_k(np.ones((1, 3)), k)


def test_names_of_outputs():
    with pytest.raises(ValueError, match="Did you mean 'logits'"):
        infer(make_model(), RAW, output="logit")
    with pytest.raises(ValueError, match="x has no rows"):
        infer(make_model(), RAW[:0])
