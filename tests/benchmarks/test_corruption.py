"""``make corrupt``: hundreds of single flipped bits, one at a time, and a table of what came of them."""

import itertools
import os
from pathlib import Path

from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tests.conftest import run_serially
from tests.kpe_core.stages.conftest import SMALL
from tests.kpe_core.stages.flips import PLACES, Tally, answers, corrupt, paths_by_kind, table, with_everything

FLIPS = int(os.environ.get("KPE_FLIPS") or 300)


def test_every_flip_is_found_and_none_is_answered_from(tmp_path: Path) -> None:
    """Kind by kind in turn, other objects, places and bits each time round."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    study, store = load_study(str(file)), Store.create_or_open(str(tmp_path / "store"))
    run_serially(study, store, shard_size=20)
    with_everything(store, study)
    asked = answers(store)
    kinds, tallies = paths_by_kind(store), dict[str, Tally]()
    rounds = ((turn, i, kind) for turn in itertools.count() for i, kind in enumerate(kinds))
    for turn, i, kind in itertools.islice(rounds, FLIPS):
        path = kinds[kind][(turn * 7 + i) % len(kinds[kind])]
        corrupt(store, path, PLACES[(turn + i) % 3], (turn + i) % 8, asked, tallies.setdefault(kind, Tally()))
    print("\n" + table(tallies))
    assert all(tally.found == tally.tried for tally in tallies.values())
    assert all(tally.repaired + tally.removed == tally.tried for tally in tallies.values())
    assert all(tally.wrong == 0 for tally in tallies.values())
