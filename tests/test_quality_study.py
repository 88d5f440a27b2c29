"""The study of quality: every method gets the same rows and inputs, and the verdict is right."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks.quality import METHODS, summarize
from benchmarks.quality_data import load_frame, make_split


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_a_split(name):
    frame = load_frame(name, Path("nowhere"))
    split = make_split(name, frame, 0, 100)
    parts = (split.prepared.train, split.prepared.validation, split.prepared.test)
    assert len(parts[0].x) + len(parts[1].x) == 100
    assert len(parts[2].x) == len(split.truth) == round(0.2 * len(frame))
    x, y = split.rest
    np.testing.assert_array_equal(x, np.concatenate([parts[0].x, parts[1].x]))
    raw_x, raw_y, raw_test = split.raw
    assert len(raw_x) == len(raw_y) == 100
    rows = {tuple(np.round(row, 4)) for row in frame.drop(columns="target").to_numpy(float)}
    if name == "wine":  # without scaling, the rows are the file's
        assert {tuple(np.round(row, 4)) for row in raw_test} <= rows
        expected = LogisticRegression(max_iter=1000).fit(x, y).score(parts[2].x, split.truth)
        assert METHODS["linear"](split, 0) == expected
    else:
        in_units = split.prepared.target_transform.inverse_transform(parts[2].y[:, None])[:, 0]
        np.testing.assert_allclose(in_units, split.truth, rtol=1e-5)


def test_the_verdict():
    peer = "sklearn MLP"
    scores = {
        "a": {"jaxmlp": {"0": 0.9, "1": 0.92}, peer: {"0": 0.8, "1": 0.82}},
        "b": {"jaxmlp": {"0": 0.80, "1": 0.82}, peer: {"0": 0.81, "1": 0.83}},
        "c": {"jaxmlp": {"0": 9.0, "1": 9.1}, peer: {"0": 8.0, "1": 8.1}},
    }
    rows, verdict = summarize(scores)
    assert verdict["ahead of sklearn MLP"] == ["a"]
    assert verdict["behind sklearn MLP"] == ["c"]
    assert rows[0]["jaxmlp"] == "91.00 ± 1.41"
