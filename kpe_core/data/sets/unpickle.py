"""Reading the pickles CIFAR comes in, without running what a pickle can ask for."""

import io
import pickle
import re
from typing import Any

import numpy as np


class ForbiddenPickle(pickle.UnpicklingError):
    """The pickle names something that is no array."""


def _array(kind: object, shape: object, code: object) -> np.ndarray:
    """The empty array that NumPy's own pickles begin with; what else could be asked of that function fills memory."""
    if kind is not ARRAY or shape != (0,) or code not in (b"b", "b"):
        raise ForbiddenPickle(f"it wants an array of shape {shape!r} before saying what is in it")
    return np.ndarray((0,), np.int8)


def _dtype(code: object, *_: object) -> np.dtype:
    """A type of numbers, never of objects; a copy, since pickles go on to set its state."""
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(text, str) or not re.fullmatch(r"[uif][1248]|b1", text):
        raise ForbiddenPickle(f"it wants values of type {code!r}, and numbers are allowed")
    return np.dtype(text, False, True)


ARRAY = object()
"""Stands for the class, which nobody may call."""
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): _dtype,
}
"""All that a pickled array of numbers needs."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1  # how Python 3 spells the bytes of an array in the oldest protocols
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise ForbiddenPickle(f"it wants to call {module}.{name}, which no data set needs") from None


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ForbiddenPickle(f"it wants the codec {encoding!r}")
    return text.encode("latin1")


def unpickle(data: bytes) -> Any:
    """Numbers, bytes, lists, dicts and arrays of numbers; Python 2's strings become bytes.

    Raises
    ------
    pickle.UnpicklingError
        for anything else, before any of it is called; for what is no pickle or not a whole one.
    """
    try:
        return _Arrays(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise pickle.UnpicklingError(f"not a whole pickle ({error})") from None
