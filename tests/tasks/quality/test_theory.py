"""What the gate expects of exact fields and of the probe: right runs pass, faults are named, warnings only warn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kpe_core.store.store import Store
from tasks.quality.judge import judge
from tests.tasks.quality.bench import NETWORK, Bench, make_run

GENTLE = "landing, 1 − η(1), is gentle enough for the exact field's energy to have a limit as steps are added"
CLOSE = "mean energy agrees with the adaptive solver's within 1 %"


def of_metric(frame: pd.DataFrame, metric: str, **values: float) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].where(frame["metric"] != metric, v) for name, v in values.items()})


def at_step(frame: pd.DataFrame, step: int, /, **values: float) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].where(frame["step"] != step, v) for name, v in values.items()})


FAULTS: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    ("theory", lambda f: f[f["step"] != 3], "theory: no row is missing, none too many, but 9 rows"),
    ("theory", lambda f: at_step(f, 3, step=4), "theory: no step appears twice, but 2 of 10 rows: 4, 4"),
    ("theory", lambda f: at_step(f, 3, t=0.31), "theory: times are the grid's, but 1 of 10 rows: 3 (0.01)"),
    ("theory", lambda f: at_step(f, 3, share_50=1.5), "theory: shares lie between 0 and 1, but 1 of 10 rows: 3 (1.5)"),
    ("theory", lambda f: at_step(f, 3, share_50=0.1, share_90=0.2),
     "theory: no more samples have a weight above 0.9 than above ½, but 1 of 10 rows: 3"),
    ("theory", lambda f: at_step(f, 3, share_50=0.3, share_90=0.1, share_99=0.2),
     "theory: no more samples have a weight above 0.99 than above 0.9, but 1 of 10 rows: 3"),
    ("theory", lambda f: at_step(f, 3, share_99=-0.1), "theory: shares are not negative, but 1 of 10 rows: 3 (-0.1)"),
    ("theory", lambda f: at_step(f, 3, slope_theory=float("nan")),
     "theory: every share and every prediction is finite, but 1 of 10 rows: 3 (slope_theory)"),
    ("theory", lambda f: f.assign(r2_theory=0.0), "theory: the predicted R² lies between 0 and 1, but 10 of 10 rows"),
    ("theory", lambda f: at_step(f, 3, r2=1.2), "theory: R², where there is one, lies between 0 and 1, but 1 of 10 rows"),
    ("theory", lambda f: f.assign(run="someone"), "theory: rows belong to this run, but 10 of 10 rows: 0 (someone)"),
    ("scores", lambda f: f[f["metric"] != "kpe_rank"], "scores: every metric is there, but missing: kpe_rank"),
    ("scores", lambda f: of_metric(f, "kpe_rank", value=1.2, high=1.3),
     "scores: metrics lie in their range, but 1 of 4 rows: kpe_rank"),
    ("scores", lambda f: of_metric(f, "kpe_bias", n=50),
     "scores: metrics are computed from every sample, the probe's from its own, but 1 of 4 rows: kpe_bias"),
    ("scores", lambda f: of_metric(f, "kpe", n=32),
     "scores: metrics are computed from every sample, the probe's from its own, but 1 of 4 rows: kpe"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "spoil", "message"), FAULTS, ids=[message for *_, message in FAULTS])
def test_a_fault_is_named(
    bench: Callable[[str], Bench], table: str, spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    b = bench("exact")
    b.change(table, spoil)
    failed = judge(b.store, [b.run], "test")[b.run.run_id]
    assert any(text.startswith(message) for text in failed), "\n".join(failed)


def judged(tmp_path: Path, **choices: Any) -> Bench:
    store = Store.create_or_open(str(tmp_path))
    run = make_run(store, "run", **choices)
    assert judge(store, [run], "test") == {run.run_id: []}
    return Bench(store, run)


def test_a_run_with_an_end_to_fit_is_expected_to_say_its_growth(tmp_path: Path) -> None:
    b = judged(tmp_path, sampling={"nfe": 60, "solvers": "midpoint", "n_samples": 5})
    metrics = b.checks()["scores", "every metric is there"]["threshold"]
    assert metrics == "f_mem, growth, growth_theory, kpe, kpe_bias, kpe_rank"


@pytest.mark.parametrize(
    ("field", "shaping", "success"),
    [
        ({"kind": "exact"}, {"beta0": 0.025}, True),
        ({"kind": "exact"}, {"beta0": 0.03}, False),
        ({"kind": "exact", "bridge": "cosine"}, {"beta0": 0.03}, True),
        ({"kind": "exact", "bridge": "cosine"}, {"beta0": 0.04}, False),
        ({"kind": "exact"}, {"eta": "1 - 0.6*t"}, False),
        ({"kind": "exact"}, {}, None),
        (NETWORK, {"beta0": 0.03}, None),
    ],
)
def test_landing_beyond_the_limit_is_warned_of(
    tmp_path: Path, field: dict[str, Any], shaping: dict[str, Any], success: bool | None
) -> None:
    b = judged(tmp_path, fields=field, sampling={"shapings": shaping, "n_samples": 5})
    row = b.checks().get(("scores", GENTLE))
    assert (row and row["success"]) == success
    if success is False:
        assert row is not None
        assert row["severity"] == "warning"
        assert row["observed"].startswith("1 of 4 rows: kpe (0.")


def test_energy_far_from_the_adaptive_solvers_is_warned_of(bench: Callable[[str], Bench]) -> None:
    b = bench("exact")
    b.change("scores", lambda f: of_metric(f, "kpe_bias", value=-0.03, low=-0.04, high=-0.02))
    assert judge(b.store, [b.run], "test") == {b.run.run_id: []}
    row = b.checks()["scores", CLOSE]
    assert (row["success"], row["severity"], row["observed"]) == (False, "warning", "1 of 4 rows: kpe_bias (-0.03)")


def test_what_is_not_probed_is_not_asked_for(tmp_path: Path) -> None:
    b = judged(tmp_path, sampling={"solvers": "dopri5", "n_samples": 5})
    assert b.checks()["scores", "every metric is there"]["threshold"] == "f_mem, kpe"
    assert ("scores", CLOSE) not in b.checks()


def test_guided_exact_fields_have_no_theory(tmp_path: Path) -> None:
    exact = {"kind": "exact", "conditional": True}
    b = judged(tmp_path, fields=exact, sampling={"guidance": 2.0, "n_samples": 5, "nfe": 30})
    assert "theory" not in {suite for suite, _ in b.checks()}
