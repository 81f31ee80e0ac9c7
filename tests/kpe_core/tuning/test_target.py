"""Which run is tuned, on which rungs; what cannot be is told in a sentence."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpe_core.errors import UserError
from kpe_core.study.load import load_study
from kpe_core.study.runs import cells
from kpe_core.study.specs import ShapingSpec, Study
from kpe_core.tuning.target import sample_counts, target


@given(st.integers(1, 5000), st.integers(1, 400), st.integers(1, 8))
def test_rungs_rise_to_all_samples_in_whole_batches(samples: int, batch: int, rungs: int) -> None:
    found = sample_counts(samples, batch, rungs)
    assert found[-1] == samples
    assert list(found) == sorted(set(found))
    assert len(found) <= rungs
    assert all(n % batch == 0 for n in found[:-1])
    # Each at least half of the next: none is skipped for want of room.
    assert all(b / 2 <= a for a, b in itertools.pairwise(found))


def test_rungs_by_hand() -> None:
    assert sample_counts(2000, 125, 3) == (500, 1000, 2000)
    assert sample_counts(240, 20, 3) == (60, 120, 240)
    assert sample_counts(200, 125, 3) == (125, 200)
    assert sample_counts(100, 125, 3) == (100,)


def test_a_rung_is_an_ordinary_study_whose_last_runs_are_the_studys_own(pick: Study) -> None:
    aim = target(pick)
    assert (aim.study, aim.space, aim.rungs, aim.plain.label) == ("pick-tune", "data", (40, 80, 160), "planar")
    shaped = ShapingSpec(beta0=0.01)
    last = list(cells(aim.study_of(160, [shaped, ShapingSpec(), shaped])))
    assert [cell.shaping for cell in last] == [ShapingSpec(), shaped]
    own = next(cells(pick))
    assert last[0].model_dump(exclude={"label"}) == own.model_dump(exclude={"label"})
    assert [cell.n_samples for cell in cells(aim.study_of(40, []))] == [40]


def test_a_tolerance_and_a_network_come_along(pick_file: Path) -> None:
    sets = (
        "experiments.planar.sampling={n_samples: 200, nfe: 10, solvers: dopri5, tolerance: 1e-4, classes: [3, 1]}",
        "experiments.planar.data={name: digits}",
        "experiments.planar.fields={kind: mlp, steps: 10}",
    )
    study = load_study(str(pick_file), sets)
    cell = next(cells(target(study).study_of(200, [])))
    assert cell.model_dump(exclude={"label"}) == next(cells(study)).model_dump(exclude={"label"})


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (("tune.run=nothing",), "no plain run is called that; name one of planar, spaceless nfe10 plain"),
        (("tune.run=spaceless",), "several plain runs could be meant; name one of spaceless nfe10 plain, spaceless nfe20"),
        (("tune.run=spaceless nfe10 plain",), "spaceless.measure.spaces is empty"),
        (("tune.run=spaceless nfe10 plain",), "no Fréchet distance to tune for; add a space"),
        (("tune.space=clip",), "tune.space = 'clip': 'planar' has data"),
        (("experiments.*.sampling.shapings={beta0: 0.01}",), "has no plain run to tune"),
        (("tune.samples=8", "experiments.planar.sampling.batch=2"), "2 samples in the first rung are too few"),
        (("experiments.planar.measure.spaces=[]", "tune.run=planar"), "planar.measure.spaces is empty"),
        (("experiments.planar.fields={kind: mlp, steps: 20, checkpoints: [10]}", "tune.run=planar step10"), "a checkpoint"),
        (("name=" + 60 * "a",), "shorten name"),
        (("tune.trials=0",), "tune.trials = 0: input should be greater than or equal to 1"),
        (("tune.trails=3",), "unknown key 'tune.trails'; did you mean 'trials'?"),
        (("tune.tau=[0.5, 2]",), "tune.tau: [0.5, 2] should be the lowest and the highest to try, within [0.01, 0.99]"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned(pick_file: Path, sets: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError) as refused:
        target(load_study(str(pick_file), sets))
    assert says in str(refused.value)
