"""Reading the pickles CIFAR comes in, without running what a pickle can ask for."""

import io
import pickle
import re
from typing import Any

import numpy as np


class ForbiddenPickle(pickle.UnpicklingError):
    """The pickle names something that is no array."""


class _Dtype:
    """What a pickle says of a type of numbers. NumPy's own would believe any flags and fields it is given."""

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not re.fullmatch(r"[uif][1248]|b1", text):
            raise ForbiddenPickle(f"it wants values of type {code!r}, and numbers are allowed")
        self.code, self.dtype = text, np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        _, order, *_ = state
        text = order.decode("latin1") if isinstance(order, bytes) else order
        if text not in ("<", ">", "=", "|"):
            raise ForbiddenPickle(f"it wants the byte order {order!r}")
        self.dtype = np.dtype(text + self.code)


class _Array:
    """An array before its state is read. NumPy's own would believe any state it is given, and may crash on it."""

    def __init__(self, kind: object, shape: object, code: object) -> None:
        if kind is not ARRAY or shape != (0,) or code not in (b"b", "b"):
            raise ForbiddenPickle(f"it wants an array of shape {shape!r} before saying what is in it")
        self.values: np.ndarray = np.empty(0, np.int8)

    def __setstate__(self, state: Any) -> None:
        *_, shape, kind, fortran, data = state
        if not isinstance(kind, _Dtype) or not isinstance(data, bytes):
            raise ForbiddenPickle("it has an array of something other than numbers")
        self.values = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran is True else "C").copy()


ARRAY = object()
"""Stands for the class, which nobody may call."""
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): ARRAY,
    ("numpy", "dtype"): _Dtype,
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
        return _plain(_Arrays(io.BytesIO(data), encoding="bytes").load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise pickle.UnpicklingError(f"not a whole pickle ({error})") from None


def _plain(found: Any) -> Any:
    """With arrays in the place of what was read of them, at the top and in a dict's values, where data sets have them."""
    if isinstance(found, dict):
        return {key: value.values if isinstance(value, _Array) else value for key, value in found.items()}
    return found.values if isinstance(found, _Array) else found
