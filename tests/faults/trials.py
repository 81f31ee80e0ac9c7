"""``make faults``: a small study under one fault at a time, run again, compared bit for bit with one left in peace.

Every trial is one line of ``FOLDER/trials.jsonl``; the same command goes on where it was. Faults take turns, each at a
moment drawn from a seed that is its fault's name and its number. Stores name the commit that made them, so commit nothing
meanwhile, or run it in a clone.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.server import shared_server
from tests.faults import machine, power
from tests.faults.disturbed import Running, Setting, await_work
from tests.faults.s3 import lose_requests
from tests.faults.stages import Stages, preload

Fault = Callable[[Setting, float, random.Random], Running]

FAULTS: dict[str, Fault] = {
    "a worker killed": machine.kill_worker,
    "all workers killed": machine.kill_workers,
    "the driver killed": machine.kill_driver,
    "power lost": power.lose_power,
    "the disk full": machine.fill_disk,
    "the scheduler killed": machine.kill_scheduler,
    "a worker stopped": machine.stop_worker,
    "everything killed": machine.kill_everything,
    "permission lost": machine.take_permission,
    "a worker out of memory": machine.end_memory,
    "the clock jumps ahead by hours": machine.jump_clock,
    "the clock set right by seconds": machine.correct_clock,
    "the clock set back by hours": machine.set_back_clock,
    "copied while running": machine.copy_meanwhile,
    "the Prefect server killed": machine.kill_server,
    "S3 fails, lies and loses": lose_requests,
}
SURVIVED = (
    "a worker killed", "the clock jumps ahead by hours", "the clock set right by seconds", "the clock set back by hours",
    "copied while running", "S3 fails, lies and loses",
)  # fmt: skip
"""What a run is to survive by itself."""
OF_STAGES = (
    "everything killed", "the disk full", "permission lost", "a worker out of memory", "power lost", "copied while running",
)  # fmt: skip
"""What can be tried without `kpe run`'s other processes."""


def trial(name: str, number: int, folder: Path, bench: "Bench") -> dict[str, Any]:
    """One fault, once: what came of it."""
    chance = random.Random(f"{name} {number}")
    moment = chance.uniform(0.0, 0.9 * bench.work_seconds)
    told: dict[str, Any] = {"fault": name, "number": number, "moment": round(moment, 2), "hung": False}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    with ExitStack() as stack:
        where = folder / "store"
        try:
            if name == "the disk full":
                where = stack.enter_context(machine.small_disk(folder / "disk")) / "store"
            setting = bench.kind(folder, str(where), bench.environment)
            first = FAULTS[name](setting, moment, chance)
            code = first.wait()
            first.end()
            told |= {"first": code, "hung": code is None}
            kept = setting.committed()
            setting.to_the_end()
            after = setting.committed()
            told["lost"] = sum(after.get(path) != date for path, date in kept.items())
            setting.assert_same_as(bench.reference)
            if (copied := folder / "copied").exists():
                copy = bench.kind(folder, str(copied), bench.environment)
                try:
                    copy.to_the_end()
                    copy.assert_same_as(bench.reference)
                except AssertionError:
                    told["copy"] = "damaged, and `kpe verify` names it"
                    assert copy.is_damaged(), "the copy differs, and `kpe verify` finds nothing"
            told["identical"] = told["lost"] == 0 and (name not in SURVIVED or code == 0)
            if not told["identical"]:
                told["error"] = first.said()[-3000:]
        except (machine.CannotBeTried, machine.Missed) as why:
            return told | {"skipped": str(why)}
        except Exception as error:
            told |= {"identical": False, "error": str(error)[-3000:]}
    told["seconds"] = round(time.monotonic() - started, 1)
    if told["identical"]:
        shutil.rmtree(folder, ignore_errors=True)
    return told


@dataclass
class Bench:
    """Where trials are made, and what they are compared with: the study run there once, in peace."""

    folder: Path
    kind: type[Setting]
    environment: dict[str, str]

    def __post_init__(self) -> None:
        self.reference = self.folder / "reference"
        told = self.folder / "undisturbed.json"
        if not told.exists():
            shutil.rmtree(self.reference, ignore_errors=True)
            started = time.monotonic()
            running = self.kind(self.folder, str(self.reference), self.environment).start()
            await_work(running, self.reference)
            begun = time.monotonic()
            assert running.wait() == 0, running.said()
            ended = time.monotonic()
            told.write_text(json.dumps({"all": ended - started, "work": ended - begun}))
        seconds = json.loads(told.read_text())
        self.seconds, self.work_seconds = float(seconds["all"]), float(seconds["work"])
        """Of the whole run, and since it came to its work."""


def table(trials: list[dict[str, Any]], undisturbed: float) -> str:
    rows = [
        "| fault | trials | survived identical | of these hung till ended | seconds beyond undisturbed, median |",
        "|---|---|---|---|---|",
    ]
    for name in FAULTS:
        if mine := [t for t in trials if t["fault"] == name and "skipped" not in t]:
            beyond = sorted(t["seconds"] - undisturbed for t in mine)[len(mine) // 2]
            same, hung = (sum(t[what] for t in mine) for what in ("identical", "hung"))
            rows.append(f"| {name} | {len(mine)} | {same} | {hung} | {beyond:.0f} |")
    done = [t for t in trials if "skipped" not in t]
    rows.append(f"| all | {len(done)} | {sum(t['identical'] for t in done)} | {sum(t['hung'] for t in done)} | |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=210, help="of all faults together")
    parser.add_argument("--folder", type=Path, default=Path("faults"))
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--but", default="-", help="faults whose name does not contain this")
    parser.add_argument("--until", help="start no trial after that time of day, HH:MM")
    parser.add_argument("--stages", action="store_true", help="all stages in one process, not `kpe run`")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if options.stages:
            preload()
            bench = Bench(folder, Stages, {})
        else:
            api = stack.enter_context(shared_server(folder / "prefect"))
            bench = Bench(folder, Setting, {"PREFECT_API_URL": api})
        names = [n for n in (OF_STAGES if options.stages else FAULTS) if options.only in n and options.but not in n]
        trials = _trials(bench, names, options.trials, options.until)
    print(table(trials, bench.seconds))
    return 0 if all(t.get("identical", True) for t in trials) else 1


def _trials(bench: Bench, names: list[str], n: int, until: str | None) -> list[dict[str, Any]]:
    """Those recorded, and what is missing to ``n``."""
    record = bench.folder / "trials.jsonl"
    trials = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    done = {(t["fault"], t["number"]) for t in trials}
    for k in range(n):
        name, number = names[k % len(names)], k // len(names)
        if (name, number) in done:
            continue
        if until and time.strftime("%H:%M") >= until:
            break
        told = trial(name, number, bench.folder / f"trial-{k}", bench)
        trials.append(told)
        with record.open("a") as f:
            f.write(json.dumps(told) + "\n")
        print(json.dumps({k: v for k, v in told.items() if k != "error"}), told.get("error", ""), flush=True)
    return trials
