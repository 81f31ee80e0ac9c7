"""Which runs the figures across strata and runs speak of."""

from typing import Any

import pyarrow as pa

from kpe_core.report.figures_strata import curves, goldilocks, strata_of


def stratum(space: str, estimator: str, number: int) -> dict[str, Any]:
    return {"run_label": "a", "space": space, "estimator": estimator, "stratum": number}


def point(experiment: str, label: str, quality: float | None) -> dict[str, Any]:
    ends = {"quality_low": quality, "quality_high": quality, "f_mem_low": 0.1, "f_mem_high": 0.3}
    return {"experiment": experiment, "run_label": label, "kpe": 3.0, "f_mem": 0.2, "quality": quality} | ends


def test_strata_are_of_the_neighbour_density_of_the_data_where_there_is_one() -> None:
    features, kernel, neighbours = ("features", "knn(k=5)"), ("data", "kde(scott)"), ("data", "knn(k=5)")
    for given, chosen in (
        ([features, kernel, neighbours], neighbours),
        ([features, kernel], kernel),
        ([features], features),
    ):
        rows = [stratum(*kind, number) for kind in given for number in (1, 2, 3)]
        found = strata_of({"density_strata_energies": pa.Table.from_pylist(rows)}, "a")
        assert [(r["space"], r["estimator"], r["stratum"]) for r in found] == [(*chosen, n) for n in (1, 2, 3)]
        assert strata_of({"density_strata_energies": pa.Table.from_pylist(rows)}, "another") == []


def test_a_curve_takes_three_runs_with_a_quality() -> None:
    three = [point("x", f"x {i}", 1.0 + i) for i in range(3)]
    answers = {"goldilocks": pa.Table.from_pylist([*three, point("y", "y 1", 1.0), point("y", "y 2", None)])}
    assert list(curves(answers)) == ["x"]
    left, right = goldilocks(answers).axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("Fréchet distance", "memorized [%]")
    assert [note.get_text() for note in left.texts] == ["0", "1", "2"]
