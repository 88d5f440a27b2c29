"""Texts as numbers, against scikit-learn's pipeline; kept in a file without pickle."""

import io
import json

import jax
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import jaxmlp
from jaxmlp.cli.prepared_table import load_table
from jaxmlp.cli.table_options import TableOptions
from jaxmlp.cli.table_summary import show_table
from jaxmlp.data import TablePreprocessor
from jaxmlp.data.tables import infer_columns
from jaxmlp.models import Model

RNG = np.random.default_rng(0)
N = 300
GOOD = ["excellent", "great taste", "lovely", "would buy again", "best ever", "perfect gift"]
BAD = ["broken", "awful smell", "waste of money", "never again", "worst ever", "sent it back"]
FILLER = ["the tea", "my order", "this box", "it was", "and", "for my aunt", "on Monday", "Köln"]


def reviews(n, rng):
    good = rng.random(n) < 0.5
    texts = [
        " ".join(rng.permutation([rng.choice(GOOD if g else BAD), *rng.choice(FILLER, 4)]))
        for g in good
    ]
    return texts, good


TEXTS, IS_GOOD = reviews(N, RNG)
TABLE = pd.DataFrame({"review": TEXTS})


@pytest.fixture(scope="module")
def fitted():
    return TablePreprocessor.fit(TABLE)


def test_texts_that_never_repeat_are_texts_and_single_words_identifiers():
    kinds = {
        name: infer_columns(pd.DataFrame({name: cells}))[name].kind
        for name, cells in {
            "review": TEXTS,
            "uuid": [f"{k:x}-{k * 7919:x}" for k in range(N)],
            "message_id": [f"message {k}" for k in range(N)],
        }.items()
    }
    assert kinds == {"review": "text", "uuid": "drop", "message_id": "drop"}


def test_against_the_pipeline_of_scikit_learn(fitted):
    counter = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=2000
    )
    different = list(dict.fromkeys(TEXTS))
    svd = TruncatedSVD(16, random_state=0)
    z = svd.fit_transform(counter.fit_transform(different))
    center, scale = z.mean(axis=0), z.std(axis=0)
    expected = (svd.transform(counter.transform(TEXTS)) - center) / scale
    expected /= np.hypot(1.0, expected / 3)
    x = fitted.transform(TABLE)
    assert x.shape == (N, 17)
    np.testing.assert_allclose(x[:, :16], expected, atol=2e-3)  # five decimals are kept


def test_numbers_tell_good_from_bad(fitted):
    texts, good = reviews(N, np.random.default_rng(1))
    model = LogisticRegression(max_iter=1000).fit(fitted.transform(TABLE), IS_GOOD)
    assert model.score(fitted.transform({"review": texts}), good) > 0.85


def test_the_training_rows_alone_are_looked_at(tmp_path):
    frame = TABLE.assign(y=np.where(IS_GOOD, "good", "bad"))
    frame.to_csv(tmp_path / "a.csv", index=False)
    prepared = load_table(str(tmp_path / "a.csv"), TableOptions("y"), 0)
    alone = TablePreprocessor.fit(TABLE.iloc[prepared.split.train])
    assert prepared.preprocessing.encoders[0] == alone.encoders[0]
    shown = io.StringIO()
    show_table(Console(file=shown, width=120, highlight=False), prepared)
    assert "text, 16 numbers" in shown.getvalue()


def test_new_rows_after_a_file(fitted, tmp_path):
    text = json.dumps(fitted.to_dict())
    assert len(text) < 500_000
    again = TablePreprocessor.from_dict(json.loads(text))
    assert again == fitted
    new = {"review": ["the tea was great", "", "ξψω", "THE TEA WAS GREAT"]}
    x = again.transform(new)
    np.testing.assert_allclose(x, fitted.transform(new), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(x[1], [0] * 16 + [1])
    np.testing.assert_array_equal(x[0], x[3])
    assert again.remarks(new) == ("review: 'ξψω' like no text in training",)
    config = jaxmlp.MLPConfig((17, 1))
    params = jaxmlp.init(config, jax.random.key(0))
    path = tmp_path / "m.safetensors"
    jaxmlp.save(path, Model(config, params, loss="squared_error", preprocessing=fitted))
    loaded = jaxmlp.load(path).preprocessing
    np.testing.assert_array_equal(loaded.transform(new), x)


@pytest.mark.parametrize("cells", [["x", None] * 20, ["!", "?!", None] * 20, [None, "a b"] * 20])
def test_too_little_text_is_there_or_not(cells):
    fitted = TablePreprocessor.fit({"a": cells}, columns={"a": "text"})
    again = TablePreprocessor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    assert np.isfinite(again.transform({"a": cells})).all()


def test_a_text_of_any_length():
    cells = ["word " * 20_000 + str(k) for k in range(3)] + ["short text", ""] * 5
    assert np.isfinite(
        TablePreprocessor.fit({"a": cells}, columns={"a": "text"}).transform({"a": cells})
    ).all()
