"""Backbones: nothing is extracted twice, damage is noticed, other names are other caches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.backbones import Backbone

TEXTS = ["one", "two words", "", "ünïcode"]


def lengths(texts):
    return np.array([[len(t), t.count(" ")] for t in texts], np.float32)


def test_only_new_items_are_extracted(tmp_path):
    first = Backbone(lengths, "lengths 1", tmp_path, batch_items=2)
    done = []
    found = first([*TEXTS, "one"], progress=lambda *counts: done.append(counts))
    np.testing.assert_array_equal(found, lengths([*TEXTS, "one"]))
    assert first.n_extracted == 4  # "one" once
    assert done == [(3, 5), (5, 5)]
    again = Backbone(lengths, "lengths 1", tmp_path)
    np.testing.assert_array_equal(again(["new", *reversed(TEXTS)])[1:], found[3::-1])
    assert again.n_extracted == 1
    other = Backbone(lambda texts: lengths(texts) + 1, "lengths 2", tmp_path)
    np.testing.assert_array_equal(other(TEXTS), found[:4] + 1)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_damaged_files_are_computed_anew(tmp_path, damage):
    Backbone(lengths, "n", tmp_path)(TEXTS)
    files = sorted(tmp_path.rglob("*.npy"))
    assert len(files) == 4
    content = bytearray(files[0].read_bytes())
    if damage == "flip":
        content[-40] ^= 1
    damaged = {"cut": content[:-5], "flip": content, "empty": b"", "foreign": b"hello" * 20}
    files[0].write_bytes(bytes(damaged[damage]))
    backbone = Backbone(lengths, "n", tmp_path)
    np.testing.assert_array_equal(backbone(TEXTS), lengths(TEXTS))
    assert backbone.n_extracted == 1
    assert Backbone(lengths, "n", tmp_path)(TEXTS).shape == (4, 2)
    assert sorted(tmp_path.rglob("*.npy")) == files  # repaired; nothing temporary is left


def test_files_are_plain_npy(tmp_path):
    """Other programs can read them: what follows the array is ignored."""
    Backbone(lengths, "n", tmp_path)(["abc"])
    (file,) = tmp_path.rglob("*.npy")
    with file.open("rb") as opened:
        assert np.load(opened, allow_pickle=False).tolist() == [3, 0]


def test_images_as_items():
    images = np.random.default_rng(0).normal(size=(5, 4, 4)).astype(np.float32)
    means = Backbone(lambda batch: np.stack(batch).mean(axis=2), "means")
    np.testing.assert_array_equal(means(images), images.mean(axis=2))


def n_extracted(items, name="zeros", cache=None):
    """How many of the items a fresh backbone takes for different."""
    backbone = Backbone(lambda batch: np.zeros((len(batch), 1)), name, cache)
    backbone(items)
    return backbone.n_extracted


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.text(), st.binary()), min_size=2, max_size=2, unique=True))
def test_different_items_are_told_apart(items):
    assert n_extracted(items) == 2


def test_kinds_and_shapes_are_told_apart(tmp_path):
    array = np.arange(4, dtype=np.float32)
    items = ["ab", b"ab", array, array.reshape(2, 2), array.astype(np.float64), array.astype(int)]
    assert n_extracted(items) == len(items)
    assert n_extracted([array, array.astype(">f4")]) == 1
    assert n_extracted(["bc"], "a", tmp_path) == n_extracted(["c"], "ab", tmp_path) == 1


@pytest.mark.parametrize(
    ("extract", "items", "error", "message"),
    [
        (lengths, [], ValueError, "no items"),
        (lengths, [object()], TypeError, "text, bytes or numeric"),
        (lambda t: np.ones(len(t)), TEXTS, ValueError, r"shape \(4, features\)"),
        (lambda t: np.ones((1, 2)), TEXTS, ValueError, "for 4 items"),
        (lambda t: np.full((len(t), 2), np.nan), TEXTS, ValueError, "NaN or infinity"),
        (lambda t: np.ones((len(t), 2), int), TEXTS, ValueError, "must return floats"),
        ("encoder", TEXTS, TypeError, "pass a function"),
    ],
)
def test_bad_input(extract, items, error, message):
    with pytest.raises(error, match=message):
        Backbone(extract, "n")(items)


def test_a_new_version_under_an_old_name(tmp_path):
    Backbone(lengths, "n", tmp_path)(["a"])
    wider = Backbone(lambda t: np.ones((len(t), 3), np.float32), "n", tmp_path)
    with pytest.raises(ValueError, match="needs a new name"):
        wider(["a", "b"])
