"""Images and sounds behind the service: from uploaded files through a backbone to answers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmlp.backbones import backbone_of
from jaxmlp.backbones.images import image_size
from jaxmlp.backbones.sounds import sound_seconds
from jaxmlp.models import Model
from jaxmlp.serving.answers import Answer, Answerer
from jaxmlp.serving.forms import Upload, uploads_of_form
from jaxmlp.serving.inputs import FORM, Sent
from jaxmlp.serving.limits import Limits
from jaxmlp.serving.reading import UnreadableError

_TOP = 5  # labels of an answer, unless a request wants another number
_WAITING = 64  # requests of the largest size that may wait
_WARM = 64  # files for which the network is compiled before the first request
_CONTENT = {"image": "image/", "sound": "audio/"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _File:
    """An upload whose head was read.

    Attributes:
        name: as the client calls it.
        content: its bytes.
        size: pixels, or milliseconds.
        error: why it cannot be answered.
    """

    name: str | None
    content: bytes
    size: int = 0
    error: str = ""


@dataclass(frozen=True)
class _Files:
    """A request: its files, and how many labels it wants of each."""

    files: list[_File]
    top: int


class MediaInputs:
    """Images, or sounds: as a form, or one of them as a body.

    Args:
        model: that was trained behind a backbone.
        limits: of a request.

    Raises:
        ImportError: if the backbone's library is not there.
        ValueError: for a backbone of something else.
    """

    quick = 0.0  # files are decoded and go through the backbone in the worker alone

    def __init__(self, model: Model, limits: Limits) -> None:
        """Load the backbone."""
        notes = list[str]()
        self._backbone = backbone_of(model.extra["backbone"], notes.append)
        self.kind, self.notes = self._backbone.kind, tuple(notes)
        if self.kind not in _CONTENT:
            raise ValueError(
                f"a service takes tables, images and sounds, and this model takes {self.kind}s."
            )
        self._answerer, self._limits = Answerer(model), limits
        seconds = int(1000 * limits.sound_seconds)
        self.most_size = limits.pixels if self.kind == "image" else seconds
        self.most_waiting = _WAITING * self.most_size

    def warm_up(self) -> None:
        """Compile the network behind the backbone."""
        self._answerer.warm_up(_WARM)

    def size(self, request: _Files) -> int:
        """The pixels, or the milliseconds."""
        return sum(file.size for file in request.files)

    def count(self, request: _Files) -> int:
        """The number of files."""
        return len(request.files)

    def read(self, sent: Sent) -> _Files:
        """Read the files of a request; what is wrong with one of them is kept beside it.

        Raises:
            UnreadableError: if it holds none or too many, or something else.
        """
        top = sent.query.get("top", str(_TOP))
        if not (top.isascii() and top.isdecimal() and 0 < len(top) < 10 and int(top)):
            raise UnreadableError(f"top is {top!r:.20}; give the number of labels, 1 or more.")
        if sent.kind == FORM:
            uploads = uploads_of_form(sent.content_type, sent.body, self._limits.files)
        elif sent.kind.startswith(_CONTENT[self.kind]):
            uploads = [Upload(None, sent.body)]
        else:
            raise UnreadableError(
                f"{sent.kind!r:.60} is not understood; send {self.kind}s as a form, or one as "
                f"{_CONTENT[self.kind]}*.",
                415,
            )
        files, whole = list[_File](), 0
        for upload in uploads:
            files.append(self._looked_at(upload, whole))
            whole += files[-1].size
        return _Files(files, int(top))

    def _looked_at(self, upload: Upload, whole: int) -> _File:
        """Read a file's head: what it is, and how large it would become."""
        try:
            if not upload.content:
                raise ValueError("the file is empty.")
            size = self._size_of(upload.content)
            if whole + size > self.most_size:
                raise ValueError(self._too_large(size, whole))
        except ValueError as error:
            return _File(upload.name, b"", error=str(error))
        return _File(upload.name, upload.content, size)

    def _size_of(self, content: bytes) -> int:
        if self.kind == "sound":
            return round(1000 * sound_seconds(content))
        width, height = image_size(content)
        return width * height

    def _too_large(self, size: int, whole: int) -> str:
        of = f"{self.kind} of" if not whole else f"request whose {self.kind}s together have"
        if self.kind == "sound":
            have, most = f"{(size + whole) / 1000:.3g} seconds", f"{self.most_size / 1000:g}"
        else:
            have, most = f"{(size + whole) / 1e6:.3g} megapixels", f"{self.most_size / 1e6:g}"
        return f"a {of} {have}; send {most} at most."

    def answer(self, requests: Sequence[_Files]) -> list[Answer | Exception]:
        """Answer the files of many requests together; one that is wrong harms no other."""
        files = [file for request in requests for file in request.files]
        said = iter(self._said([file for file in files if not file.error]))
        answers = list[Answer | Exception]()
        for request in requests:
            own = [{"error": f.error} if f.error else next(said) for f in request.files]
            predictions = [
                {"file": file.name, **_likeliest(words, request.top)}
                for file, words in zip(request.files, own, strict=True)
            ]
            answers.append(Answer(predictions, []))
        return answers

    def _said(self, files: list[_File]) -> list[dict[str, Any]]:
        """What the model says of files, or why it cannot."""
        features = self._features(files) if files else []
        rows = [row for row in features if not isinstance(row, str)]
        words = iter(self._answerer.said(self._outputs(np.stack(rows))) if rows else ())
        return [{"error": row} if isinstance(row, str) else next(words) for row in features]

    def _outputs(self, features: np.ndarray) -> np.ndarray:
        ignore: Callable[[str], None] = lambda note: None  # noqa: E731  (of features, not of files)
        return self._answerer.outputs(features, ignore)

    def _features(self, files: list[_File]) -> list[np.ndarray | str]:
        """The features of each file, or why it has none: one alone tells which of many it was."""
        try:
            return list(self._backbone([file.content for file in files]))
        except Exception as error:
            if len(files) > 1:
                return [row for file in files for row in self._features([file])]
            if isinstance(error, ValueError | OSError):
                return [str(error)]
            _LOG.exception("a file could not be computed")
            return [f"this {self.kind} could not be computed ({type(error).__name__})."]

    def schema(self) -> dict[str, Any]:
        """Kind, classes and limits."""
        limits = self._limits
        own = (
            {"pixels": limits.pixels}
            if self.kind == "image"
            else {"sound_seconds": limits.sound_seconds}
        )
        return {
            "input": self.kind,
            "backbone": self._backbone.name,
            "classes": list(self._answerer.class_names) if self._answerer.is_classifier else None,
            "limits": {"bytes": limits.bytes, "files": limits.files, **own},
        }


def _likeliest(words: dict[str, Any], top: int) -> dict[str, Any]:
    """Keep a number of labels, the likeliest first.

    >>> _likeliest({"label": "b", "probabilities": {"a": 0.25, "b": 0.75}}, 1)
    {'label': 'b', 'top': [{'label': 'b', 'probability': 0.75}]}
    """
    if "probabilities" not in words:
        return words
    shares: dict[str, float] = words["probabilities"]
    ranked = sorted(shares.items(), key=lambda share: -share[1])[:top]
    rest = {name: word for name, word in words.items() if name != "probabilities"}
    return {**rest, "top": [{"label": label, "probability": share} for label, share in ranked]}
