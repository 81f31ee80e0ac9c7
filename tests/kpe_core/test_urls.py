"""Secrets in URLs go nowhere."""

import pytest

from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.urls import without_credentials
from kpe_core.watch.folder import Watched


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://me:secret@host:4200/ui", "http://host:4200/ui"),
        ("https://host/proxy/8787/status?token=secret#x", "https://host/proxy/8787/status"),
        (None, None),
    ],
)
def test_no_credentials_are_kept(url: str | None, told: str | None) -> None:
    assert without_credentials(url) == told


@pytest.mark.parametrize("place", [Store, Watched])
@pytest.mark.parametrize(
    "url", ["s3://me:canary@bucket/store", "s3://canary@bucket", "ftp://me:canary@host/x", "s3://bucket/x?key=canary"]
)
def test_a_place_with_a_secret_in_its_url_is_refused_without_repeating_it(place: type, url: str) -> None:
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID") as refused:
        place(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("url", ["a@b/store", "s3://bucket/a@b", "/tmp/x?y"])
def test_other_places_are_taken(url: str) -> None:
    assert Store(url).url.endswith(url.rpartition("/")[2])
