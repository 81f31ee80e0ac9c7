"""``kpe sql``: formats, files, the shell's commands, pipes; by the real command where it matters."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flows.commands.shell import Shell, completer, history, is_complete, split, statements_of
from flows.commands.sql import Asking, ask
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import UserError
from kpe_core.store.store import Store

QUERY = """
    SELECT sample, kpe, kpe > 1 AS much, NULL AS nothing, [kpe, 'nan'::DOUBLE] AS pair
    FROM samples ORDER BY ALL LIMIT 60"""


@pytest.fixture
def shell(tiny_store: Store) -> Iterator[Shell]:
    with Catalog(tiny_store) as catalog:
        yield Shell(catalog, Asking(tiny_store.url))


@pytest.fixture
def truth(tiny_store: Store) -> list[dict]:
    with Catalog(tiny_store) as catalog:
        return list(catalog.ask(QUERY).to_pylist())


def kpe(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "sql", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)


def test_formats_hold_the_same_answer(tiny_store: Store, truth: list[dict], tmp_path: Path) -> None:
    for name in ("csv", "json", "parquet", "md"):
        ask(Asking(tiny_store.url, output=tmp_path / f"a.{name}"), QUERY)
    kpes = [row["kpe"] for row in truth]
    assert pd.read_csv(tmp_path / "a.csv").kpe.tolist() == pytest.approx(kpes, rel=1e-12)
    assert json.loads(pd.read_csv(tmp_path / "a.csv").pair[0]) == [kpes[0], None]
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["kpe"] for row in rows] == kpes
    assert rows[0]["pair"] == [kpes[0], None], "NaN is not JSON"
    assert pq.read_table(tmp_path / "a.parquet")["kpe"].to_pylist() == kpes
    lines = (tmp_path / "a.md").read_text().splitlines()
    assert lines[0] == "| sample | kpe | much | nothing | pair |"
    assert len(lines) == 62
    assert {len(line.split(" | ")) for line in lines} == {5}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.json", "a.md", "a.parquet"]


def test_a_table_shows_its_first_rows(tiny_store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ask(Asking(tiny_store.url, io=True), "SELECT * FROM states")
    shown, said = (text.decode() for text in capfdbinary.readouterr())
    assert "the first 50 rows" in shown
    assert "chunks of trajectories" in said


def test_a_failed_answer_leaves_the_file_alone(tiny_store: Store, tmp_path: Path) -> None:
    kept = tmp_path / "a.csv"
    kept.write_text("mine")
    for wrong in ("SELECT error('no') FROM samples", "SELECT nothing", "DROP VIEW samples"):
        with pytest.raises(UserError, match=r"^SQL: "):
            ask(Asking(tiny_store.url, output=kept), wrong)
    assert kept.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [kept]
    with pytest.raises(UserError, match="cannot write"):
        ask(Asking(tiny_store.url, output=tmp_path / "no" / "a.csv"), "SELECT 1")
    with pytest.raises(UserError, match="no format 'xml'; there are table, csv"):
        ask(Asking(tiny_store.url, format="xml"), "SELECT 1")
    with pytest.raises(UserError, match="is no folder"):
        ask(Asking(tiny_store.url, allow_read=tmp_path / "no"), "SELECT 1")


def test_dot_commands(shell: Shell, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for command, expected in [
        (".tables", "trajectory    One row per run"), (".schema", "steps(run, sample, step, t"), (".help", ".analyses"),
        (".schema trajectory", "x                   FLOAT"), (".analyses", "kpe_quantiles"), (".mode", "table"),
    ]:  # fmt: skip
        shell.do(command)
        assert expected in capfd.readouterr().out
    shell.do(".mode csv")
    shell.do(f".output {tmp_path}/o.csv")
    shell.do("SELECT 1 AS a;")
    shell.do(".output")
    shell.do("SELECT 2 AS b; SELECT ';' AS c;")
    assert (tmp_path / "o.csv").read_text() == '"a"\n1\n'
    assert capfd.readouterr().out == '"b"\n2\n"c"\n";"\n'
    shell.do(".io on")
    shell.do("SELECT count(x) AS n FROM states WHERE sample = 0;")
    assert "read 3 of 24 chunks" in capfd.readouterr().err
    for wrong in (".nothing", ".schema a b", ".schema nowhere", ".io", ".mode xml", ".output 'a"):
        with pytest.raises(UserError):
            shell.do(wrong)
    shell.do(".quit")
    assert shell.done


@pytest.mark.parametrize(("text", "complete"), [
    ("", True), (".tables", True), ("SELECT 1", False), ("SELECT 1;", True), ("SELECT ';", False), ("SELECT ';';", True),
    ("SELECT 1; -- done", True), ("SELECT 1 -- ;", False), ("SELECT /* ; */ 1", False), ("SELECT 1; SELECT", False),
    ('SELECT ";"', False), ("SELECT $$;$$", False), ("SELECT $$;$$;", True), ("SELECT /* ;", False),
    ("SELECT 'it''s;'", False),
])  # fmt: skip
def test_a_statement_ends_with_its_semicolon(text: str, complete: bool) -> None:
    assert is_complete(text) == complete


def test_scripts_are_cut_into_statements() -> None:
    assert split("SELECT ';'; SELECT 2; SELECT") == (["SELECT ';'", " SELECT 2"], " SELECT")
    lines = [".tables\n", "SELECT\n", "1;\n", "SELECT 2"]
    assert list(statements_of(lines)) == [".tables\n", "SELECT\n1;\n", "SELECT 2"]


def test_completion(shell: Shell) -> None:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    complete = completer(shell.catalog)

    def offered(text: str, cursor: int | None = None) -> list[str]:
        document = Document(text, len(text) if cursor is None else cursor)
        return [c.text for c in complete.get_completions(document, CompleteEvent())]

    assert offered("SELECT * FROM trajectory JOIN states") == ["states"]
    assert "kpe_early" in offered("SELECT kpe_")
    assert "wilson_low" in offered("SELECT wil")
    assert "SELECT" in offered("sel")
    assert offered("SELECT s.kpe_e FROM samples s", 14) == ["kpe_early", "kpe_error"]
    assert set(offered("SELECT trajectory.")) == {"run", "sample", "state", "t", "coordinate", "x"}
    assert offered(".mo") == [".mode"]
    assert offered(".mode c") == ["csv"]
    assert offered(".schema sco") == ["scores"]


def test_the_shell_on_a_terminal(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lines until the semicolon, a mistake that ends nothing, Ctrl-C that drops the line, Ctrl-D that leaves."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from flows.commands.shell import converse

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text(".mode csv\nSELECT 1\n  AS a;\nSELECT nothing;\nSELECT lost\x03SELECT 2 AS b;\n\x04")
        converse(shell)
    shown = capfd.readouterr()
    assert shown.out.endswith('"a"\n1\n"b"\n2\n')
    assert shown.err.startswith("kpe: SQL: ")
    assert len(shown.err.splitlines()) == 1
    assert "AS a;" in (tmp_path / "kpe" / "sql_history").read_text()


def test_history_is_kept_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    history().append_string("SELECT 1;")
    assert "SELECT 1;" in (tmp_path / "kpe" / "sql_history").read_text()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    history().append_string("forgotten")


def test_the_command_reads_a_pipe_and_stops_at_the_first_mistake(tiny_store: Store) -> None:
    done = kpe("--store", tiny_store.url, text=".mode csv\nSELECT 1\n  AS a;\nSELECT 2 AS b")
    assert (done.returncode, done.stdout) == (0, '"a"\n1\n"b"\n2\n')
    assert done.stderr == ""
    done = kpe("--store", tiny_store.url, text="SELECT nothing;\nSELECT 2 AS b;")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kpe: SQL: ")
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_stops_the_statement(tiny_store: Store) -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range < 0"
    command = [sys.executable, "-m", "flows.cli", "sql", endless, "--store", tiny_store.url]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(6)
    assert running.poll() is None
    os.kill(running.pid, signal.SIGINT)
    assert "Traceback" not in running.communicate(timeout=20)[1]
    assert running.returncode == 130
