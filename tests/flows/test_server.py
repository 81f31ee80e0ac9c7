"""The server of a command: on loopback, its pages ask itself, and it goes when it should."""

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows import database
from flows.server import QUIET, prefect_server, running_url, shared_server, ui_url
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
    (tmp_path / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9/api", "pid": 2**22 + 1}))
    assert running_url(tmp_path) is None
    (tmp_path / "server.json").write_text("{half")
    assert running_url(tmp_path) is None


def test_a_server_that_cannot_start_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(UserError, match=r"server\.log"), shared_server(tmp_path):
        pass


USER = """
import sys, time
from pathlib import Path
from flows.server import shared_server
with shared_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
print("left", flush=True)
"""


def user(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.slow
def test_a_server_is_shared_and_stops_with_its_last_user_however_that_ends(tmp_path: Path) -> None:
    first, second, elsewhere = user(tmp_path / "here"), user(tmp_path / "here"), user(tmp_path / "elsewhere")
    url, same, other = said(first), said(second), said(elsewhere)
    assert url == same != other, "started at once: one server for a folder, and a port for each"
    first.kill()
    first.wait()
    time.sleep(1)
    assert running_url(tmp_path / "here") == url, "the one who started it was killed; another uses it"
    third = user(tmp_path / "here")
    assert said(third) == url
    second.communicate("")
    assert running_url(tmp_path / "here") == url
    third.kill()
    elsewhere.communicate("")
    assert running_url(tmp_path / "elsewhere") is None, "whoever leaves last waits until it has stopped"
    deadline = time.monotonic() + 20
    while str(tmp_path) in subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline, "it outlived its users"
        time.sleep(0.2)
    assert not (tmp_path / "here" / "server.json").exists()


@pytest.mark.slow
def test_a_new_server_begins_with_a_copy_of_a_fresh_ones_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPE_CACHE", str(tmp_path / "cache"))

    def answered(name: str) -> tuple[float, set[tuple[str, str]]]:
        started = time.monotonic()
        with shared_server(tmp_path / name):
            seconds = time.monotonic() - started
            with sqlite3.connect(tmp_path / name / "prefect.db") as connection:
                return seconds, set(connection.execute("SELECT type, name FROM sqlite_master"))

    migrated, schema = answered("first")
    assert [path.suffix for path in (tmp_path / "cache" / "prefect").iterdir()] == [".db"]
    copied, same = answered("second")
    assert same == schema
    assert copied < migrated


def test_where_no_copy_can_be_kept_each_server_makes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file, where a folder is wanted")
    monkeypatch.setenv("KPE_CACHE", str(tmp_path / "cache"))
    with sqlite3.connect(tmp_path / "prefect.db") as connection:
        connection.execute("CREATE TABLE flow (id INTEGER)")
    database.keep(tmp_path / "prefect.db")
    assert not database.begin(tmp_path / "another.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "prefect.db"]
    assert database.begin(tmp_path / "prefect.db"), "what is there is left alone"
