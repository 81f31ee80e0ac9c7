"""Reading the pickles CIFAR comes in, without running what a pickle can ask for."""

import io
import pickle
from typing import Any

import numpy as np

RECONSTRUCT = np.empty(0).__reduce__()[0]
"""The function that NumPy's own pickles name."""
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that a pickled array of numbers needs."""


class ForbiddenPickle(pickle.UnpicklingError):
    """The pickle names something that is no array."""


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
