"""Verdicts on Theorem 4.2, Lemma 5.1 and Proposition 5.2, on hand-made answers; the fit's intervals against truth."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from kpe_core.report.claims_theory import Fit
from kpe_core.report.findings import Finding, findings
from tests.kpe_core.report.answers import tables


def fit(label: str = "a", **numbers: Any) -> dict[str, Any]:
    """A row of theorem_4_2 that agrees with theory."""
    row = {"run_label": label, "n": 1000, "shaped": False, "t": 0.8, "share_50": 1.0, "share_90": 1.0, "share_99": 0.9}
    row |= {
        "slope": 2.02,
        "slope_theory": 2.0,
        "intercept": 1.0,
        "intercept_theory": 1.0,
        "r2": 0.61,
        "r2_theory": 0.59,
    }
    return row | numbers


def end(label: str = "a", growth: float | None = 0.001, said: float | None = 0.0, **numbers: Any) -> dict[str, Any]:
    """A row of terminal_growth without a plain twin."""
    around = {"low": None, "high": None} if growth is None else {"low": growth - 0.01, "high": growth + 0.01}
    row = {"run_label": label, "n": 1000, "growth": growth, "growth_theory": said, "diverges": False, **around}
    return row | {"peak_power": 150.0, "kpe": 46.0, "plain_peak_power": None, "plain_kpe": None} | numbers


def pair(label: str = "a", learned: str = "net", **numbers: Any) -> dict[str, Any]:
    """A row of exact_against_learned as published."""
    row = {
        "run_label": label,
        "learned": learned,
        "n": 1000,
        "peak_power": 110.0,
        "learned_peak_power": 43.0,
        "ratio": 2.5,
    }
    row |= {
        "higher": 0.98,
        "higher_low": 0.97,
        "higher_high": 0.99,
        "f_mem": 1.0,
        "f_mem_low": 0.996,
        "f_mem_high": 1.0,
    }
    return row | {"learned_f_mem": 0.1, "learned_f_mem_low": 0.08, "learned_f_mem_high": 0.12} | numbers


def only(named: str, **rows: list[dict[str, Any]]) -> Finding:
    found = [f for f in findings(tables(**rows)) if named in f.topic]
    assert len(found) == 1
    return found[0]


# -- Theorem 4.2 -------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_least_squares_and_of_fisher() -> None:
    """95 % of samples from a known line: slope 2 and R² = 4/(4 + 6)."""
    rng, n, held = np.random.default_rng(0), 200, np.zeros(2)
    for _ in range(400):
        x = rng.normal(size=n)
        truth = stats.linregress(x, 2 * x + np.sqrt(6) * rng.normal(size=n))
        one = Fit(0.8, n, 1.0, truth.slope, 2.0, truth.rvalue**2, 0.4)
        low, high = one.slope_interval
        assert high - low == pytest.approx(2 * 1.959964 * truth.stderr)
        held += [low <= 2 <= high, one.r2_interval[0] <= 0.4 <= one.r2_interval[1]]
    assert (np.abs(held / 400 - 0.95) < 0.035).all()


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({}, "holds"),
        ({"slope": 2.3, "r2": 0.62}, "fails"),
        ({"slope": 1.7, "r2": 0.57}, "fails"),
        ({"slope": 2.3, "r2": 0.55, "n": 60}, "measured"),
        ({"r2": 0.7}, "fails"),
        ({"r2": 0.5}, "fails"),
        ({"r2": 0.5, "n": 60}, "measured"),
        ({"slope": 2.15, "r2": 0.63}, "holds"),
        ({"slope": 2.0, "r2": 1.0, "r2_theory": 1.0}, "holds"),
        ({"slope": 0.0, "r2": 0.0}, "fails"),
        ({"n": 9}, "measured"),
        ({"r2": None}, "measured"),
    ],
)
def test_one_time(numbers: dict[str, Any], verdict: str) -> None:
    assert only("Theorem 4.2", theorem_4_2=[fit(**numbers)]).verdict == verdict


def test_sentence_says_how_loose_affine_is() -> None:
    finding = only("Theorem 4.2", theorem_4_2=[fit("digits", t=0.2, share_90=0.0, r2=0.1), fit("digits")])
    assert finding.sentence == (
        "digits: at t = 0.80, where one posterior weight exceeds 0.9 for 100 % of the samples, the regression of ‖v*‖² on "
        "−log p_t has slope 2.02 [1.92, 2.12] (predicted 2.00) and R² 0.61 [0.57, 0.65] (0.59): as predicted; “affine” is "
        "loose here, 39 % of the variance is left."
    )
    assert finding.key == "R² 0.61 (0.59)"
    assert "loose" not in only("Theorem 4.2", theorem_4_2=[fit(r2=0.96, r2_theory=0.95)]).sentence


def test_times_that_differ_are_told() -> None:
    early, late = fit(t=0.8), fit(t=0.95, slope=3.0)
    finding = only("Theorem 4.2", theorem_4_2=[early, late])
    assert finding.verdict == "partly"
    assert "as predicted, but not at t = 0.95, with slope 3.00" in finding.sentence
    turned = only("Theorem 4.2", theorem_4_2=[early | {"slope": 3.0}, late | {"slope": 2.0}])
    assert turned.verdict == "partly"
    assert "not as predicted, but so at t = 0.95, with slope 2.00" in turned.sentence
    unclear = only("Theorem 4.2", theorem_4_2=[early | {"n": 60, "r2": 0.5}, late])
    assert unclear.verdict == "fails"
    assert unclear.sentence.startswith("a: at t = 0.95")


def test_theorem_does_not_speak_where_no_weight_dominates_nor_of_shaped_paths() -> None:
    finding = only("Theorem 4.2", theorem_4_2=[fit(share_90=0.05), fit(t=0.95, share_90=0.4, slope=9.0)])
    assert finding.verdict == "measured"
    assert "for no more than 40 % of the samples (at t = 0.95)" in finding.sentence
    assert findings(tables(theorem_4_2=[fit(shaped=True)])) == []


# -- Lemma 5.1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("growth", "said", "verdict", "told"),
    [
        (0.001, 0.0, "holds", "it stays bounded, as"),
        (-0.079, -0.0786, "holds", "it stays bounded, as"),
        (0.23, 0.228, "holds", "it grows, as"),
        (0.15, 0.228, "partly", "it grows, though not at the rate"),
        (0.15, 0.0, "fails", "it grows, which"),
        (0.0, 0.228, "fails", "it stays bounded, which"),
    ],
)
def test_growth(growth: float, said: float, verdict: str, told: str) -> None:
    finding = only("Lemma 5.1", theorem_4_2=[fit()], terminal_growth=[end(growth=growth, said=said)])
    assert finding.verdict == verdict
    assert told in finding.sentence


def test_growth_is_not_judged_where_no_point_rules_the_end_or_few_samples_do() -> None:
    for rows, told in (
        ({"theorem_4_2": [fit(), fit(t=0.95, share_90=0.5)], "terminal_growth": [end(growth=-0.2)]}, "no single"),
        ({"theorem_4_2": [fit()], "terminal_growth": [end(growth=-0.2, n=9)]}, "too few"),
        ({"terminal_growth": [end(growth=-0.2)]}, "no single"),
    ):
        finding = only("Lemma 5.1", **rows)
        assert finding.verdict == "measured"
        assert told in finding.sentence
    missing = findings(tables(theorem_4_2=[fit()], terminal_growth=[end(growth=None, said=None)]))
    assert [f.topic for f in missing if "Lemma" in f.topic] == []


def test_what_growth_costs_is_told_beside_the_plain_twin() -> None:
    row = end("a kts(0, 0.03)", 0.228, 0.228, diverges=True, plain_peak_power=110.0, plain_kpe=48.7)
    finding = only("Lemma 5.1", theorem_4_2=[fit("a kts(0, 0.03)", shaped=True)], terminal_growth=[row])
    assert finding.sentence == (
        "a kts(0, 0.03): over the last fifth of the grid ‖v‖/γ̇ goes as σ^−c with c = 0.228 [0.218, 0.238] (predicted "
        "0.228): it grows, as the gains and steps say; mean peak power is 150 (plain 110), mean KPE 46.0 (plain 48.7); "
        "with ever more steps its energy has no limit."
    )


# -- Proposition 5.2 ---------------------------------------------------------------------------------------------------

LOWER = {"higher": 0.3, "higher_low": 0.27, "higher_high": 0.33}
AS_MUCH = {"learned_f_mem": 0.997, "learned_f_mem_low": 0.99, "learned_f_mem_high": 0.999}


@pytest.mark.parametrize(
    ("numbers", "verdict", "told"),
    [
        ({}, "holds", "higher peaks and more memorized, as published"),
        (LOWER, "partly", "peaks not higher, memorized shares higher"),
        (AS_MUCH, "partly", "peaks higher, memorized shares not higher"),
        (LOWER | AS_MUCH, "fails", "neither"),
        ({"n": 9}, "measured", "too few"),
    ],
)
def test_exact_against_learned(numbers: dict[str, Any], verdict: str, told: str) -> None:
    finding = only("Proposition 5.2", exact_against_learned=[pair(**numbers)])
    assert finding.verdict == verdict
    assert told in finding.sentence


def test_one_finding_for_an_exact_run_whatever_stands_beside_it() -> None:
    rows = [pair(learned=f"net-{i}", ratio=1.5 + i) for i in range(5)]
    finding = only("Proposition 5.2", exact_against_learned=rows)
    assert "net-2" in finding.sentence
    assert "net-3" not in finding.sentence
    assert "2 more are in the table" in finding.sentence
    assert finding.key == "×1.5"
    mixed = only("Proposition 5.2", exact_against_learned=[*rows[:1], pair(learned="other", **LOWER)])
    assert mixed.verdict == "partly"
    assert "peaks higher in part, memorized shares higher" in mixed.sentence
