"""Embedded digits (from scikit-learn), and MNIST and Fashion-MNIST from IDX files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from jaxmlp.checks import unknown_name
from jaxmlp.data.arrays import Dataset
from jaxmlp.optional import import_optional

_DIGIT_NAMES = tuple(str(digit) for digit in range(10))
_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_IDX_CLASS_NAMES = {"mnist": _DIGIT_NAMES, "fashion-mnist": _FASHION_NAMES}
# Both sets use the same file names, so only the folder tells them apart.
_IDX_FOLDERS = {
    "mnist": ("mnist", "MNIST", "MNIST/raw"),
    "fashion-mnist": ("fashion_mnist", "fashion-mnist", "fashion", "FashionMNIST/raw"),
}


def load_digits() -> Dataset:
    """Load the 1,797 handwritten digits of 8 x 8 pixels that scikit-learn contains.

    Returns:
        x (1797, 64), float32, pixels from 0 to 16; y (1797,), the digits 0 to 9.

    Raises:
        ImportError: if scikit-learn is not installed, with the command that installs it.

    Example:
        >>> digits = load_digits()
        >>> digits.x.shape, digits.class_names[3]
        ((1797, 64), '3')

    Reference: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    datasets = import_optional(
        "sklearn.datasets", "the digits come with scikit-learn", "jaxmlp[sklearn]"
    )
    bunch = datasets.load_digits()
    return Dataset(
        x=bunch.data.astype(np.float32),
        y=bunch.target.astype(np.int32),
        feature_names=_pixel_names(8, 8),
        class_names=_DIGIT_NAMES,
    )


def load_idx(folder: str | Path, name: str = "mnist") -> tuple[Dataset, Dataset]:
    """Load MNIST or Fashion-MNIST from the four IDX files, plain or gzip-compressed.

    Args:
        folder: where the files are: the folder itself, or its parent with `mnist` or
            `fashion_mnist` in it.
        name: "mnist" or "fashion-mnist".

    Returns:
        The training set and the test set: x (rows, 784), float32, pixels from 0 to 1; y (rows,).

    Raises:
        FileNotFoundError: if the folder or one of the files is missing.
        ValueError: for an unknown name, or a file that is truncated, foreign or damaged.

    Example:
        >>> load_idx("data", "mnits")
        Traceback (most recent call last):
        ...
        ValueError: unknown IDX data set 'mnits'. Did you mean 'mnist'? Known: fashion-mnist, mnist.

    Reference: LeCun, Cortes & Burges, The MNIST database; Xiao, Rasul & Vollgraf, Fashion-MNIST,
    2017, arXiv 1708.07747.
    """
    if name not in _IDX_CLASS_NAMES:
        raise unknown_name("IDX data set", name, _IDX_CLASS_NAMES)
    source = _find_idx_folder(Path(folder), name)
    return _load_part(source, "train", name), _load_part(source, "t10k", name)


def _find_idx_folder(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give the one with the {name} files.")
    other = next(key for key in _IDX_FOLDERS if key != name)
    if folder.name in _IDX_FOLDERS[other]:
        raise ValueError(f"{folder} is the folder of {other}, not of {name}; give the right one.")
    for candidate in (folder, *(folder / sub for sub in _IDX_FOLDERS[name])):
        if any(candidate.glob("train-images-idx3-ubyte*")):
            return candidate
    raise FileNotFoundError(
        f"{folder} has no {name} files: train-images-idx3-ubyte(.gz) and its three companions "
        f"belong in it, or in {folder / _IDX_FOLDERS[name][0]}."
    )


def _load_part(folder: Path, part: str, name: str) -> Dataset:
    images_path = _find_file(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find_file(folder, f"{part}-labels-idx1-ubyte")
    images, labels = _read_idx(images_path, n_dims=3), _read_idx(labels_path, n_dims=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels; "
            "they are not of the same set."
        )
    class_names = _IDX_CLASS_NAMES[name]
    if labels.max(initial=0) >= len(class_names):
        raise ValueError(
            f"{labels_path} holds the label {labels.max()}, but {name} has the labels 0 to "
            f"{len(class_names) - 1}; it is of another set."
        )
    x = images.reshape(len(images), -1) / np.float32(255)
    return Dataset(x, labels.astype(np.int32), _pixel_names(*images.shape[1:]), class_names)


def _find_file(folder: Path, stem: str) -> Path:
    for path in (folder / f"{stem}.gz", folder / stem):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder} has neither {stem}.gz nor {stem}; copy one of them there.")


def _read_idx(path: Path, n_dims: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzip-compressed if its name ends in .gz.

    A big-endian header: 0, 0, 8 (unsigned byte), number of dimensions; then one 32-bit size for
    each dimension; then the bytes, last index fastest.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except EOFError as error:
            raise ValueError(f"{path} is truncated; fetch it again.") from error
        except (OSError, zlib.error) as error:
            raise ValueError(f"{path} is not a valid gzip file: {error}.") from error
    start = 4 + 4 * n_dims
    if content[:4] != bytes([0, 0, 8, n_dims]) or len(content) < start:
        raise ValueError(
            f"{path} is not an IDX file of {n_dims}-dimensional bytes: it starts with "
            f"{content[:4].hex() or 'nothing'} instead of 000008{n_dims:02x}."
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", n_dims, offset=4))
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path} holds {len(content) - start} bytes of data, but its header promises "
            f"{math.prod(shape)}; it is truncated or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _pixel_names(rows: int, columns: int) -> tuple[str, ...]:
    return tuple(f"pixel_{row}_{column}" for row in range(rows) for column in range(columns))
