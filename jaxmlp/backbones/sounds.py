"""Sounds: read from files, bytes or arrays, as one channel at the rate that a model takes."""

import io
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxmlp.optional import import_optional

_SHORTEST = 0.025  # seconds: one window of a speech model
_RATES = (1_000, 768_000)  # Hz; the filter that changes another rate would outgrow the memory
_CHANNELS = 8
_MOST_FRAMES = 1 << 48  # libsndfile says more of a stream, whose end is not known


def read_sound(item: object, rate: int) -> Float[np.ndarray, " samples"]:
    """Read a sound: the mean of its channels, at a sample rate.

    Args:
        item: bytes of a file, a path, or an array (samples,) or (samples, channels) that is at this
            rate: of floats between -1 and 1, or of integers.
        rate: samples a second.

    Returns:
        float32, (samples,), between -1 and 1.

    Raises:
        ValueError: for what is no sound, is silent, or shorter than 25 ms.

    Example:
        >>> read_sound(np.full((800, 2), 2**14, np.int16), 16_000)[:2].tolist()
        [0.5, 0.5]
    """
    name = f"{item}: " if isinstance(item, Path) else ""
    if isinstance(item, np.ndarray):
        samples, found = _as_floats(item), rate
    else:
        samples, found = _decode(item, name)
    sound = samples.mean(axis=1) if samples.ndim == 2 else samples
    if len(sound) < _SHORTEST * found:
        raise ValueError(
            f"{name}a sound of {1000 * len(sound) / found:.0f} ms; give at least "
            f"{1000 * _SHORTEST:.0f} ms."
        )
    if not np.isfinite(sound).all() or not np.any(sound):
        raise ValueError(f"{name}a sound that is silent, or holds NaN; leave it out.")
    return np.ascontiguousarray(_resample(sound, found, rate), np.float32)


def sound_seconds(content: bytes) -> float:
    """Read a sound's length from its head, before it is decoded.

    Args:
        content: of a file: WAV, FLAC, Ogg, MP3 or another that libsndfile knows.

    Returns:
        Seconds.

    Raises:
        ValueError: for what is no sound.
    """
    soundfile = import_optional("soundfile", "sounds are read with soundfile", "jaxmlp[audio]")
    try:
        info = soundfile.info(io.BytesIO(content))
    except (soundfile.SoundFileError, TypeError) as error:
        raise ValueError("no sound that can be read.") from error
    _check_form(info, "")
    if info.frames > _MOST_FRAMES:
        raise ValueError("a sound whose head does not say how long it is; save it as a whole file.")
    return float(info.frames / info.samplerate)


def _check_form(sound: Any, name: str) -> None:
    rate, (low, high) = sound.samplerate, _RATES
    if not low <= rate <= high:
        raise ValueError(f"{name}a sound of {rate:,} Hz; give one of {low:,} to {high:,} Hz.")
    if sound.channels > _CHANNELS:
        raise ValueError(
            f"{name}a sound of {sound.channels} channels; give one of {_CHANNELS} at most."
        )


def _decode(item: object, name: str) -> tuple[np.ndarray, int]:
    soundfile = import_optional("soundfile", "sounds are read with soundfile", "jaxmlp[audio]")
    content = item.read_bytes() if isinstance(item, Path) else item
    if not isinstance(content, bytes):
        raise ValueError(f"{item!r:.60} is no sound; pass a path, bytes or an array.")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            _check_form(sound, name)
            if not sound.seekable():
                raise ValueError(f"{name}no sound that can be read.")
            samples = sound.read(dtype="float32", always_2d=True)
            return samples, int(sound.samplerate)
    except (soundfile.SoundFileError, TypeError) as error:
        raise ValueError(f"{name}no sound that can be read.") from error


def _as_floats(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (1, 2) or array.dtype.kind not in "if":
        raise ValueError(
            f"a sound is {array.dtype} of shape {array.shape}; pass floats or signed integers, "
            "(samples,) or (samples, channels)."
        )
    if array.dtype.kind == "i":
        return array / np.float32(2.0 ** (8 * array.dtype.itemsize - 1))
    return array


def _resample(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return sound
    signal = import_optional("scipy.signal", "sounds are resampled with SciPy", "jaxmlp[audio]")
    shared = gcd(rate, wanted)
    found: np.ndarray = signal.resample_poly(sound, wanted // shared, rate // shared)
    return found
