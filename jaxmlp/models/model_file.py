"""A trained model in one .safetensors file: arrays, and all else as JSON in its metadata.

Layout: tensors `layers.<l>.<W|b|gamma|beta|alpha>` and `state.<l>.<mean|var>`; one metadata entry,
"jaxmlp", whose JSON holds `format_version`, `model` (config, loss, preprocessing, names, metrics)
and `sha256` of both the model's JSON and the arrays. Nothing in it can run code.

Format version 2 adds `target_transform` and `extra`; these and `preprocessing` may hold arrays,
which are the tensors `<field>.<number>`, with `{"$tensor": name}` in their place in the JSON. Any
record that `jaxmlp.data.register_preprocessing` knows can be the preprocessing.

Format version 3 adds networks for tables: the config holds `front`, `mlp` and `link`, and the input
side is the tensors `front.<E|s|r>` and `front.numbers.<field>`. Other models stay in version 2.

Format version 4 adds ensembles: `ensemble` is the number of further networks, and the tensors of
the first of these are called `ensemble.1.<name>`. Single networks stay in versions 2 and 3.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmlp.checks import check_state
from jaxmlp.config import MLPConfig
from jaxmlp.data import preprocessing_from_dict, preprocessing_to_dict
from jaxmlp.files import read_tensors, safetensors_module, write_atomically
from jaxmlp.front_types import Front, Periodic, Piecewise
from jaxmlp.losses import get_loss
from jaxmlp.models.model import Model, NetworkLike, as_model
from jaxmlp.models.packing import JSON, pack, unpack
from jaxmlp.networks import NetworkConfig, NetworkParams, check_params, layers_of, mlp_of
from jaxmlp.tabular_config import TabularConfig, TabularParams
from jaxmlp.types import Layer, NormState, State

MODEL_FILE = "model.safetensors"
_FORMAT_VERSION = 4
_TABLE_VERSION, _LAYERS_VERSION = 3, 2  # of single networks, which older readers know


def save(path: str | Path, model: NetworkLike) -> None:
    """Write a model to one .safetensors file, at once: a crash leaves the old file or the new.

    Args:
        path: the file; an existing one is replaced.
        model: what to write: a `Model`, or any network, whose model `as_model` makes.

    Raises:
        ImportError: if safetensors is not installed, with the command that installs it.
        OSError: if the file cannot be written.
        ValueError: if a part cannot be named in a file (a function of your own as activation,
            initializer or loss; preprocessing that is not registered), does not fit the config, or
            holds what JSON has not, such as a metric that is not finite.

    Example:
        >>> import jax, jaxmlp, tempfile
        >>> config = MLPConfig((2, 3, 1))
        >>> model = Model(config, jaxmlp.init(config, jax.random.key(0)), loss="squared_error")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(folder + "/model.safetensors", model)
        ...     load(folder + "/model.safetensors").config == config
        True

    Reference: lecture, chapter VIII.
    """
    model = as_model(model)
    arrays = _arrays(model)
    description = _describe(model, arrays)
    version = _TABLE_VERSION if isinstance(model.config, TabularConfig) else _LAYERS_VERSION
    if model.ensemble:
        version = _FORMAT_VERSION
    header = {
        "format_version": version,
        "model": description,
        "sha256": _digest(version, description, arrays),
    }
    metadata = {"jaxmlp": json.dumps(header, ensure_ascii=False)}
    write_atomically(path, safetensors_module().numpy.save(arrays, metadata))


def load(path: str | Path) -> Model:
    """Read a model that `save` wrote, after checking that every byte is as it was.

    Args:
        path: the file, or a folder that `jaxmlp train` wrote.

    Returns:
        The model, equal to what was saved.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if safetensors is not installed, with the command that installs it.
        ValueError: if the file is truncated, damaged, not a jaxmlp model, or written by a newer
            version; or if it holds float64 while JAX runs without 64-bit types.

    Example:
        >>> load("no/such.safetensors")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no model file no/such.safetensors.

    Reference: lecture, chapter VIII (inference: load the model).
    """
    path = Path(path)
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise FileNotFoundError(f"{path} has no {MODEL_FILE}; is it a folder that train wrote?")
        path /= MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}.")
    content = path.read_bytes()
    header = _read_header(path, content)
    arrays = read_tensors(path, content)
    version, description = header.get("format_version"), header.get("model", {})
    if header.get("sha256") != _digest(version, description, arrays):
        raise ValueError(
            f"{path} is damaged: its contents do not match their checksum. Restore a copy of it."
        )
    try:
        return _build(description, arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error


def _arrays(model: Model) -> dict[str, np.ndarray]:
    arrays = _network_arrays(model.params, model.state)
    for number, network in enumerate(model.ensemble, 1):
        own = _network_arrays(*network)
        arrays |= {f"ensemble.{number}.{name}": array for name, array in own.items()}
    return arrays


def _network_arrays(params: NetworkParams, state: State) -> dict[str, np.ndarray]:
    groups = (("layers", layers_of(params)), ("state", state))
    front: dict[str, np.ndarray] = {}
    if isinstance(params, TabularParams):
        front = {
            f"front.{'.'.join(entry.name for entry in path)}": np.ascontiguousarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params.front)
        }
    return front | {
        f"{group}.{l}.{field}": np.ascontiguousarray(leaf)
        for group, entries in groups
        for l, entry in enumerate(entries)
        if entry is not None
        for field, leaf in entry._asdict().items()
        if leaf is not None
    }


def _describe(model: Model, arrays: dict[str, np.ndarray]) -> dict[str, JSON]:
    """All of the model that is not an array, as JSON; arrays found on the way join the others."""
    get_loss(model.loss)
    for name, value in model.metrics.items():
        if not math.isfinite(value):
            raise ValueError(
                f"the metric {name!r} is {value}; JSON has no such number: leave it out."
            )
    ensemble = {"ensemble": len(model.ensemble)} if model.ensemble else {}
    return {
        **ensemble,
        "config": model.config.to_dict(),
        "loss": model.loss,
        "preprocessing": pack(preprocessing_to_dict(model.preprocessing), "preprocessing", arrays),
        "feature_names": _listed(model.feature_names),
        "class_names": _listed(model.class_names),
        "metrics": {name: float(value) for name, value in model.metrics.items()},
        "target_transform": pack(
            preprocessing_to_dict(model.target_transform), "target_transform", arrays
        ),
        "extra": pack(model.extra, "extra", arrays),
    }


def _build(description: Any, arrays: dict[str, np.ndarray]) -> Model:
    fields = description["config"]
    config: NetworkConfig = (TabularConfig if "front" in fields else MLPConfig).from_dict(fields)
    (params, state), *further = (
        _network(config, _named(arrays, f"ensemble.{number}." if number else ""))
        for number in range(1 + description.get("ensemble", 0))
    )
    get_loss(description["loss"])
    description = unpack(description, arrays)
    return Model(
        config,
        params,
        state,
        description["loss"],
        preprocessing_from_dict(description["preprocessing"]),
        _tupled(description["feature_names"]),
        _tupled(description["class_names"]),
        description["metrics"],
        preprocessing_from_dict(description.get("target_transform")),  # not in version 1
        description.get("extra", {}),
        tuple(further),
    )


def _network(config: NetworkConfig, arrays: dict[str, np.ndarray]) -> tuple[NetworkParams, State]:
    params = _params(config, arrays)
    state: State = ()
    if any(config.normalized):
        state = tuple(
            NormState(**_group(arrays, f"state.{l}.")) if norm else None
            for l, norm in enumerate(config.normalized)
        )
    check_params(config, params)
    check_state(config.normalized, mlp_of(config).layer_sizes, state)
    return params, state


def _params(config: NetworkConfig, arrays: dict[str, np.ndarray]) -> NetworkParams:
    layers = tuple(Layer(**_group(arrays, f"layers.{l}.")) for l in range(config.n_layers))
    if not isinstance(config, TabularConfig):
        return layers
    found = _group(arrays, "front.")
    embedding = {k.removeprefix("numbers."): v for k, v in found.items() if "." in k}
    rest = {k: v for k, v in found.items() if "." not in k}
    kind = {"piecewise": Piecewise, "periodic": Periodic}.get(config.front.embedding or "")
    numbers = kind(**embedding) if kind is not None and embedding else None
    return TabularParams(Front(numbers, **rest), layers)


def _group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, jax.Array]:
    # Not `jnp.asarray`, which compiles for each shape.
    group: dict[str, jax.Array] = jax.device_put(_named(arrays, prefix))
    return group


def _named(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _tupled(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _digest(version: object, description: object, arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of everything that the file means; the order of tensors in it does not matter."""
    text = json.dumps([version, description], sort_keys=True)
    sha256 = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        sha256.update(f"\n{name} {array.dtype.name} {array.shape}\n".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def _read_header(path: Path, content: bytes) -> dict[str, Any]:
    """Return our entry of the metadata: 8 bytes of length, then the header's JSON."""
    end = 8 + int.from_bytes(content[:8], "little")
    if len(content) > 8 and content[8:9] != b"{":
        raise ValueError(f"{path} is not a safetensors file, so not a jaxmlp model.")
    if len(content) < max(end, 10):
        raise ValueError(f"{path} is truncated: it ends after {len(content)} bytes.")
    try:
        metadata = json.loads(content[8:end]).get("__metadata__", {})
        header = json.loads(metadata["jaxmlp"]) if "jaxmlp" in metadata else None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its header is unreadable.") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} is a safetensors file, but not a jaxmlp model.")
    version = header.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{path} is damaged: its format version is {version!r}.")
    if version > _FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, but this jaxmlp reads up to {_FORMAT_VERSION}. "
            "Upgrade jaxmlp."
        )
    return header
