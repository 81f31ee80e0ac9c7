"""Objects that carry their own checksum, so that one flipped bit is noticed by whoever reads them.

JSON lies inside ``{"sha256": …, "holds": …}``, the hash being of the very bytes after ``"holds":``. A Parquet file has a
*seal* between its last page and its footer, where no reader looks: the hashes of what is before and after it. So the
footer, which every reader needs first and which is small, is checked without reading the rest (``require_footer``), and
the rest by the pages' own checksums as they are read (``PARQUET``, and whoever scans asks for their verification).
"""

import hashlib
import json
import re
from typing import Any

from kpe_core.documents import parse_json

_COMMENT = b"\n<!-- sha256 %s -->\n"

_OPEN = b'{"sha256": "%s",\n"holds":\n'
_CLOSE = b"\n}\n"
_OPENED = re.compile(rb'\{"sha256": "([0-9a-f]{64})",\n"holds":\n')

PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
"""How pyarrow writes a store's Parquet files."""
_MAGIC = b"PAR1"
_SEAL = b"kpe-seal"
SEAL_BYTES = len(_SEAL) + 64
"""Of the seal: its name, the hash of what is before it, and of what is after it."""


class Broken(ValueError):
    """The bytes are not what was sealed. Says in which way, without the object's name, which only its reader knows."""


def sealed_json(value: Any) -> bytes:
    """``value`` as JSON with its hash."""
    body = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()
    return _OPEN % hashlib.sha256(body).hexdigest().encode() + body + _CLOSE


def opened_json(data: bytes) -> Any:
    """The value that ``sealed_json`` was given.

    Raises
    ------
    Broken
        when ``data`` is anything but what it made of it.
    """
    start = _OPENED.match(data)
    if start is None or not data.endswith(_CLOSE):
        raise Broken("is not valid JSON with a checksum, as every JSON object of a store is")
    body = data[start.end() : -len(_CLOSE)]
    if hashlib.sha256(body).hexdigest().encode() != start[1]:
        raise Broken("is not what was written there: its checksum is another one")
    try:
        return parse_json(body)
    except ValueError as error:
        raise Broken(f"is not valid JSON: {error}") from None


def sealed_parquet(data: bytes) -> bytes:
    """A Parquet file with its seal; readers see the same file."""
    at = len(data) - _footer_bytes(data[-8:])
    return data[:at] + _seal(data[:at], data[at:]) + data[at:]


def require_footer(tail: bytes) -> None:
    """That a Parquet file's footer is as it was written. ``tail``: the file's last bytes, as many as ``tail_bytes`` says.

    Raises
    ------
    Broken
        when it is not.
    """
    seal, footer = tail[:SEAL_BYTES], tail[SEAL_BYTES:]
    if seal[: len(_SEAL)] != _SEAL or seal[len(_SEAL) + 32 :] != hashlib.sha256(footer).digest():
        raise Broken("is not what was written there: its footer's checksum is another one")


def tail_bytes(last: bytes) -> int:
    """How many bytes at the end of a Parquet file are seal and footer, from its ``last`` eight.

    Raises
    ------
    Broken
        when they are not a Parquet file's.
    """
    return SEAL_BYTES + _footer_bytes(last)


def require_parquet(data: bytes) -> None:
    """That all of a Parquet file is as it was written.

    Raises
    ------
    Broken
        when it is not.
    """
    size = tail_bytes(data[-8:])
    if size > len(data):
        raise Broken("is not a Parquet file: its end is not one's")
    require_footer(data[-size:])
    if data[-size:][len(_SEAL) : len(_SEAL) + 32] != hashlib.sha256(data[:-size]).digest():
        raise Broken("is not what was written there: its checksum is another one")


def _footer_bytes(last: bytes) -> int:
    if last[4:] != _MAGIC:
        raise Broken("is not a Parquet file: its end is not one's")
    return int.from_bytes(last[:4], "little") + 8


def _seal(before: bytes, after: bytes) -> bytes:
    return _SEAL + hashlib.sha256(before).digest() + hashlib.sha256(after).digest()


def sealed_html(page: str) -> bytes:
    """A page with its hash in a comment at its end."""
    body = page.encode()
    return body + _COMMENT % hashlib.sha256(body).hexdigest().encode()


def require_html(data: bytes) -> None:
    """That a page is as it was written.

    Raises
    ------
    Broken
        when it is not.
    """
    size = len(_COMMENT) - 2 + 64
    if data[-size:] != _COMMENT % hashlib.sha256(data[:-size]).hexdigest().encode():
        raise Broken("is not what was written there: its checksum is another one")


def sealed_bytes(data: bytes) -> bytes:
    """``data`` after its hash, for what only this project reads."""
    return hashlib.sha256(data).digest() + data


def opened_bytes(sealed: bytes) -> bytes:
    """What ``sealed_bytes`` was given.

    Raises
    ------
    Broken
        when ``sealed`` is anything but what it made of it.
    """
    if sealed[:32] != hashlib.sha256(sealed[32:]).digest():
        raise Broken("is not what was written there: its checksum is another one")
    return sealed[32:]
