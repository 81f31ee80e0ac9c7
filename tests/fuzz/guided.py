"""``make fuzz-guided``: the same targets, with inputs drawn by what a fuzzer finds to reach new code (Atheris).

The fuzzer's bytes decide what a target's generator draws; where they end, chance goes on that they are the seed of. So it
mutates decisions, not texts, and every input is one that the target's generator could have made.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).parents[2]
INSTRUMENTED = ["kpe_core", "flows", "yaml"]
LONGEST = 1024
"""Bytes of decisions."""


class Decided(random.Random):
    """Chance that the fuzzer decides, as long as its bytes last."""

    def __init__(self, decisions: bytes) -> None:
        super().__init__(decisions)
        self._decisions, self._at = decisions, 0

    def getrandbits(self, k: int) -> int:
        size = (k + 7) // 8
        if self._at + size > len(self._decisions):
            return super().getrandbits(k)
        self._at += size
        return int.from_bytes(self._decisions[self._at - size : self._at], "little") >> (8 * size - k)

    def random(self) -> float:
        return self.getrandbits(53) / 2**53


def targets(sandbox: Path) -> dict[str, Callable[[], Any]]:
    """By name, what builds each."""
    from kpe_core.catalog.catalog import Catalog
    from kpe_core.store.store import Store
    from kpe_core.study.load import load_study
    from tests.conftest import TINY, run_serially
    from tests.fuzz import targets_files, targets_sql, targets_text

    def store() -> str:
        """A small study's, run to its end."""
        study = sandbox / "tiny.yaml"
        study.write_text(TINY)
        made = Store.create_or_open(str(sandbox.parent / "tiny-store"))
        run_serially(load_study(str(study)), made)
        return made.url

    def copied() -> tuple[str, str]:
        """It and a run of it, where the target may write."""
        place = str(sandbox / "store")
        shutil.copytree(store(), place)
        return place, Store.open(place).list("runs")[0]

    return {
        "study": lambda: targets_text.study(sandbox),
        "set": lambda: targets_text.overrides(sandbox),
        "formulas": lambda: targets_text.formula(sandbox),
        "profiles": lambda: targets_text.profile(sandbox),
        "names": lambda: targets_text.names(sandbox),
        "arguments": lambda: targets_text.command(sandbox, *copied()),
        "sql": lambda: targets_sql.sql(sandbox, Catalog(Store.open(store()), memory="1GB")),
        "arrays": lambda: targets_files.arrays(sandbox),
        "trees": lambda: targets_files.trees(sandbox),
        "pickles": lambda: targets_files.batches(sandbox),
        "checkpoints": lambda: targets_files.checkpoints(sandbox),
        "folders": lambda: targets_files.folders(sandbox),
        "store": lambda: targets_files.stores(sandbox, store()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--corpus", type=Path, required=True, help="keeps inputs that reached new code")
    options = parser.parse_args()
    sandbox = Path(tempfile.mkdtemp(), "sandbox")
    for name in ("tmp", "cache", "home"):
        (sandbox / name).mkdir(parents=True)
    os.environ |= {"HOME": str(sandbox / "home"), "KPE_CACHE": str(sandbox / "cache")}
    tempfile.tempdir = str(sandbox / "tmp")
    corpus = options.corpus.resolve() / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    os.chdir(sandbox)
    sys.path.insert(0, str(ROOT))
    import tests

    tests.__path__ = [str(ROOT / "tests"), *tests.__path__]  # some distributions install a package of that name, too
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.harness import HEADING, Tally, judge, limited_memory, made

        known = targets(sandbox)
        if options.target not in known:
            parser.error(f"there is no target {options.target!r}; there are {', '.join(known)}")
        target = known[options.target]()
    tally, end = Tally(options.target), time.monotonic() + options.seconds

    def one(decisions: bytes) -> None:
        if time.monotonic() > end:
            print(f"\n{HEADING}\n{tally.row()}\n{tally.details()}", flush=True)
            shutil.rmtree(sandbox.parent, ignore_errors=True)
            os._exit(bool(tally.misbehaved))
        misbehaved = tally.misbehaved.total()
        given = made(target, Decided(decisions))
        with limited_memory():  # of each input: what the fuzzer itself keeps grows
            judge(target, given, tally.inputs, tally)
        if tally.misbehaved.total() > misbehaved:
            (corpus.parent / f"{options.target}-misbehaved-{tally.inputs - 1}").write_bytes(decisions)

    # The harness has its own alarm and its own limit of memory.
    quiet = ["-timeout=0", "-handle_alrm=0", "-rss_limit_mb=0", "-print_final_stats=1", f"-max_len={LONGEST}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atheris.Setup([sys.argv[0], *quiet, "-len_control=0", str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
