"""The numbers of levels, against scikit-learn's; and what is kept of them."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OrdinalEncoder

from jaxmlp.data.tables.categories import LevelEncoder
from jaxmlp.data.tables.encoding import read_encoder
from jaxmlp.data.tables.schema import Column

TOWNS = pd.Series(["Ulm", "Bonn", "Ulm", "Köln", "Bonn", "Ulm", "Köln", "Aach"])


def fitted(series, max_levels=100, min_count=1):
    return LevelEncoder.fit(Column("town", "category"), series, max_levels, min_count)


def test_levels_are_numbered_as_scikit_learn_numbers_them():
    theirs = OrdinalEncoder().fit_transform(TOWNS.to_frame()) + 1
    np.testing.assert_array_equal(fitted(TOWNS).encode(TOWNS), theirs)


def test_unknown_levels_are_0_without_a_pool():
    encoder = fitted(TOWNS)
    assert encoder.levels == ("Aach", "Bonn", "Köln", "Ulm")
    assert encoder.n_levels == 5
    new = pd.Series(["Ulm", "Paris", None])
    assert encoder.encode(new)[:, 0].tolist() == [4.0, 0.0, 0.0]
    assert "Paris" in encoder.remarks(new)[0]


def test_rare_and_missing_levels_have_numbers_of_their_own():
    encoder = fitted(pd.concat([TOWNS, pd.Series([None])], ignore_index=True), min_count=2)
    assert encoder.levels == ("Bonn", "Köln", "Ulm", "(rare)", "(missing)")
    new = pd.Series(["Bonn", "Aach", "Paris", None])
    assert encoder.encode(new)[:, 0].tolist() == [1.0, 4.0, 4.0, 5.0]


def test_every_number_is_below_the_number_of_levels():
    rng = np.random.default_rng(0)
    series = pd.Series(rng.choice([f"level {k}" for k in range(40)], 300))
    for max_levels, min_count in ((100, 1), (7, 1), (100, 9)):
        encoder = fitted(series, max_levels, min_count)
        numbers = encoder.encode(pd.concat([series, pd.Series(["new", None])], ignore_index=True))
        assert numbers.min() >= 0
        assert numbers.max() < encoder.n_levels
        assert np.all(numbers == np.round(numbers))
        assert numbers.shape == (302, 1)


@pytest.mark.parametrize("min_count", [1, 2])
def test_it_comes_back_from_its_file(min_count):
    encoder = fitted(TOWNS, min_count=min_count)
    kept = json.loads(json.dumps(encoder.to_dict()))
    again = read_encoder(kept)
    assert again == encoder
    assert again.kind == kept["kind"] == "level"
    new = pd.Series(["Ulm", "Aach", "Paris", None])
    np.testing.assert_array_equal(again.encode(new), encoder.encode(new))
