"""Images: read from files, bytes or arrays, many at a time."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from jaxmlp.optional import import_optional

Image: TypeAlias = Any
"""An image of Pillow."""

_THREADS = 8  # Pillow decodes without Python's lock
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What strangers may send: Pillow hands some others, such as PostScript, to other programs."""


def _read_image(item: object) -> Image:
    """Read an image: three colours, turned as its camera says.

    Args:
        item: bytes of a file, a path, or an array (height, width) or (height, width, colours): of
            uint8, or of floats between 0 and 1.

    Returns:
        An image of Pillow in RGB; transparency is laid on white.

    Raises:
        ValueError: for what is no image.

    Example:
        >>> _read_image(np.zeros((4, 6), np.uint8)).size
        (6, 4)
    """
    pillow = import_optional("PIL.Image", "images are read with Pillow", "jaxmlp[vision]")
    turned = import_optional("PIL.ImageOps", "images are read with Pillow", "jaxmlp[vision]")
    if isinstance(item, np.ndarray):
        return _in_colour(pillow, pillow.fromarray(_to_bytes(item)))
    content = item.read_bytes() if isinstance(item, Path) else item
    if not isinstance(content, bytes):
        raise ValueError(f"{item!r:.60} is no image; pass a path, bytes or an array.")
    try:
        image = pillow.open(io.BytesIO(content))
        image.load()
        return _in_colour(pillow, turned.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        where = f"{item}: " if isinstance(item, Path) else ""
        raise ValueError(f"{where}no image that can be read ({_reason(error)}).") from error


def image_size(content: bytes) -> tuple[int, int]:
    """Read an image's width and height from its head, before anything large is decoded.

    Args:
        content: of a file: PNG, JPEG, WebP, BMP, GIF or TIFF.

    Returns:
        Pixels.

    Raises:
        ValueError: for what is no image of these formats, or one that Pillow takes for a bomb.

    Example:
        >>> image_size(b"GIF89a" + bytes([6, 0, 4, 0, 0, 0, 0]) + b";")
        Traceback (most recent call last):
        ValueError: no image that can be read; send PNG, JPEG, WebP, BMP, GIF or TIFF.
    """
    pillow = import_optional("PIL.Image", "images are read with Pillow", "jaxmlp[vision]")
    try:
        with pillow.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        most = pillow.MAX_IMAGE_PIXELS / 1e6
        raise ValueError(
            f"an image of more than {most:.0f} megapixels; make it smaller."
        ) from error
    except Exception as error:  # damaged files make Pillow raise what it likes
        raise ValueError(
            "no image that can be read; send PNG, JPEG, WebP, BMP, GIF or TIFF."
        ) from error
    return int(width), int(height)


def _reason(error: Exception) -> str:
    """What Pillow says, without the address of the buffer."""
    return "unknown format" if "BytesIO" in str(error) else str(error).rstrip(".")


def _to_bytes(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"an image is an array of shape {array.shape}; pass (height, width) or (height, width, "
            "1, 3 or 4 colours)."
        )
    if array.dtype != np.uint8:
        if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"an image is an array of {array.dtype}; pass uint8, or floats between 0 and 1."
            )
        array = np.round(array * 255).astype(np.uint8)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _in_colour(pillow: Any, image: Image) -> Image:
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow would cut what is above 255
        grey = np.asarray(image, np.float64)
        image = pillow.fromarray(np.round(grey * (255 / max(np.max(grey), 1.0))).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(white, image)
    return image.convert("RGB")


def prepare_images(items: Sequence[object], transform: Callable[[Image], Any]) -> list[Any]:
    """Read and transform images, several at once.

    Args:
        items: as `_read_image` takes them.
        transform: image -> what the model takes of it.

    Returns:
        One each, in their order.

    Example:
        >>> prepare_images([np.zeros((4, 6), np.uint8)], lambda image: image.size)
        [(6, 4)]
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(lambda item: transform(_read_image(item)), items))
