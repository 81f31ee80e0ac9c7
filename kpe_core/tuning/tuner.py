"""The search: generations of shapings, halved on rising sample counts, each trial an ordinary run of the store.

Trials are judged by what they change, on the same noise: F_mem and Fréchet distance minus the plain run's with as many
samples. The Fréchet distance's bias of small samples is the same on both sides and mostly cancels, so that trials which
stopped at different rungs can be told to the optimiser together.

Successive halving: Jamieson and Talwalkar, *Non-stochastic Best Arm Identification* (AISTATS 2016), with the better half
by non-dominated sorting in the place of the best.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kpe_core.errors import QualityFailed, UserError
from kpe_core.stages.compare import comparison_path, pairs
from kpe_core.stages.manifest import is_finalised
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import ShapingSpec, Study
from kpe_core.tuning.fronts import Pair, better_half
from kpe_core.tuning.history import Entry, History, tuning_id
from kpe_core.tuning.optimiser import Known, propose
from kpe_core.tuning.points import PUBLISHED, Point, point_of, shaping_of
from kpe_core.tuning.target import Target

Compute = Callable[[Study], None]
"""Runs a study into the store; runs that fail their checks, or whose numbers break down, may be missing afterwards."""
Tell = Callable[[str], None]


@dataclass
class _Trial:
    number: int
    generation: int
    point: Point
    objectives: Pair | None = None
    """Of the highest rung it came to; None where its run failed there."""

    @property
    def shaping(self) -> ShapingSpec:
        return shaping_of(self.point)


@dataclass(frozen=True)
class Tuned:
    """A finished search."""

    tuning: str
    trials: int
    final: Study
    """Of every shaping that came to the last rung."""


@dataclass
class Tuner:
    """Searches for ``target`` in ``store``; everything it decides depends on the target and the runs' numbers alone."""

    store: Store
    target: Target
    compute: Compute
    tell: Tell = lambda _: None
    _entries: list[Entry] = field(default_factory=list)

    def search(self) -> Tuned:
        """Try as many shapings as the target's spec says; what the store already holds is not computed again.

        Raises
        ------
        QualityFailed
            when the plain run itself is kept back, so that nothing can be held against it.
        UserError
            when there are too few real points for a Fréchet distance.
        """
        target = self.target
        last = len(target.rungs) - 1
        self._entries = []
        self.tell(f"the plain run and the published settings ({target.rungs[-1]} samples)")
        measured = self._measure(last, PUBLISHED)
        plain = self._plain
        history = History(self.store, tuning_id(target, plain))
        history.begin(target, plain)
        self._enter("plain", last, ShapingSpec(), plain)
        for shaping in PUBLISHED:
            self._enter("published", last, shaping, self._runs[shaping])
        references = {ShapingSpec(): (0.0, 0.0), **measured}
        history.tell(target, self._entries)
        trials: list[_Trial] = []
        number = 0
        while len(trials) < target.spec.trials:
            points = history.generation(number)
            if points is None:
                room = min(target.spec.generation, target.spec.trials - len(trials))
                points = self._propose(number, trials, references, room)
                if not points:
                    self.tell("the search space holds no more shapings")
                    break
                history.keep(number, points)
            born = [_Trial(len(trials) + i, number, point) for i, point in enumerate(points)]
            trials += born
            self._race(number, born, history)
            number += 1
        reached = [e.shaping for e in self._entries if e.rung == last]
        return Tuned(history.tuning, len(trials), target.study_of(target.rungs[-1], reached))

    def _propose(
        self, number: int, trials: list[_Trial], references: dict[ShapingSpec, Pair], count: int
    ) -> list[Point]:
        space = self.target.spec
        placed = [(point_of(shaping, space), found) for shaping, found in references.items()]
        known = [Known(point, found) for point, found in placed if point is not None]
        known += [Known(trial.point, trial.objectives) for trial in trials]
        taken = {ShapingSpec(), *PUBLISHED, *(trial.shaping for trial in trials)}
        return propose(space, number, known, taken, count)

    def _race(self, number: int, born: list[_Trial], history: History) -> None:
        """One generation, from the smallest rung to the last."""
        alive = born
        for rung, samples in enumerate(self.target.rungs):
            last = rung == len(self.target.rungs) - 1
            measured = self._measure(rung, [trial.shaping for trial in alive])
            for trial in alive:
                trial.objectives = measured.get(trial.shaping)
            whole = [trial for trial in alive if trial.objectives is not None]
            on = whole if last else [whole[i] for i in better_half([t.objectives for t in whole if t.objectives])]
            for trial in alive:
                self._enter(
                    "search", rung, trial.shaping, self._runs[trial.shaping], trial, promoted=not last and trial in on
                )
            history.tell(self.target, self._entries)
            failed = f", {len(alive) - len(whole)} failed" if len(whole) < len(alive) else ""
            goes = "" if last else f", {len(on)} go on"
            self.tell(f"generation {number + 1}, {samples} samples: {_counted(len(alive))}{failed}{goes}")
            if not on:
                return
            alive = on

    def _measure(self, rung: int, shapings: Iterable[ShapingSpec]) -> dict[ShapingSpec, Pair]:
        """Compute what is missing of a rung; (ΔF_mem, ΔFréchet) to the plain run for every shaping whose run is whole."""
        study = self.target.study_of(self.target.rungs[rung], shapings)
        if not self._settled(study):
            self.compute(study)
        runs = [self._run(cell) for cell in cells(study)]
        self._runs = {run.shaping: run for run in runs}
        self._plain = next(run for run in runs if run.shaping.is_plain)
        if not is_finalised(self.store, self._plain):
            raise QualityFailed(
                f"the plain run {self._plain.label} ({self._plain.run_id}) with {self._plain.n_samples} samples is not "
                "finished or in quarantine (`kpe quality`); nothing can be held against it"
            )
        whole = [run for run in runs if is_finalised(self.store, run)]
        return {run.shaping: self._difference(run, base) for run, base in pairs(whole)}

    def _settled(self, study: Study) -> bool:
        """Whether every run is finished or kept back, and compared: then there is nothing to compute."""
        runs = [resolve(self.store, cell) for cell in cells(study)]
        known = [run for run in runs if run is not None]
        done = [run for run in known if is_finalised(self.store, run)]
        kept_back = [r for r in known if r not in done and self.store.exists(f"runs/{r.run_id}/quarantine.json")]
        compared = all(self.store.exists(comparison_path(*pair)) for pair in pairs(done))
        return len(done) + len(kept_back) == len(runs) and compared

    def _run(self, cell: object) -> Run:
        run = resolve(self.store, cell)  # type: ignore[arg-type]
        assert run is not None, "what it needs was trained when the rung was computed"
        return run

    def _difference(self, run: Run, base: Run) -> Pair:
        rows = self.store.read_table(comparison_path(run, base)).to_pylist()
        found = {(row["metric"], row["space"]): row["delta"] for row in rows}
        if ("frechet", self.target.space) not in found:
            raise UserError(f"{run.label}: too few real points for a Fréchet distance in space {self.target.space!r}")
        return found["f_mem", None], found["frechet", self.target.space]

    def _enter(
        self,
        origin: str,
        rung: int,
        shaping: ShapingSpec,
        run: Run,
        trial: _Trial | None = None,
        promoted: bool = False,
    ) -> None:
        number, generation = (trial.number, trial.generation) if trial is not None else (None, None)
        self._entries.append(
            Entry(
                origin,
                number,
                generation,
                rung,
                self.target.rungs[rung],
                shaping,
                run.run_id,
                self._plain.run_id,
                promoted,
            )
        )


def _counted(shapings: int) -> str:
    return "1 shaping" if shapings == 1 else f"{shapings} shapings"
