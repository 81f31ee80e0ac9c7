"""The scores of a run: each metric in its range, and those that small runs have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kpe_core.store.store import Store
from tasks.quality.judge import judge
from tests.tasks.quality.bench import NETWORK, Bench, make_run

Copy = Callable[..., Bench]


def give(b: Bench, metric: str, value: float) -> None:
    b.change("scores", lambda f: f.assign(value=f["value"].where(f["metric"] != metric, value), low=None, high=None))


@pytest.mark.parametrize("metric", ["coverage", "precision", "recall", "f_mem"])
def test_a_share_beyond_one_is_out_of_range(bench: Copy, metric: str) -> None:
    b = bench("semantic")
    give(b, metric, 1.5)
    failed = judge(b.store, [b.run], "test")[b.run.run_id]
    assert any(text.startswith("scores: metrics lie in their range") and metric in text for text in failed), failed


def test_a_density_may_exceed_one_and_not_fall_below_zero(bench: Copy) -> None:
    b = bench("semantic")
    give(b, "density", -0.1)
    assert any("density" in text for text in judge(b.store, [b.run], "test")[b.run.run_id])
    give(b, "density", 1.5)
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}


def test_an_unbiased_distance_may_be_negative(bench: Copy) -> None:
    b = bench("semantic")
    give(b, "kid", -0.01)
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}


@pytest.mark.parametrize(("n", "fidelity"), [(1, False), (5, False), (6, True)])
def test_a_handful_of_samples_with_a_classifier_passes(tmp_path: Path, n: int, fidelity: bool) -> None:
    store = Store.create_or_open(str(tmp_path))
    sampling, measure = {"n_samples": n, "nfe": 2}, {"spaces": [{"extractor": "classifier", "epochs": 1}]}
    run = make_run(store, "few", data={"name": "digits"}, fields=NETWORK, measure=measure, sampling=sampling)
    assert judge(store, [run], "test") == {run.run_id: []}
    assert ("frechet" in Bench(store, run).table("scores")["metric"].to_pylist()) == fidelity
