"""What a service is asked about: rows here, images and sounds in `jaxmlp.serving.media`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from jaxmlp.backbones import backbone_of
from jaxmlp.models import Model
from jaxmlp.serving.answers import MOST_ROWS, Answer, Answerer, Row
from jaxmlp.serving.batching import QUICK
from jaxmlp.serving.forms import uploads_of_form
from jaxmlp.serving.limits import Limits
from jaxmlp.serving.reading import SPARE, UnreadableError, rows_of_file, rows_of_json

_JSON = ("application/json", "", "application/x-www-form-urlencoded")
"""How JSON is called: curl -d says the last of them, whatever it sends."""
_TABLES = {"text/csv": "upload.csv", "application/vnd.apache.parquet": "upload.parquet"}
FORM = "multipart/form-data"
_SMALL = 1 << 16  # bytes of JSON that are read in less time than a thread takes


class Sent(NamedTuple):
    """A request as it came.

    Attributes:
        content_type: its header, with parameters.
        query: of its address.
        body: its bytes.
    """

    content_type: str
    query: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The content type without parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def is_quick(self) -> bool:
        """Whether it is read at once, without a thread."""
        return self.kind in _JSON and len(self.body) <= _SMALL


class Inputs(Protocol):
    """What requests hold, and how a model answers it.

    Attributes:
        kind: "rows", "image" or "sound".
        most_size: of requests that are answered together, as `size` measures them.
        most_waiting: of requests that wait, likewise.
        quick: seconds below which an answer needs no thread.
        notes: what is to be known before any request.
    """

    kind: str
    most_size: int
    most_waiting: int
    quick: float
    notes: tuple[str, ...]

    def warm_up(self) -> None:
        """Compile what can be compiled before the first request."""

    def size(self, request: Any) -> int:
        """How much work a request is."""

    def count(self, request: Any) -> int:
        """How many rows or files it has."""

    def read(self, sent: Sent) -> Any:
        """Make a request of a body, or raise `UnreadableError`."""

    def answer(self, requests: Sequence[Any]) -> list[Answer | Exception]:
        """Answer requests together."""

    def schema(self) -> dict[str, Any]:
        """What a request is to hold."""


class RowInputs:
    """Rows of JSON, of CSV, or of an uploaded table.

    Args:
        model: that answers them.
        limits: of a request.

    Raises:
        ImportError: if the library of its backbone is not there.
        ValueError: if it takes files, which a service would read for everybody who asks.
    """

    kind, most_size = "rows", MOST_ROWS
    quick = QUICK  # a backbone of texts takes longer than other connections may wait

    def __init__(self, model: Model, limits: Limits) -> None:
        """Look at what the model takes, and load the backbone of its texts."""
        said, notes = model.extra.get("backbone"), list[str]()
        if said is not None:
            if said["kind"] != "text":
                raise ValueError(
                    f"this model takes {said['kind']}s by their paths, and a service reads no "
                    "files; use jaxmlp predict."
                )
            found = backbone_of(said, notes.append)
            self.quick = 0.0
            # what is said once, at the start, is not said in every answer
            model = model._replace(extra={**model.extra, "backbone": {**said, "name": found.name}})
        self._answerer, self._limits = Answerer(model), limits
        self.most_waiting = limits.waiting
        self._most_cells = self._answerer.n_features + SPARE
        self.notes = tuple(notes)

    def warm_up(self) -> None:
        """Compile for every number of rows that is computed at a time."""
        self._answerer.warm_up()

    def size(self, request: list[Row]) -> int:
        """The number of rows."""
        return len(request)

    def count(self, request: list[Row]) -> int:
        """The number of rows."""
        return len(request)

    def read(self, sent: Sent) -> list[Row]:
        """Read rows of any form.

        Raises:
            UnreadableError: if the body holds none.
        """
        if sent.kind in _JSON:
            return rows_of_json(sent.body, self._limits.rows, self._most_cells)
        if sent.kind == FORM:
            ((name, content),) = uploads_of_form(sent.content_type, sent.body, 1)
        elif sent.kind in _TABLES:
            name, content = _TABLES[sent.kind], sent.body
        else:
            raise UnreadableError(
                f"{sent.kind!r:.60} is not understood; send JSON, CSV or a file.", 415
            )
        return rows_of_file(name or "", content, self._answerer, self._limits)

    def answer(self, requests: Sequence[list[Row]]) -> list[Answer | Exception]:
        """Answer requests together; one that is wrong harms no other."""
        return self._answerer.answer(requests)

    def schema(self) -> dict[str, Any]:
        """Columns, classes and limits."""
        answerer = self._answerer
        return {
            "input": self.kind,
            "columns": None if answerer.columns is None else list(answerer.columns),
            "features": answerer.n_features,
            "classes": list(answerer.class_names) if answerer.is_classifier else None,
            "limits": {"bytes": self._limits.bytes, "rows": self._limits.rows},
        }
