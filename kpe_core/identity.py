"""Identities: a thing's id is the hash of everything that determines its numbers, and of nothing else."""

import hashlib
import json
from typing import Any

NUMERICS_VERSION = 2
"""Raised whenever the same spec would give other numbers. Part of every id."""

FORMAT_VERSION = 4
"""Raised whenever the layout of a store changes. 4: every object carries a checksum."""

FORMAT_SINCE = "0.2.0"
"""The first version of this project that reads it, which a store tells to those that do not."""

SEALED_SINCE = 4
"""The first format whose ``store.json`` carries its own checksum."""


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no blanks, shortest floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(*parts: Any, length: int = 16) -> str:
    """Hex id (``length`` digits of SHA-256) of JSON values, together with the numerics version."""
    payload = canonical_json([NUMERICS_VERSION, *parts])
    return hashlib.sha256(payload.encode()).hexdigest()[:length]


def canonical_digest(value: Any) -> str:
    """SHA-256, in hex, of a JSON value in its one spelling."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
