"""Models of images and of sounds, behind small backbones that a test's library makes."""

import io

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.backbones import backbone, loading
from jaxmlp.backbones.images import prepare_images
from jaxmlp.backbones.sounds import read_sound
from jaxmlp.backbones.source import Extractor, Source
from jaxmlp.data import Standardizer
from jaxmlp.models import Model

RNG = np.random.default_rng(7)
NAMES = ("cat", "dog", "7", "10")
RATE = 8_000


def colours(image):
    """Mean of each colour, and the spread: features that a resized copy would not share."""
    pixels = np.asarray(image, np.float32) / 255
    return np.append(pixels.mean(axis=(0, 1)), pixels.std())


def loudness(item):
    sound = read_sound(item, RATE)
    return np.array([sound.mean(), sound.std(), np.abs(sound).max(), sound[0]])


def make(source):
    """A backbone of images or sounds; of texts, for what is refused."""
    extract = {
        "image": lambda items: np.stack(prepare_images(items, colours)).astype(np.float32),
        "sound": lambda items: np.stack([loudness(item) for item in items]).astype(np.float32),
        "text": lambda items: np.ones((len(items), 4), np.float32),
    }[source.model]
    return Extractor(source.model, extract, f"small {source.model}s", 4)


def model_of(kind, name=None):
    """A classifier behind a small backbone, with weights that make its answers differ."""
    config = jaxmlp.MLPConfig((4, 16, 4), "tanh")
    params = jaxmlp.init(config, jax.random.key(3))
    params = jax.tree.map(lambda leaf: 3 * leaf, params)
    source = Source("small", kind)._asdict()
    return Model(
        config, params, preprocessing=Standardizer.fit(RNG.uniform(size=(50, 4))),
        feature_names=tuple(f"feature {k}" for k in range(4)), class_names=NAMES,
        extra={"backbone": {**source, "name": name or f"small {kind}s"}},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def small_backbones(monkeypatch):
    """The library `small`, for this test alone."""
    monkeypatch.setitem(loading._PROVIDERS, "small", make)
    backbone._loaded.cache_clear()
    yield
    backbone._loaded.cache_clear()


def png(seed, size=(24, 20), form="PNG"):
    """An image of noise around a colour of its own."""
    pillow = pytest.importorskip("PIL.Image", reason="needs Pillow")
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(size=3) * 200 + rng.uniform(0, 55, (*size, 3))
    buffer = io.BytesIO()
    pillow.fromarray(pixels.astype(np.uint8)).save(buffer, form)
    return buffer.getvalue()


def bomb(side=40_000):
    """A PNG whose head promises so many pixels a side, in a few bytes."""
    import struct
    import zlib

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    )  # fmt: skip


def wav(seed, seconds=0.2, rate=RATE, channels=1):
    """A sound of noise, as loud as its seed says."""
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile")
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.02 * (1 + seed), (int(seconds * rate), channels)).clip(-1, 1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
