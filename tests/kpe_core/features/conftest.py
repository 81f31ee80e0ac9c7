"""Data the extractors look at."""

import pytest

from kpe_core.data.datasets import Prepared, load
from kpe_core.study.specs import DataSpec


@pytest.fixture(scope="session")
def digits() -> Prepared:
    return load(DataSpec(name="digits"))


@pytest.fixture(scope="session")
def planar() -> Prepared:
    return load(DataSpec(name="dense_sparse"))
