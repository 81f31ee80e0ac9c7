"""SQL of every shape: an answer or a sentence, and no trace of it."""

from pathlib import Path

from kpe_core.catalog.catalog import Catalog
from kpe_core.store.store import Store
from tests.fuzz.conftest import Fuzz
from tests.fuzz.targets_sql import sql


def test_statements(fuzz: Fuzz, sandbox: Path, tiny_store: Store) -> None:
    with Catalog(tiny_store, memory="1GB") as catalog:
        fuzz(sql(sandbox, catalog), 300)
