"""Bytes per second as people write them."""

import math
import re

from kpe_core.errors import UserError

_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2.0**10, "mi": 2.0**20, "gi": 2.0**30, "ti": 2.0**40}
_WRITTEN = re.compile(r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(?:(?P<unit>[kmgt]i?)?b(?:/s|ps)?)?", re.I)


def bandwidth(text: str) -> float:
    """``200MB/s``, ``1.5 GB/s``, ``100 MiB/s`` or a number of bytes per second; returns bytes per second.

    Raises
    ------
    UserError
        when it is written otherwise, is in bits, or is not above zero.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or re.search(r"b(/s|ps)?$", text.strip()):
        raise UserError(
            f"--store-bandwidth {text!r}: expected bytes per second, such as 200MB/s, '1.5 GB/s' or 2e8 "
            "(B is bytes; of bits, an eighth)"
        )
    value = float(found["number"]) * _UNITS[(found["unit"] or "").lower()]
    if not 0 < value < math.inf:
        raise UserError(f"--store-bandwidth {text!r}: it must be above zero")
    return value
