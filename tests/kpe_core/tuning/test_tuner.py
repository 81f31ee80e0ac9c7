"""The search on a real study: halving, resuming, its table and view, and a front no worse than a grid's."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kpe_core.catalog.analyses import analysis
from kpe_core.catalog.catalog import Catalog
from kpe_core.errors import QualityFailed
from kpe_core.stages.manifest import is_finalised
from kpe_core.stages.resolve import resolve
from kpe_core.store.store import Store
from kpe_core.study.runs import cells
from kpe_core.study.specs import ShapingSpec, Study
from kpe_core.tuning.conclusion import HEADINGS, sentences, table
from kpe_core.tuning.fronts import dominates, front, hypervolume
from kpe_core.tuning.target import target
from kpe_core.tuning.tuner import Tuned, Tuner
from tests.conftest import run_serially


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Computer:
    """Runs a rung's study in this process, and keeps which runs it computed; dies after so many rungs."""

    def __init__(self, store: Store, lives: int = 1000) -> None:
        self.store = store
        self.lives = lives
        self.computed: list[str] = []

    def __call__(self, study: Study) -> None:
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        before = [resolve(self.store, cell) for cell in cells(study)]
        self.computed += [run.run_id for run in before if run is not None and not is_finalised(self.store, run)]
        run_serially(study, self.store)
        self.store.remove(f"studies/{study.name}")


def tuned(study: Study, folder: Path, **given: Any) -> tuple[Store, Computer, Tuned]:
    store = Store.create_or_open(str(folder))
    computer = Computer(store, **given)
    return store, computer, Tuner(store, target(study), computer).search()


def trials(store: Store) -> pd.DataFrame:
    with Catalog(store) as catalog:
        order = "origin, trial, rung, alpha0, beta0"
        return catalog.query(f"FROM trials ORDER BY {order}").to_pandas()


@pytest.fixture(scope="module")
def whole(pick: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Computer, Tuned]:
    return tuned(pick, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def view(whole: tuple[Store, Computer, Tuned]) -> pd.DataFrame:
    return trials(whole[0])


def pairs_of(rows: pd.DataFrame, suffix: str = "") -> list[tuple[float, float]]:
    return list(zip(rows[f"f_mem{suffix}"], rows[f"frechet{suffix}"], strict=True))


def test_every_generation_is_halved_and_nothing_that_stays_is_better(view: pd.DataFrame) -> None:
    searched = view[view.origin == "search"]
    assert sorted(searched.trial.unique()) == list(range(12))
    for _, generation in searched.groupby("generation"):
        alive = set(generation.trial)
        assert len(alive) == 4
        for rung, rows in generation.groupby("rung"):
            assert set(rows.trial) == alive
            assert set(rows.n_samples) == {(40, 80, 160)[int(str(rung))]}
            on, stay = rows[rows.promoted], rows[~rows.promoted]
            if rung == 2:
                assert on.empty
                continue
            assert len(on) == (len(rows) + 1) // 2
            assert not any(dominates(a, b) for a, b in itertools.product(pairs_of(stay), pairs_of(on)))
            alive = set(on.trial)


def test_the_view_measures_what_the_runs_did_and_its_front_is_brute_forces(
    whole: tuple[Store, Computer, Tuned], view: pd.DataFrame
) -> None:
    last = view[view.final].reset_index(drop=True)
    assert list(last.index[last.on_front]) == front(pairs_of(last))
    assert not view[~view.final].on_front.any()
    with Catalog(whole[0]) as catalog:
        runs = catalog.query("FROM runs").to_pandas().set_index("run")
        scores = catalog.query("FROM scores").to_pandas()
        scores = scores[scores.metric.isin(["f_mem", "frechet"])].set_index(["run", "metric"]).value
    for row in view.itertuples():
        run, plain = runs.loc[row.run], runs.loc[row.baseline]
        assert [run[c] for c in ("alpha0", "beta0", "tau", "launch", "landing", "n_samples")] == [
            row.alpha0, row.beta0, row.tau, row.launch, row.landing, row.n_samples,
        ]  # fmt: skip
        assert plain.plain
        assert plain.n_samples == row.n_samples
        for metric in ("f_mem", "frechet"):
            assert getattr(row, metric) == scores[row.run, metric]
            if row.origin != "plain":
                difference = scores[row.run, metric] - scores[row.baseline, metric]
                assert getattr(row, f"{metric}_delta") == pytest.approx(difference, abs=1e-9)
    assert list(view[view.origin == "published"].alpha0) == [0.0, 0.01, 0.02]


def test_a_rungs_samples_are_the_first_of_the_next(whole: tuple[Store, Computer, Tuned], view: pd.DataFrame) -> None:
    searched = view[view.origin == "search"].groupby("trial").run
    for _, ids in searched:
        for small, large in itertools.pairwise(ids):
            a, b = (whole[0].read_table(f"runs/{i}/tables/samples.parquet").to_pandas() for i in (small, large))
            for column in ("kpe", "d1", "norm"):
                assert (a[column] == b[column][: len(a)]).all()


@pytest.mark.parametrize("lives", [0, 2, 5])
def test_killed_and_run_again_is_the_same_search_and_nothing_is_computed_twice(
    pick: Study, whole: tuple[Store, Computer, Tuned], view: pd.DataFrame, tmp_path: Path, lives: int
) -> None:
    with pytest.raises(Killed):
        tuned(pick, tmp_path, lives=lives)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("tunings/*/generations/*.json")}
    store = Store.open(str(tmp_path))
    done = set(store.list("runs"))
    store, computer, found = tuned(pick, tmp_path)
    pd.testing.assert_frame_equal(trials(store), view)
    assert found.final == whole[2].final
    assert not done & set(computer.computed)
    assert len(computer.computed) == len(set(computer.computed))
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_again_computes_nothing_and_more_trials_go_on(
    pick: Study, view: pd.DataFrame, whole: tuple[Store, Computer, Tuned], tmp_path: Path
) -> None:
    fewer = pick.model_copy(update={"tune": pick.tune.model_copy(update={"trials": 8})})
    store, _, first = tuned(fewer, tmp_path)
    assert first.trials == 8
    _, computer, _ = tuned(fewer, tmp_path)
    assert computer.computed == []
    _, computer, more = tuned(pick, tmp_path)
    assert (more.trials, more.tuning) == (12, first.tuning)
    assert computer.computed
    pd.testing.assert_frame_equal(trials(store), view)


def test_another_seed_is_another_search_beside_the_first(pick: Study, tmp_path: Path) -> None:
    small = pick.tune.model_copy(update={"trials": 4, "samples": 40, "rungs": 1})
    store, _, first = tuned(pick.model_copy(update={"tune": small}), tmp_path)
    other = small.model_copy(update={"seed": 1})
    _, computer, second = tuned(pick.model_copy(update={"tune": other}), tmp_path)
    assert first.tuning != second.tuning
    assert len(computer.computed) == 4, "plain and published runs are shared"
    assert trials(store).groupby("tuning").on_front.any().all()


def test_the_front_is_no_worse_than_a_grids(pick: Study, view: pd.DataFrame, tmp_path: Path) -> None:
    """Twelve trials, of which three have all samples, against twelve runs of a grid over the published forms."""
    grid = [ShapingSpec(alpha0=a, beta0=b) for a in (0.0, 0.03, 0.06) for b in (0.0, 0.015, 0.03, 0.045)]
    store = Store.create_or_open(str(tmp_path))
    run_serially(target(pick).study_of(160, grid), store)
    with Catalog(store) as catalog:
        sql = "SELECT max(value) FILTER (metric = $m) AS value FROM scores GROUP BY run ORDER BY run"
        columns = [catalog.query(sql, m=m)["value"].to_pylist() for m in ("f_mem", "frechet")]
    of_grid = list(zip(*columns, strict=True))
    ours = pairs_of(view[view.final])
    worst = tuple(max(pair[axis] for pair in [*of_grid, *ours]) for axis in (0, 1))
    assert hypervolume(ours, worst) > 1.2 * hypervolume(of_grid, worst) > 0.0  # type: ignore[arg-type]


def test_a_run_that_fails_is_left_out_and_the_plain_run_may_not(pick: Study, tmp_path: Path) -> None:
    small = pick.model_copy(update={"tune": pick.tune.model_copy(update={"trials": 4, "samples": 80, "rungs": 2})})
    store = Store.create_or_open(str(tmp_path / "a"))

    def failing(study: Study) -> None:
        runs = run_serially(study, store)
        if len(runs) == 5:  # the first rung of the generation
            for run in runs[1:3]:
                store.remove(f"runs/{run.run_id}/manifest.json")
                store.write_json(f"runs/{run.run_id}/quarantine.json", {})

    said = list[str]()
    Tuner(store, target(small), failing, said.append).search()
    assert "generation 1, 40 samples: 4 shapings, 2 failed, 1 go on" in said
    found = trials(store)
    assert found[found.origin == "search"].f_mem.isna().sum() == 2
    again = list[str]()
    Tuner(store, target(small), lambda _: pytest.fail("computed again"), again.append).search()
    assert again == said

    def losing(study: Study) -> None:
        runs = run_serially(study, other)
        other.remove(f"runs/{runs[0].run_id}/manifest.json")

    other = Store.create_or_open(str(tmp_path / "b"))
    with pytest.raises(QualityFailed, match=r"the plain run planar plain .* with 80 samples"):
        Tuner(other, target(small), losing).search()


@pytest.fixture
def answer(whole: tuple[Store, Computer, Tuned]) -> Iterator[list[dict[str, Any]]]:
    with Catalog(whole[0]) as catalog:
        yield analysis("tuning_front").run(catalog, "pick-tune").to_pylist()


def test_the_analysis_and_its_sentences_say_what_differs(answer: list[dict[str, Any]], view: pd.DataFrame) -> None:
    last = view[view.final & (view.on_front | (view.origin != "search"))]
    assert sorted(row["f_mem"] for row in answer) == sorted(last.f_mem)
    for row in answer:
        for metric in ("f_mem", "frechet"):
            low, high = row[f"{metric}_delta_low"], row[f"{metric}_delta_high"]
            expected = None if low is None else "lower" if high < 0 else "higher" if low > 0 else "no"
            assert row[f"{metric}_differs"] == expected
    lines = table(answer)
    assert all(len(line) == len(HEADINGS) for line in lines)
    assert sum(line[0] == "plain" for line in lines) == 1
    for row, line in zip(answer, lines, strict=True):
        assert (row["f_mem_differs"] in ("lower", "higher")) == line[8].endswith("*")
    said = sentences(answer)
    assert said[0].startswith("On the front of F_mem and the Fréchet distance in data (160 samples a run")
    assert sum(sentence.startswith("The published ") for sentence in said) == 3
