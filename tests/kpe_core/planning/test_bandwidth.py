import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpe_core.errors import UserError
from kpe_core.planning.bandwidth import bandwidth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200MB/s", 2e8),
        ("1.5 GB/s", 1.5e9),
        ("100 MiB/s", 100 * 2**20),
        ("2 TB/s", 2e12),
        ("500kb/S".replace("b", "B").replace("S", "s"), 5e5),
        ("64 B/s", 64.0),
        ("200000000", 2e8),
        ("2e8", 2e8),
        (" 10GB ", 1e10),
        ("1GBps", 1e9),
    ],
)
def test_what_people_write(text: str, value: float) -> None:
    assert bandwidth(text) == value


@pytest.mark.parametrize(
    "text", ["fast", "", "MB/s", "200 Mb/s", "10 Gbps", "nan", "inf", "1e999", "1,5 GB/s", "3 parsecs"]
)
def test_what_is_no_bandwidth(text: str) -> None:
    with pytest.raises(UserError, match="--store-bandwidth"):
        bandwidth(text)


@pytest.mark.parametrize("text", ["0", "0 GB/s", "-5MB/s", "-1"])
def test_none_at_all(text: str) -> None:
    with pytest.raises(UserError, match="above zero"):
        bandwidth(text)


@given(st.integers(1, 10**6))
def test_units_are_thousands(n: int) -> None:
    assert (
        bandwidth(f"{n} GB/s")
        == pytest.approx(1000 * bandwidth(f"{n} MB/s"))
        == pytest.approx(1e6 * bandwidth(f"{n}kB/s"))
    )
