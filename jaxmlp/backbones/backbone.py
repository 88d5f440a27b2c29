"""Any pretrained model as a feature extractor; its features are kept on disk."""

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from jaxmlp.backbones.differentiable import DifferentiableModel, Parameters
from jaxmlp.backbones.source import Source
from jaxmlp.checks import unknown_name
from jaxmlp.files import atomic_writer

_Item: TypeAlias = str | bytes | Path | ArrayLike
_Extractor: TypeAlias = Callable[[list[Any]], ArrayLike]
"""items -> array (items, features): `encoder.encode`, a torch module's forward, your function."""

_BATCH_ITEMS = 64


class Backbone:
    """A feature extractor of any library, with a cache on disk keyed by content.

    Each item (a text, bytes, an image as an array) has a file of its own, named by the SHA-256 of
    the backbone's name and the item's type, shape and bytes. So a longer list, another order or a
    second run extracts only what is new. Files are .npy with the digest of their bytes behind the
    array: damaged ones are computed anew. Writing is atomic, reading never unpickles.

    Args:
        extract: items -> array (items, features), equal for equal items whatever their neighbours.
        name: what the extractor is, version included; another name is another cache.
        cache: folder to keep features in; None keeps them nowhere.
        batch_items: items that `extract` is given at a time.
        kind: what the items are: "image", "text", "sound", "array", or "any".
        n_features: how wide the rows are, where that is known before.
        license: of the weights, as far as they say.
        source: what `Backbone.load` was called with.
        model: what a gradient can go through; what `load` and `wrap` make has one.

    Example:
        >>> lengths = Backbone(lambda texts: np.array([[len(t)] for t in texts], np.float32), "n")
        >>> lengths(["a", "bcd"]).tolist()
        [[1.0], [3.0]]

    Reference: lecture, chapter VIII, feature extraction.
    """

    def __init__(
        self,
        extract: _Extractor,
        name: str,
        cache: str | Path | None = None,
        *,
        batch_items: int = _BATCH_ITEMS,
        kind: str = "any",
        n_features: int | None = None,
        license: str = "",
        source: Source | None = None,
        model: DifferentiableModel | None = None,
    ) -> None:
        """Keep the extractor; nothing runs yet."""
        if not callable(extract):
            raise TypeError(f"extract is {extract!r:.60}; pass a function items -> array.")
        if batch_items < 1:
            raise ValueError(f"batch_items is {batch_items}; give at least 1.")
        self.extract, self.name, self.batch_items = extract, name, batch_items
        self.cache = None if cache is None else Path(cache)
        self.kind, self.n_features, self.license = kind, n_features, license
        self.source, self.model = source, model
        self.n_extracted = 0

    @classmethod
    def load(
        cls,
        name: str,
        *,
        weights: str | Path = "pretrained",
        pooling: str | None = None,
        device: str = "cpu",
        seed: int = 0,
        cache: str | Path | None = None,
        batch_items: int = _BATCH_ITEMS,
    ) -> Self:
        """Load a pretrained model of another library.

        The library's own code makes the model, loads its weights and prepares its inputs. The name
        of the backbone says what it computes: library and version, a digest of the weights, the
        preparation. So features of one are never taken from the cache of another.

        Args:
            name: LIBRARY:MODEL. Images: "torchvision:resnet50", "timm:efficientnet_b0",
                "package:efficientnet-lite0". Texts: "transformers:bert-base-uncased" (BERT,
                RoBERTa, DistilBERT, GPT-2, the encoder of T5 and others),
                "sentence-transformers:all-MiniLM-L6-v2", "package:all-MiniLM-L6-v2". Speech:
                "transformers:facebook/wav2vec2-base" and its like, "package:resemblyzer". For
                transformers and sentence-transformers, MODEL may be a folder. What begins with
                "package" has its weights in a Python package.
            weights: "pretrained"; "random", drawn by `seed`; or the path of a file of weights, for
                torchvision and timm.
            pooling: of the tokens of a text, for transformers: "mean", "cls" (the first), "last";
                None is "last" for models that write from left to right, such as GPT-2, else "mean".
            device: of PyTorch.
            seed: of random weights.
            cache: folder to keep features in; None keeps them nowhere.
            batch_items: items that go through the model at a time.

        Returns:
            The backbone; `kind` says what its items are. An image is a path, the bytes of a file,
            or an array (height, width[, colours]); a sound a path, bytes, or an array (samples,)
            at the model's rate.

        Raises:
            ImportError: if the library is not installed, with the command that installs it.
            FileNotFoundError: if the weights are neither here nor to be had.
            ValueError: for a name or an option that the library does not know.

        Example:
            >>> Backbone.load("timm:resnet18", weights="random").n_features  # doctest: +SKIP
            512

        Reference: lecture, chapter VIII, pretrained models.
        """
        from jaxmlp.backbones.loading import load_source, parse_name

        source = Source(*parse_name(name), str(weights), pooling, device, seed)
        found = load_source(source)
        return cls(
            found.extract, found.name, cache, batch_items=batch_items, kind=found.kind,
            n_features=found.n_features, license=found.license, source=source, model=found.model,
        )  # fmt: skip

    @classmethod
    def wrap(
        cls,
        function: Any,
        params: Any = None,
        *,
        name: str = "",
        cache: str | Path | None = None,
        batch_items: int = _BATCH_ITEMS,
    ) -> Self:
        """Make a backbone of a JAX function with its parameters, or of a module.

        Args:
            function: (params, x) -> features, pure, for a batch x; a module of flax.linen (params
                are its variables) or flax.nnx; one of equinox, which takes a single example; or
                one of PyTorch, which is used as for evaluation.
            params: a pytree of arrays.
            name: what it is, beside a digest of the parameters; by default what it is called.
            cache: folder to keep features in; None keeps them nowhere.
            batch_items: arrays that go through it at a time.

        Returns:
            The backbone; its items are arrays of equal shape.

        Raises:
            TypeError: for something else.

        Example:
            >>> twice = Backbone.wrap(lambda params, x: params * x, np.float32(2), name="twice")
            >>> twice([np.ones(3, np.float32), np.zeros(3, np.float32)]).tolist()
            [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]
        """
        from jaxmlp.backbones.jax_models import make_extractor, name_of

        found = make_extractor(function, params, name or name_of(function))
        return cls(
            found.extract, found.name, cache, batch_items=batch_items, kind=found.kind,
            model=found.model,
        )  # fmt: skip

    def tuned(self, parameters: Parameters) -> Self:
        """Return the backbone with some parameters exchanged; its name says that they are.

        Args:
            parameters: arrays by name, of those in `model.parameters`.

        Raises:
            TypeError: for a backbone that is a function without parameters.
            ValueError: for a name that it does not have, or an array of another shape.

        Example:
            >>> twice = Backbone.wrap(lambda p, x: p["scale"] * x, {"scale": np.float32(2)})
            >>> thrice = twice.tuned({"scale": np.float32(3)})
            >>> thrice([np.ones(1, np.float32)]).tolist(), thrice.name != twice.name
            ([[3.0]], True)
        """
        model = differentiable(self)
        own = model.parameters
        for name, array in parameters.items():
            if name not in own:
                raise unknown_name("parameter of the backbone", name, own)
            if np.shape(array) != own[name].shape:
                raise ValueError(
                    f"{name} has shape {np.shape(array)}, but that of the backbone has "
                    f"{own[name].shape}."
                )
        new = model.replaced(parameters)
        return type(self)(
            new.extract, self.name.replace(model.digest(), new.digest()), self.cache,
            batch_items=self.batch_items, kind=self.kind, n_features=self.n_features,
            license=self.license, source=self.source, model=new,
        )  # fmt: skip

    def __call__(
        self,
        items: Sequence[_Item],
        progress: Callable[[int, int], object] = lambda done, all_: None,
    ) -> Float[np.ndarray, "items features"]:
        """Return the features of each item, from the cache where it has them.

        Args:
            items: texts, bytes, paths of files, or numeric arrays, as `kind` says.
            progress: called with (items done, all items) after each batch of new ones.

        Returns:
            (items, features), in the dtype that the extractor gave; `n_extracted` counts the
            items that went through it.

        Raises:
            TypeError: for an item that is neither text, bytes nor a numeric array.
            ValueError: for no items, or an extractor that returns something other than a finite
                row of one width for each item.
        """
        if len(items) == 0:
            raise ValueError("there are no items; pass at least one.")
        items = [self.read(item) for item in items]
        keys = [_content_key(self.name, item) for item in items]
        rows = {key: row for key in set(keys) if (row := self._read(key)) is not None}
        missing = [k for k, key in enumerate(keys) if key not in rows]
        first = list({keys[k]: k for k in reversed(missing)}.values())[::-1]  # each item once
        for start in range(0, len(first), self.batch_items):
            chosen = first[start : start + self.batch_items]
            for k, row in zip(chosen, self._extract([items[k] for k in chosen]), strict=True):
                rows[keys[k]] = row
                self._write(keys[k], row)
            progress(len(items) - len(first) + start + len(chosen), len(items))
        widths = {row.shape for row in rows.values()}
        if len(widths) > 1:
            raise ValueError(
                f"the features of {self.name!r} have different widths, {sorted(widths)}; a new "
                "version of an extractor needs a new name."
            )
        return np.stack([rows[key] for key in keys])

    def read(self, item: _Item) -> _Item:
        """Return the content of an item: what a path names is read."""
        if isinstance(item, str) and self.kind in ("image", "sound"):
            item = Path(item)
        return item.read_bytes() if isinstance(item, Path) else item

    def _extract(self, items: list[_Item]) -> np.ndarray:
        found = np.asarray(self.extract(items))
        if found.ndim != 2 or len(found) != len(items) or found.dtype.kind != "f":
            raise ValueError(
                f"the extractor {self.name!r} returned {found.dtype} of shape {found.shape} for "
                f"{len(items)} items; it must return floats of shape ({len(items)}, features)."
            )
        if not np.isfinite(found).all():
            raise ValueError(f"the extractor {self.name!r} returned NaN or infinity.")
        self.n_extracted += len(items)
        return found

    def _path(self, key: str) -> Path:
        assert self.cache is not None
        return self.cache / key[:2] / f"{key}.npy"

    def _read(self, key: str) -> np.ndarray | None:
        """The features of a file that is whole; None for one that is damaged or absent."""
        if self.cache is None or not (path := self._path(key)).is_file():
            return None
        content = path.read_bytes()
        body, digest = content[:-32], content[-32:]
        if hashlib.sha256(body).digest() != digest:
            return None
        row: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
        return row

    def _write(self, key: str, row: np.ndarray) -> None:
        if self.cache is None:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        body = _dump_npy(row)
        with atomic_writer(path) as file:
            file.write(body)
            file.write(hashlib.sha256(body).digest())


def differentiable(backbone: Backbone) -> DifferentiableModel:
    """Return what a gradient can go through.

    Raises:
        TypeError: if the backbone is a plain function.
    """
    if backbone.model is None:
        raise TypeError(
            f"the backbone {backbone.name!r} is a function of items alone, through which no "
            "gradient goes; make it by Backbone.load(name) or Backbone.wrap(function, params)."
        )
    return backbone.model


@lru_cache(maxsize=4)
def _loaded(source: Source) -> Backbone:
    return Backbone.load(
        source.spelled, weights=source.weights, pooling=source.pooling, device=source.device,
        seed=source.seed,
    )  # fmt: skip


_TUNED: dict[str, Backbone] = {}  # the latest one, by its name


def backbone_of(said: Mapping[str, Any], notify: Callable[[str], object]) -> Backbone:
    """Load the backbone that a model was trained behind.

    Args:
        said: what the model remembers: the fields of its `Source`, its name by content, and the
            parameters that were tuned, "tuned".
        notify: told in a sentence of another name, hence of another version or other weights.

    Returns:
        The backbone; the same object if it is asked for again.
    """
    found = _TUNED.get(said["name"])
    if found is None:
        found = _loaded(Source(**{name: said[name] for name in Source._fields}))
        if said.get("tuned"):
            found = found.tuned(said["tuned"])
            _TUNED.clear()
            _TUNED[said["name"]] = found
    if found.name != said["name"]:
        notify(f"the backbone was {said['name']} in training, and is {found.name} here")
    return found


def _content_key(name: str, item: _Item) -> str:
    """Return the SHA-256 of an extractor's name and an item's kind, shape and bytes, in hex.

    Raises:
        TypeError: if the item is neither text, bytes nor a numeric array.

    >>> _content_key("encoder", "text")[:8]
    '8582c045'
    """
    if isinstance(item, str):
        kind, content = "text", item.encode("utf-8", "surrogatepass")
    elif isinstance(item, bytes):
        kind, content = "bytes", item
    else:
        array = np.ascontiguousarray(item)
        if array.dtype.kind not in "biuf":
            raise TypeError(
                f"an item is a {type(item).__name__}; pass text, bytes or numeric arrays."
            )
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        kind, content = f"{array.dtype.str}{array.shape}", array.tobytes()
    # Lengths go in, or "ab" + "c" and "a" + "bc" would be one key.
    heads = [part.encode() for part in (name, kind)]
    return hashlib.sha256(
        b"".join(len(part).to_bytes(8, "little") + part for part in (*heads, content))
    ).hexdigest()


def _dump_npy(row: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, row, allow_pickle=False)
    return buffer.getvalue()
