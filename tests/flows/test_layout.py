"""Imports run one way: flows → tasks → kpe_core, and the library knows no orchestrator."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "kpe_core": {"flows", "tasks", "prefect", "prefect_dask", "dask", "distributed", "great_expectations"},
    "tasks": {"flows", "dask", "distributed"},
    "flows": set[str](),
}


def imported(path: Path) -> set[str]:
    """Top-level packages a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_run_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {str(f.relative_to(ROOT)): bad for f in files if (bad := imported(f) & FORBIDDEN[folder])}
    assert wrong == {}
