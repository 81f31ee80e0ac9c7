"""``kpe sql`` without a query: a shell on the terminal, or the statements of a pipe."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands.formats import FORMATS, chosen_format
from flows.commands.sql import Asking, answer
from kpe_core.catalog.analyses import analyses
from kpe_core.catalog.catalog import SQL, VIEWS, Catalog
from kpe_core.errors import StoreDamaged, UserError

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer

HELP = """\
.tables                 the views
.schema [NAME]          their columns; of one view with what they mean
.analyses               the questions in sql/analyses/
.mode [FORMAT]          table, csv, json, parquet or markdown
.output [FILE]          write each answer to FILE, replacing the last; none: to the screen
.io on|off              say how much of the trajectories each answer read
.help  .quit            this; leave (also Ctrl-D)

A statement may span lines and ends with a semicolon. Ctrl-C stops it. Nothing can be written to the store from here."""


class Shell:
    """What a line means; knows nothing of the terminal."""

    def __init__(self, catalog: Catalog, asking: Asking) -> None:
        self.catalog = catalog
        self.asking = asking
        self.done = False

    def do(self, text: str) -> None:
        """A dot command, or one or several SQL statements.

        Raises
        ------
        UserError
            for what cannot be understood or done.
        """
        if text.lstrip().startswith("."):
            self._command(text.strip())
            return
        statements, rest = split(text)
        for statement in [*statements, rest]:
            if statement.strip():
                answer(self.catalog, self.asking, statement)

    def _command(self, text: str) -> None:
        try:
            name, *arguments = shlex.split(text.rstrip(";"))
        except ValueError as error:
            raise UserError(f"{text}: {error}") from None
        commands: dict[str, tuple[Callable[..., None], int]] = {
            ".tables": (self._tables, 0), ".schema": (self._schema, 1), ".analyses": (self._analyses, 0),
            ".mode": (self._mode, 1), ".output": (self._output, 1), ".io": (self._io, 1), ".help": (self._help, 0),
            ".quit": (self._quit, 0), ".exit": (self._quit, 0),
        }  # fmt: skip
        if name not in commands:
            raise UserError(f"no command {name}; .help lists them")
        command, most = commands[name]
        if len(arguments) > most:
            raise UserError(f"{name} takes {'at most one word' if most else 'no words'}; .help says more")
        command(*arguments)

    def _tables(self) -> None:
        for view in sorted(VIEWS):
            print(f"{view:12}  {about(view)}")

    def _schema(self, name: str | None = None) -> None:
        if name is None:
            for view, columns in schema(self.catalog).items():
                print(f"{view}({', '.join(columns)})")
        elif name.lower() in VIEWS:
            print((SQL / "views" / f"{name.lower()}.sql").read_text(encoding="utf-8").strip())
            rows = self.catalog.ask(f"DESCRIBE {name}").to_pylist()
            print("\n" + "\n".join(f"{row['column_name']:18}  {row['column_type']}" for row in rows))
        else:
            raise UserError(f"no view {name!r}; there are {', '.join(sorted(VIEWS))}")

    def _analyses(self) -> None:
        for each in analyses():
            print(f"{each.name:22}  {each.title}")

    def _mode(self, name: str | None = None) -> None:
        if name is None:
            print(chosen_format(self.asking.format, self.asking.output))
            return
        chosen_format(name, None)
        self.asking.format = name

    def _output(self, name: str | None = None) -> None:
        self.asking.output = None if name is None else Path(name)

    def _io(self, switch: str | None = None) -> None:
        if switch not in ("on", "off"):
            raise UserError(".io on, or .io off")
        self.asking.io = switch == "on"

    def _help(self) -> None:
        print(HELP)

    def _quit(self) -> None:
        self.done = True


def run_shell(asking: Asking) -> None:
    """Until Ctrl-D or ``.quit``; from a pipe until its end or the first mistake."""
    chosen_format(asking.format, asking.output)
    with asking.open() as catalog:
        shell = Shell(catalog, asking)
        if not sys.stdin.isatty():
            for text in statements_of(sys.stdin):
                if not shell.done:
                    shell.do(text)
            return
        converse(shell)


def converse(shell: Shell) -> None:
    """Prompt, do, and go on after mistakes."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.filters import Condition

    session: Any = PromptSession(
        history=history(),
        completer=completer(shell.catalog),
        complete_while_typing=False,
        multiline=Condition(lambda: not is_complete(get_app().current_buffer.text)),
        prompt_continuation="  …> ",
    )
    print(f"{shell.catalog.store.url}, read-only. A statement ends with a semicolon; .help lists commands.")
    while not shell.done:
        try:
            shell.do(session.prompt("kpe> "))
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        except (UserError, StoreDamaged) as error:
            print(f"kpe: {error}", file=sys.stderr)


# -- text ------------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|;|(?P<open>['"]|/\*)|.""", re.DOTALL
)


def split(text: str) -> tuple[list[str], str]:
    """Statements that end with a semicolon outside quotes and comments, without it; and what follows the last one."""
    found: list[str] = []
    start = 0
    for token in _TOKEN.finditer(text):
        if token.group("open"):
            break
        if token.group() == ";":
            found.append(text[start : token.start()])
            start = token.end()
    return found, text[start:]


def is_complete(text: str) -> bool:
    """Whether Enter should run it: nothing, a dot command, or SQL up to its semicolon."""
    if not text.strip() or text.lstrip().startswith("."):
        return True
    statements, rest = split(text)
    bare = re.sub(r"--[^\n]*|/\*.*?\*/", "", rest, flags=re.DOTALL)
    return bool(statements) and not bare.strip()


def statements_of(lines: Iterable[str]) -> Iterator[str]:
    """The commands and statements of a script; the last one may lack its semicolon."""
    waiting = ""
    for line in lines:
        waiting += line
        if is_complete(waiting):
            yield waiting
            waiting = ""
    if waiting.strip():
        yield waiting


# -- what there is ---------------------------------------------------------------------------------------------------


def about(view: str) -> str:
    """The first line of a view's file."""
    first = (SQL / "views" / f"{view}.sql").read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("-- ").strip()


def schema(catalog: Catalog) -> dict[str, list[str]]:
    """Columns of every view."""
    return {view: catalog.ask(f"DESCRIBE {view}")["column_name"].to_pylist() for view in VIEWS}


def history() -> Any:
    """Kept in the user's state folder; forgotten at the end where that cannot be written."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "kpe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "sql_history", "ab"):
            pass
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(folder / "sql_history"))


def completer(catalog: Catalog) -> "Completer":
    """Views, columns, keywords, macros and dot commands; after ``view.`` or its alias that view's columns alone."""
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document

    columns = schema(catalog)
    keywords = catalog.query(
        "SELECT upper(keyword_name) AS k FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    )
    macros = catalog.query("SELECT DISTINCT function_name AS f FROM duckdb_functions() WHERE NOT internal")
    words = sorted({*columns, *(c for each in columns.values() for c in each), *macros["f"].to_pylist()})
    words += sorted(keywords["k"].to_pylist())

    class SqlCompleter(Completer):
        def get_completions(self, document: Document, complete_event: Any) -> Iterator[Completion]:
            before = document.text_before_cursor
            if match := re.fullmatch(r"\s*(\.\w*)(\s+(\w*))?", before):
                names = re.findall(r"^\.\w+|(?<=\s)\.quit", HELP, re.MULTILINE)
                choices = {".mode": FORMATS, ".schema": VIEWS, ".io": ("on", "off")}
                part, found = (match[1], names) if match[2] is None else (match[3], choices.get(match[1], ()))
            elif match := re.search(r"(\w+)\.(\w*)$", before):
                part, found = match[2], columns.get(_view_of(match[1], document.text, columns), [])
            else:
                part, found = re.search(r"\w*$", before).group(), words  # type: ignore[union-attr]
                if not part:
                    return
            for word in found:
                if word.lower().startswith(part.lower()):
                    yield Completion(word, start_position=-len(part))

    return SqlCompleter()


def _view_of(name: str, text: str, columns: dict[str, list[str]]) -> str:
    """The view that ``name`` is, or is the alias of."""
    if name.lower() in columns:
        return name.lower()
    match = re.search(rf"\b({'|'.join(columns)})\s+(?:as\s+)?{re.escape(name)}\b", text, re.IGNORECASE)
    return match[1].lower() if match else ""
