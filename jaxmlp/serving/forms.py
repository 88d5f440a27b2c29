"""The files of a multipart form."""

import logging
from typing import Any, NamedTuple

from jaxmlp.optional import import_optional
from jaxmlp.serving.reading import UnreadableError

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # the client is told


class Upload(NamedTuple):
    """A file that was sent.

    Attributes:
        name: as the client calls it; None for a body that is a file itself.
        content: its bytes.
    """

    name: str | None
    content: bytes


def uploads_of_form(content_type: str, body: bytes, most_files: int) -> list[Upload]:
    """Read the files of a form, whatever their fields are called.

    Args:
        content_type: the request's header, which names the boundary.
        body: of the request.
        most_files: that it may have.

    Returns:
        The files, in order; at least one.

    Raises:
        UnreadableError: for what is no form, ends early, or has no file or too many.

    Example:
        >>> part = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a.csv"'
        >>> body = part + b"\\r\\n\\r\\na,b\\r\\n--x--\\r\\n"
        >>> uploads_of_form("multipart/form-data; boundary=x", body, 1)
        [Upload(name='a.csv', content=b'a,b')]
    """
    multipart = import_optional(
        "python_multipart.multipart", "forms are read with python-multipart", "jaxmlp[serve]"
    )
    found = list[Upload]()
    ended = list[bool]()

    def keep(file: Any) -> None:
        if len(found) == most_files:
            raise UnreadableError(f"the form holds more files; send {most_files} at most.", 413)
        file.file_object.seek(0)
        name = (file.file_name or b"").decode("utf-8", "replace")
        found.append(Upload(name, file.file_object.read()))

    try:
        _, options = multipart.parse_options_header(content_type)
        parser = multipart.FormParser(
            "multipart/form-data", lambda field: None, keep, lambda: ended.append(True),
            boundary=options.get(b"boundary"), config={"MAX_MEMORY_FILE_SIZE": float("inf")},
        )  # fmt: skip
        parser.write(body)
        parser.finalize()
    except UnreadableError:
        raise
    except Exception as error:  # of several kinds; which ones, the parser does not say
        raise UnreadableError("the upload cannot be read; send files as a form.") from error
    if not ended:
        raise UnreadableError("the form ends early; send it again.")
    if not found:
        raise UnreadableError("the form holds no file; send one.")
    return found
