"""What the page may say: every message is read, and checked, before anything is done."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxmlp.checks import unknown_name
from jaxmlp.messages import phrase
from jaxmlp.play.fields import Fields, shorten
from jaxmlp.play.settings import MOST_NETWORKS, Settings, read_settings

MOST_BYTES = 256 << 10  # of a message
_MOST_STEPS = 100_000  # of one message
_MOST_RATE = 10_000.0  # steps a second
_FAR = 2**31 - 1


class Message(NamedTuple):
    """A message, read.

    Attributes:
        kind: one of the known kinds.
        network: which of the two it is about.
        settings: of "set".
        on: of "play": whether to go on.
        rate: of "play": steps a second; 0 for as many as there can be.
        steps: of "step": how many; of "rewind": to which; of "apply": at which.
        example: of "walk" and "apply": row of the training part.
    """

    kind: str
    network: int = 0
    settings: Settings | None = None
    on: bool = True
    rate: float = 0.0
    steps: int = 1
    example: int = 0


def read_message(body: bytes) -> Message:
    """Read a message.

    Args:
        body: JSON, an object with a "kind".

    Returns:
        The message; what is in it is of the right type and in range.

    Raises:
        ValueError: for anything else, in a sentence.

    Example:
        >>> read_message(b'{"kind": "step", "n": 10}').steps
        10
        >>> read_message(b'{"kind": "dance"}')
        Traceback (most recent call last):
            ...
        ValueError: unknown kind of message 'dance'. Did you mean ...
    """
    if len(body) > MOST_BYTES:
        raise ValueError(
            phrase(
                "the message has {n:,} bytes; send {most:,} at most.", n=len(body), most=MOST_BYTES
            )
        )
    try:
        content = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(phrase("the message is no JSON: {reason}", reason=reason[:100])) from error
    if not isinstance(content, dict):
        raise ValueError(
            phrase("the message is {value}; send an object with a kind.", value=shorten(content))
        )
    kind = content.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise unknown_name(phrase("kind of message"), f"{kind!s:.40}", _KINDS)
    known, read = _KINDS[kind]
    return read(kind, Fields(phrase("the message {kind!r}", kind=kind), content, known))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _plain(kind: str, read: Fields) -> Message:
    return Message(kind)


def _of_network(kind: str, read: Fields) -> Message:
    return Message(kind, read.whole("network", 0, 0, MOST_NETWORKS - 1))


def _set(kind: str, read: Fields) -> Message:
    return Message(kind, settings=read_settings(read.fields.get("settings")))


def _play(kind: str, read: Fields) -> Message:
    return Message(kind, on=read.flag("on", True), rate=read.number("rate", 0.0, 0.0, _MOST_RATE))


def _step(kind: str, read: Fields) -> Message:
    return Message(kind, steps=read.whole("n", 1, 1, _MOST_STEPS))


def _rewind(kind: str, read: Fields) -> Message:
    return Message(kind, steps=read.whole("to", 0, 0, _FAR))


def _walk(kind: str, read: Fields) -> Message:
    return Message(
        kind,
        read.whole("network", 0, 0, MOST_NETWORKS - 1),
        example=read.whole("example", 0, 0, _FAR),
    )


def _apply(kind: str, read: Fields) -> Message:
    return _walk(kind, read)._replace(steps=read.whole("step", 0, 0, _FAR))


_KINDS: dict[str, tuple[tuple[str, ...], Callable[[str, Fields], Message]]] = {
    "hello": ((), _plain),
    "set": (("settings",), _set),
    "play": (("on", "rate"), _play),
    "step": (("n",), _step),
    "restart": ((), _plain),
    "rewind": (("to",), _rewind),
    "walk": (("network", "example"), _walk),
    "apply": (("network", "example", "step"), _apply),
    "diagnose": (("network",), _of_network),
    "script": (("network",), _of_network),
    "save": (("network",), _of_network),
}
"""The kinds of messages: their fields, and how they are read."""
