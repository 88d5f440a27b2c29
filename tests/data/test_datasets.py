"""Digits against scikit-learn; IDX files written here by hand, good and bad; the real sets."""

import gzip
import os
import struct

import numpy as np
import pytest
import sklearn.datasets

from jaxmlp.data import load_digits, load_idx

PIXELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def images(pixels):
    return struct.pack(">IIII", 2051, *pixels.shape) + pixels.tobytes()


def labels(values):
    return struct.pack(">II", 2049, len(values)) + bytes(values)


FILES = {
    "train-images-idx3-ubyte": images(PIXELS),
    "train-labels-idx1-ubyte": labels([9, 0]),
    "t10k-images-idx3-ubyte": images(PIXELS[:1]),
    "t10k-labels-idx1-ubyte": labels([4]),
}


def write(folder, files=FILES, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (name + ".gz" * compress)
        path.write_bytes(gzip.compress(content) if compress else content)
    return folder


def test_digits_are_those_of_scikit_learn():
    data, expected = load_digits(), sklearn.datasets.load_digits()
    np.testing.assert_array_equal(data.x, expected.data)
    np.testing.assert_array_equal(data.y, expected.target)
    assert data.x.dtype == np.float32
    assert data.feature_names == tuple(expected.feature_names)


@pytest.mark.parametrize("compress", [False, True])
def test_idx_files(tmp_path, compress):
    train, test = load_idx(write(tmp_path, compress=compress), "fashion-mnist")
    np.testing.assert_array_equal(train.x, PIXELS.reshape(2, 12) / np.float32(255))
    np.testing.assert_array_equal(test.x, PIXELS[:1].reshape(1, 12) / np.float32(255))
    assert train.x.dtype == np.float32
    assert [train.class_names[label] for label in train.y] == ["Ankle boot", "T-shirt/top"]
    assert test.y.tolist() == [4]
    assert train.feature_names[5] == "pixel_1_1"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "fashion_mnist"),
        ("fashion-mnist", "FashionMNIST/raw"),
    ],
)
def test_parent_folder_serves_as_well(tmp_path, name, folder):
    write(tmp_path / folder)
    assert len(load_idx(tmp_path, name)[0].x) == 2


def truncated_gzip(content):
    return gzip.compress(content)[:-9]


BAD_FILES = {
    "truncated": (
        {"train-images-idx3-ubyte": FILES["train-images-idx3-ubyte"][:-1]},
        "holds 23 bytes of data, but its header promises 24; it is truncated or damaged",
    ),
    "too long": ({"t10k-labels-idx1-ubyte": labels([4]) + b"x"}, "promises 1; it is truncated or"),
    "short header": (
        {"train-labels-idx1-ubyte": labels([])[:6]},
        "train-labels-idx1-ubyte is not an IDX file of 1-dimensional bytes",
    ),
    "empty": ({"train-images-idx3-ubyte": b""}, "it starts with nothing instead of 00000803"),
    "foreign": ({"train-images-idx3-ubyte": b"\x89PNG\r\n"}, "starts with 89504e47 instead of"),
    "swapped": (
        {"train-images-idx3-ubyte": FILES["train-labels-idx1-ubyte"]},
        "it starts with 00000801 instead of 00000803",
    ),
    "counts": ({"train-labels-idx1-ubyte": labels([1])}, "2 images, but"),
    "labels": ({"train-labels-idx1-ubyte": labels([1, 10])}, "holds the label 10, but mnist has"),
    "truncated gzip": (
        {"train-images-idx3-ubyte.gz": truncated_gzip(FILES["train-images-idx3-ubyte"])},
        "train-images-idx3-ubyte.gz is truncated; fetch it again.",
    ),
    "no gzip": ({"train-images-idx3-ubyte.gz": b"plain"}, "is not a valid gzip file: Not a gzipp"),
    "damaged gzip": (
        {"train-images-idx3-ubyte.gz": gzip.compress(bytes(99))[:10] + b"\xff" * 30},
        "is not a valid gzip file: Error -3",
    ),
    "gzip checksum": (
        {"train-images-idx3-ubyte.gz": gzip.compress(bytes(99))[:-8] + bytes(8)},
        "is not a valid gzip file: CRC check failed",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_in_one_sentence(tmp_path, case):
    files, message = BAD_FILES[case]
    write(tmp_path, FILES | files)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        load_idx(tmp_path, "mnist")
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load_idx(tmp_path / "nowhere", "mnist")
    with pytest.raises(FileNotFoundError, match="has no fashion-mnist files: train-images"):
        load_idx(tmp_path, "fashion-mnist")
    write(tmp_path, {name: FILES[name] for name in list(FILES)[:3]})
    with pytest.raises(FileNotFoundError, match=r"neither t10k-labels-idx1-ubyte.gz nor"):
        load_idx(tmp_path, "mnist")


def test_the_other_set_is_not_taken_for_this_one(tmp_path):
    folder = write(tmp_path / "mnist")
    with pytest.raises(ValueError, match="is the folder of mnist, not of fashion-mnist"):
        load_idx(folder, "fashion-mnist")


REAL = {  # published counts and moments of the training pixels
    "mnist": (0.1307, 0.3081, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
    "fashion-mnist": (0.2860, 0.3530, [6000] * 10),
}


@pytest.mark.slow
@pytest.mark.skipif("JAXMLP_DATA_DIR" not in os.environ, reason="needs JAXMLP_DATA_DIR")
@pytest.mark.parametrize("name", REAL)
def test_real_sets(name):
    mean, std, counts = REAL[name]
    train, test = load_idx(os.environ["JAXMLP_DATA_DIR"], name)
    assert train.x.shape == (60000, 784)
    assert test.x.shape == (10000, 784)
    assert np.bincount(train.y).tolist() == counts
    assert np.mean(train.x, dtype=np.float64) == pytest.approx(mean, abs=5e-5)
    assert np.std(train.x, dtype=np.float64) == pytest.approx(std, abs=5e-5)
