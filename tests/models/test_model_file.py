"""Model files: exact round trips, one sentence for every file that is refused, and fuzzing."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxmlp import files as files_module
from jaxmlp.config import MLPConfig
from jaxmlp.data import PREPROCESSING, Standardizer, register_preprocessing
from jaxmlp.models import Model, load, save
from jaxmlp.network import init
from jaxmlp.normalization import init_state
from jaxmlp.types import Layer

GOLDEN = Path(__file__).parent / "golden"
X = np.random.default_rng(0).normal(size=(20, 3))


def make_model(**changes):
    config = MLPConfig((3, 5, 4, 2), ("relu", "tanh"), **changes)
    return Model(
        config,
        init(config, jax.random.key(0)),
        init_state(config),
        "softmax_cross_entropy",
        Standardizer.fit(X),
        ("größe", 'a "quoted", name', "x\n2"),
        ("no", "yes"),
        {"test_accuracy": 1 / 3, "epochs": 30.0},
        extra={"temperature": 0.1, "members": [np.arange(3.0), {"mask": np.array([True, False])}]},
    )


class Table:
    """Preprocessing as tables need it: numbers, levels and arrays, nested."""

    def __init__(self, columns):
        self.columns = columns

    def transform(self, data):
        return np.stack([(data[c["name"]] - c["center"]) for c in self.columns], axis=1)

    def to_dict(self):
        return {"columns": self.columns}

    @classmethod
    def from_dict(cls, fields):
        return cls(fields["columns"])


def assert_same(ours, theirs):
    assert ours.config == theirs.config
    assert jax.tree.structure(ours[1:3]) == jax.tree.structure(theirs[1:3])
    for a, b in zip(jax.tree.leaves(ours[1:3]), jax.tree.leaves(theirs[1:3]), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert ours.preprocessing.to_dict() == theirs.preprocessing.to_dict()
    np.testing.assert_equal(ours.extra, theirs.extra)
    rest = {"params": (), "state": (), "preprocessing": None, "extra": {}}
    assert ours._replace(**rest) == theirs._replace(**rest)


@pytest.fixture
def path(tmp_path):
    """A file with a model in it."""
    path = tmp_path / "model.safetensors"
    save(path, make_model())
    return path


@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_norm": (True, False)}, {"dtype": "bfloat16"}, {"compute_dtype": "bfloat16"}],
)
def test_round_trip(tmp_path, changes):
    model = make_model(**changes)
    save(tmp_path / "m.safetensors", model)
    assert_same(load(tmp_path / "m.safetensors"), model)


def test_round_trip_in_float64(tmp_path):
    path = tmp_path / "m.safetensors"
    with jax.enable_x64(True):
        model = make_model(dtype="float64")
        save(path, model)
        assert_same(load(path), model)
    with pytest.raises(ValueError, match=r"cannot be loaded: dtype is float64, but JAX runs with"):
        load(path)


def test_the_least_model(tmp_path):
    config = MLPConfig((2, 1))
    model = Model(config, init(config, jax.random.key(0)), loss="squared_error")
    save(tmp_path / "m.safetensors", model)
    loaded = load(tmp_path / "m.safetensors")
    assert loaded.preprocessing is None
    assert loaded.class_names is None
    assert loaded.state == ()
    assert loaded.loss == "squared_error"


def test_the_file_is_plain_safetensors(path):
    arrays = safetensors.numpy.load_file(path)
    layers = [f"layers.{l}.{name}" for l in range(3) for name in "Wb"]
    assert sorted(arrays) == ["extra.0", "extra.1", *layers]
    np.testing.assert_array_equal(arrays["layers.1.W"], make_model().params[1].W)


def test_the_same_model_makes_the_same_bytes(path):
    content = path.read_bytes()
    save(path, load(path))
    assert path.read_bytes() == content


def test_golden_file_of_version_1():
    """Written once by version 1 of the format; it must load for ever, with these values."""
    model = load(GOLDEN / "model_v1.safetensors")
    assert model.config == MLPConfig((2, 2, 2), "tanh", batch_norm=True, dropout=True)
    np.testing.assert_array_equal(model.params[0].W, np.array([[1, -2], [0.5, 0.25]], np.float32))
    assert model.params[0].b is None
    np.testing.assert_array_equal(model.params[0].gamma, np.array([1, 2], np.float32))
    np.testing.assert_array_equal(model.params[0].beta, np.array([0, -1], np.float32))
    np.testing.assert_array_equal(model.params[1].W, np.array([[3, 4], [5, 6]], np.float32))
    np.testing.assert_array_equal(model.params[1].b, np.array([0.125, -0.125], np.float32))
    np.testing.assert_array_equal(model.state[0].mean, np.array([0.5, 0], np.float32))
    np.testing.assert_array_equal(model.state[0].var, np.array([1, 4], np.float32))
    assert model.state[1] is None
    assert model.loss == "softmax_cross_entropy"
    np.testing.assert_array_equal(
        model.preprocessing.transform(np.array([[3.0, 0.0]])), [[1.0, -0.5]]
    )
    assert model.feature_names == ("width", "height")
    assert model.class_names == ("café", "tea")
    assert model.metrics == {"test_accuracy": 0.875}
    assert (model.target_transform, model.extra) == (None, {})


def test_golden_file_of_version_2():
    """Written once by version 2; its preprocessing and extra hold arrays."""
    model = load(GOLDEN / "model_v2.safetensors")
    assert model.config == MLPConfig((2, 1), dtype="bfloat16", compute_dtype="float32")
    np.testing.assert_array_equal(model.params[0].W, np.array([[1.5], [-2]], jnp.bfloat16))
    np.testing.assert_array_equal(model.params[0].b, np.array([0.25], jnp.bfloat16))
    assert (model.loss, model.feature_names, model.class_names) == ("huber", ("a", "b"), None)
    np.testing.assert_array_equal(
        model.preprocessing.transform(np.array([[3.0, 0.0]])), [[1.0, -0.5]]
    )
    np.testing.assert_array_equal(model.target_transform.mean, [10.0])
    np.testing.assert_array_equal(model.target_transform.scale, [4.0])
    assert model.extra["levels"] == ["née", None, True, 2]
    np.testing.assert_array_equal(model.extra["ids"], np.array([[2**40, -1]]))


@pytest.fixture
def table():
    """A registered class, forgotten afterwards."""
    register_preprocessing("table of the tests")(Table)
    yield Table
    PREPROCESSING.pop("table of the tests", None)


def test_any_registered_preprocessing_is_kept(tmp_path, table):
    """Numbers, levels and arrays survive bit by bit, as features' and as targets' transform."""
    columns = [
        {
            "name": "age",
            "center": np.float64(0.1),
            "missing": None,
            "quantiles": np.array([np.nan]),
        },
        {"name": "$tensor", "center": 2, "levels": ["a", "é"], "codes": np.array(7, np.int64)},
    ]
    model = make_model()._replace(preprocessing=table(columns), target_transform=table(columns[:1]))
    save(tmp_path / "m.safetensors", model)
    loaded = load(tmp_path / "m.safetensors")
    np.testing.assert_equal(loaded.preprocessing.columns, columns)
    np.testing.assert_equal(loaded.target_transform.columns, columns[:1])
    assert loaded.preprocessing.columns[1]["codes"].dtype == np.int64
    data = {"age": np.array([1.0]), "$tensor": np.array([5.0])}
    np.testing.assert_array_equal(
        loaded.preprocessing.transform(data), model.preprocessing.transform(data)
    )
    del PREPROCESSING["table of the tests"]  # as in a program that does not import the module
    with pytest.raises(ValueError, match="unknown kind of preprocessing 'table of the tests'"):
        load(tmp_path / "m.safetensors")


def test_kinds_are_unique(table):
    with pytest.raises(ValueError, match="'table of the tests' is registered already; rename"):
        register_preprocessing("table of the tests")(type("Other", (Table,), {}))
    with pytest.raises(TypeError, match="int lacks 'transform'"):
        register_preprocessing("int")(int)


def edit_header(path, edit):
    """Rewrite our JSON entry of the metadata; the arrays stay."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8:end])["__metadata__"]["jaxmlp"])
    edit(header)
    arrays = safetensors.numpy.load(content)
    path.write_bytes(safetensors.numpy.save(arrays, {"jaxmlp": json.dumps(header)}))


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "empty": (lambda path: path.write_bytes(b""), "is truncated: it ends after 0 bytes."),
    "header cut": (
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        "is truncated: it ends after 100 bytes.",
    ),
    "arrays cut": (
        lambda path: path.write_bytes(path.read_bytes()[:-8]),
        "is truncated or damaged: the arrays that its header lists are not all there.",
    ),
    "array changed": (flip_last_byte, "is damaged: its contents do not match their checksum."),
    "metric changed": (
        lambda path: edit_header(path, lambda header: header["model"]["metrics"].update(a=1.0)),
        "is damaged: its contents do not match their checksum.",
    ),
    "newer": (
        lambda path: edit_header(path, lambda header: header.update(format_version=5)),
        "has format version 5, but this jaxmlp reads up to 4. Upgrade jaxmlp.",
    ),
    "no version": (
        lambda path: edit_header(path, lambda header: header.pop("format_version")),
        "is damaged: its format version is None.",
    ),
    "pickle": (
        lambda path: path.write_bytes(b"\x80\x04\x95" + bytes(50)),
        "is not a safetensors file, so not a jaxmlp model.",
    ),
    "text": (lambda path: path.write_text("epoch,loss\n1,2\n"), "is not a safetensors file, so"),
    "other tensors": (
        lambda path: path.write_bytes(safetensors.numpy.save({"a": np.ones(2)})),
        "is a safetensors file, but not a jaxmlp model.",
    ),
    "other metadata": (
        lambda path: path.write_bytes(safetensors.numpy.save({"a": np.ones(2)}, {"format": "pt"})),
        "is a safetensors file, but not a jaxmlp model.",
    ),
    "nested": (
        lambda path: path.write_bytes((10**5).to_bytes(8, "little") + b'{"a":' + b"[" * 10**5),
        "is damaged: its header is unreadable.",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_refused_files_stay_as_they_are(path, case):
    damage, message = DAMAGE[case]
    damage(path)
    content = path.read_bytes()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match=r"has no model.safetensors; is it a folder"):
        load(tmp_path)


def fuzz(content, rng, trial):
    """Cut the file, or flip one bit of it: half of the flips in the header, which has structure."""
    fuzzed = bytearray(content)
    if trial % 3 == 0:
        del fuzzed[rng.integers(len(fuzzed)) :]
    else:
        header = 8 + int.from_bytes(content[:8], "little")
        end = len(fuzzed) if trial % 3 == 1 else header
        fuzzed[rng.integers(end)] ^= 1 << rng.integers(8)
    return bytes(fuzzed)


@pytest.mark.parametrize("name", ["model_v1", "model_v2", "new"])
def test_fuzzed_files_are_refused_or_load_unchanged(path, name):
    """1,000 random truncations and bit flips: a ValueError of one line, or the very same model."""
    if name != "new":
        path.write_bytes((GOLDEN / f"{name}.safetensors").read_bytes())
    rng, content, model = np.random.default_rng(0), path.read_bytes(), load(path)
    loaded = 0
    for trial in range(1000 if name == "new" else 100):
        path.write_bytes(fuzz(content, rng, trial))
        message = None
        try:
            again = load(path)
        except ValueError as error:
            message = str(error)
        if message is None:  # either outcome is right
            assert_same(again, model)
            loaded += 1
        else:
            assert message.startswith(str(path))
            assert "\n" not in message
    assert loaded < 20  # a check that lets many of them pass would be no check


def test_nothing_half_written(path, monkeypatch):
    """A failure before the rename leaves the old file, and no temporary one."""
    content = path.read_bytes()

    def fail(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(files_module.os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save(path, make_model()._replace(metrics={}))
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def shrink(model):
    return model._replace(params=(Layer(jnp.ones((3, 4)), jnp.ones(4)), *model.params[1:]))


UNSAVABLE = {
    "metric": (lambda m: m._replace(metrics={"loss": float("nan")}), "the metric 'loss' is nan"),
    "loss": (lambda m: m._replace(loss="hinge"), "unknown loss 'hinge'"),
    "params": (shrink, "params[0].W has shape (3, 4), but config.layer_sizes=(3, 5, 4, 2) asks"),
    "initializer": (
        lambda m: m._replace(config=m.config.replace(weight_init=jax.nn.initializers.normal())),
        "which a file cannot name",
    ),
    "preprocessing": (
        lambda m: m._replace(preprocessing=Table([])),
        "a Table cannot be kept in a file, since its class is not registered",
    ),
    "extra": (lambda m: m._replace(extra={"f": print}), "extra holds a builtin_function"),
    "number": (lambda m: m._replace(extra={"t": float("inf")}), "extra holds the number inf"),
    "text array": (lambda m: m._replace(extra={"t": np.array(["a"])}), "an array of <U1"),
    "key": (lambda m: m._replace(extra={1: 2}), "extra has the key 1"),
}


@pytest.mark.parametrize("case", UNSAVABLE)
def test_what_cannot_be_saved(tmp_path, case):
    change, message = UNSAVABLE[case]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        save(tmp_path / "m.safetensors", change(make_model()))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
