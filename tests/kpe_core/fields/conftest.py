from collections.abc import Iterator

import pytest

from kpe_core.fields.bridges import COSINE, LINEAR, Bridge, bridge
from kpe_core.study.specs import FormulaBridge, PolynomialBridge
from kpe_core.threads import one_thread

BRIDGES = {
    "linear": LINEAR,
    "cosine": COSINE,
    "polynomial": bridge(PolynomialBridge(coefficients=(0.5, 0.0, 0.5))),
    "formula": bridge(FormulaBridge(gamma="sin(pi * t / 2)", rate="pi / 2 * cos(pi * t / 2)")),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(params=BRIDGES)
def any_bridge(request: pytest.FixtureRequest) -> Bridge:
    return BRIDGES[request.param]
