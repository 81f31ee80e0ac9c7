"""The server of a command: on loopback, its pages ask itself, and it goes when it should."""

import json
import os
import urllib.request
from pathlib import Path

import pytest

from flows.server import QUIET, prefect_server, running_url, start, ui_url
from kpe_core.errors import UserError
from kpe_core.store.store import Store


def test_its_pages_ask_itself_and_it_stays_on_loopback(prefect_api: str) -> None:
    assert prefect_api.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{ui_url(prefect_api)}/ui-settings") as answer:
        assert json.load(answer)["api_url"] == prefect_api


def test_a_configured_server_is_used(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET:
        monkeypatch.setenv(name, QUIET[name])
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    store = Store.create_or_open(str(tmp_path))
    with prefect_server(store) as url:
        assert url == prefect_api
    assert os.environ["PREFECT_API_URL"] == prefect_api
    assert not (tmp_path / "prefect").exists()


def test_a_record_of_a_server_that_died_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9/api", "pid": 1}))
    assert running_url(tmp_path) is None
    (tmp_path / "server.json").write_text("{half")
    assert running_url(tmp_path) is None


def test_a_server_that_cannot_start_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UserError, match=r"server\.log"), start(tmp_path):
        pass
