"""Each verdict of each claim, on hand-made answers; and answers with something missing."""

import json
import math
from typing import Any

import pytest

from kpe_core.report.findings import Finding, as_dicts, findings, not_reproduced, summary, tally
from tests.kpe_core.report.answers import (
    checkpoint,
    density,
    memorization,
    quantiles,
    semantics,
    tables,
    tradeoff,
    trend,
)

NEGATIVE = {"rho": -0.65, "low": -0.69, "high": -0.61}
SPREAD = {"given_norm": -0.5, "given_norm_low": -0.55, "given_norm_high": -0.45}
GONE = {"given_norm": 0.03, "given_norm_low": -0.03, "given_norm_high": 0.09}
RISING = {"rho": 0.5, "low": 0.4, "high": 0.6}


def only(topic: str, **rows: list[dict[str, Any]]) -> Finding:
    """The one finding on a topic."""
    found = [f for f in findings(tables(**rows)) if f.topic.startswith(topic)]
    assert len(found) == 1
    return found[0]


# -- energy and density ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "verdict", "told"),
    [
        (NEGATIVE | SPREAD, "holds", "as published in direction (−0.65 on CIFAR-10)"),
        (NEGATIVE | GONE, "partly", "the norm explains it"),
        (
            NEGATIVE | {"given_norm": -0.2, "given_norm_low": -0.25, "given_norm_high": -0.15},
            "partly",
            "most of it goes with the norm",
        ),
        (
            NEGATIVE | {"given_norm": 0.2, "given_norm_low": 0.1, "given_norm_high": 0.3},
            "partly",
            "given the norm, the sign turns round",
        ),
        (NEGATIVE, "holds", "over 1000 samples"),
        ({"rho": 0.02, "low": -0.04, "high": 0.08}, "fails", "no clear relation"),
        ({"rho": 0.3, "low": 0.2, "high": 0.4}, "fails", "the opposite direction"),
        ({"rho": -0.2, "low": -0.25, "high": -0.15}, "holds", "though weak"),
    ],
)
def test_density_verdicts(numbers: dict[str, float], verdict: str, told: str) -> None:
    finding = only("Energy is high at low density", density_correlation=[density(**numbers)])
    assert finding.verdict == verdict
    assert told in finding.sentence


def test_an_estimate_among_features_is_named_so() -> None:
    rows = [density(estimator="kde(0.7)", space="features", **NEGATIVE)]
    assert "ρ(KPE, KDE (0.7) log density in features)" in only("Energy is high", density_correlation=rows).sentence


def test_density_sentence_reads_as_people_write() -> None:
    finding = only(
        "Energy is high at low density", density_correlation=[density("mnist-exact", n=2000, **NEGATIVE | GONE)]
    )
    assert finding.sentence == (
        "mnist-exact: Spearman ρ(KPE, k-NN log density) = −0.65 [−0.69, −0.61] over 2000 samples, as published in "
        "direction (−0.65 on CIFAR-10); with ‖x(1)‖ held fixed it is +0.03 [−0.03, +0.09]: the norm explains it."
    )


@pytest.mark.parametrize("rho", [None, math.nan])
def test_undefined_correlation_is_only_measured(rho: float | None) -> None:
    finding = only("Energy is high at low density", density_correlation=[density(rho=rho, low=rho, high=rho)])
    assert finding.verdict == "measured"
    assert "undefined" in finding.sentence


def test_four_samples_judge_nothing() -> None:
    # With four samples the partial correlation's interval has no width, and would seem certain.
    certain = {
        "rho": -1.0,
        "low": -1.0,
        "high": -1.0,
        "given_norm": -1.0,
        "given_norm_low": -1.0,
        "given_norm_high": -1.0,
    }
    found = findings(
        tables(
            density_correlation=[density(n=4, **certain)],
            density_strata=[
                {
                    "run_label": "a",
                    "space": "data",
                    "estimator": "knn(k=5)",
                    "n": 3,
                    "kpe_sparse": 2.0,
                    "kpe_dense": 1.0,
                }
                | {"auc": 1.0, "p": 0.5}
            ],
            trends=[trend("a", "memorized", n=4, rho=1.0, low=1.0, high=1.0)],
            memorization=[memorization(field="exact", f_mem=1.0, n=4)],
            kpe_quantiles=quantiles(score=None, n=4),
            shaping_tradeoff=[tradeoff("a kts(0, 0.02)", 0, 0.02, "f_mem", 0.5, -0.25, n=4)],
        )
    )
    assert {f.verdict for f in found} == {"measured"}
    assert len(found) == 5


def test_each_space_is_judged_by_its_k_nn_the_data_first() -> None:
    unclear = density(estimator="kde(scott)", rho=0.01, low=-0.05, high=0.07)
    rows = [density(space="pca", **NEGATIVE), unclear]
    told = findings(tables(density_correlation=rows))
    assert [f.key for f in told] == ["ρ +0.01", "ρ −0.65 in pca"]
    assert "KDE (scott) log density)" in told[0].sentence
    told = findings(tables(density_correlation=[*rows, density(**NEGATIVE)]))
    assert "k-NN log density)" in told[0].sentence
    assert "k-NN log density in pca)" in told[1].sentence


def test_each_reading_of_classes_is_judged_with_its_confounders() -> None:
    rows = [trend("a", q, **RISING) for q in ("score", "margin")]
    other = [row | {"space": "clip", "given_both": 0.02, "within_class": 0.3} for row in rows]
    both = semantics() + semantics(space="clip")
    first, second = findings(tables(trends=rows + other, semantics_by_tercile=both))
    assert "read by classifier" in first.sentence
    assert "read by clip" in second.sentence
    assert "(with the displacement too +0.02; within classes, the norm free, +0.30)" in second.sentence
    assert "displacement" not in first.sentence


def test_bandwidth_that_flips_the_sign_is_told() -> None:
    up = density(estimator="kde(scott)", rho=0.39, low=0.35, high=0.43)
    down = density(estimator="kde(median_nn)", rho=-0.95, low=-0.96, high=-0.94)
    finding = only("Also by kernel density", density_correlation=[density(**NEGATIVE), up, down])
    assert finding.verdict == "partly"
    assert "−0.95 [−0.96, −0.94] with median_nn, +0.39 [+0.35, +0.43] with scott" in finding.sentence
    unclear = density(estimator="kde(scott)", rho=0.02, low=-0.03, high=0.07)
    assert len(findings(tables(density_correlation=[density(**NEGATIVE), unclear, down]))) == 1


@pytest.mark.parametrize(
    ("auc", "p", "verdict"),
    [(0.98, 1e-200, "holds"), (0.6, 0.01, "partly"), (0.52, 0.4, "fails"), (0.3, 1e-9, "fails")],
)
def test_strata_of_runs_without_semantics(auc: float, p: float, verdict: str) -> None:
    row = {"run_label": "a", "space": "data", "estimator": "knn(k=5)", "n": 1333}
    row |= {"kpe_sparse": 1.7, "kpe_dense": 0.3, "auc": auc, "p": p}
    assert only("Sparse", density_strata=[row], kpe_quantiles=quantiles(score=None)).verdict == verdict
    assert findings(tables(density_strata=[row], kpe_quantiles=quantiles(score=5.0))) == []


# -- what rises with energy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "margin", "verdict", "told"),
    [
        (RISING, RISING, "holds", "rising as published"),
        (RISING | GONE, RISING | GONE, "partly", "the norm explains it"),
        (RISING, {"rho": 0.01, "low": -0.05, "high": 0.07}, "partly", "of which only the score rises"),
        ({"rho": -0.1, "low": -0.15, "high": -0.05},) * 2 + ("fails", "the opposite direction"),
    ],
)
def test_semantics(score: dict[str, float], margin: dict[str, float], verdict: str, told: str) -> None:
    rows = [trend("a", "margin", **margin), trend("a", "score", **score)]
    finding = only("Score and margin", trends=rows, semantics_by_tercile=semantics())
    assert finding.verdict == verdict
    assert told in finding.sentence
    assert "the score goes 6.00 ± 1.50 → 10.0 ± 1.50 and the margin 4.00 ± 0.500 → 8.00 ± 0.500" in finding.sentence


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [(RISING, "holds"), (RISING | GONE, "partly"), ({"rho": 0.04, "low": -0.003, "high": 0.08}, "fails")],
)
def test_memorized_share(numbers: dict[str, float], verdict: str) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "trends": [trend("a", "memorized", **numbers)],
        "memorization": [memorization()],
    }
    finding = only("The memorized share", **rows)
    assert finding.verdict == verdict
    assert "10 % → 20 % → 30 % → 40 % → 50 %" in finding.sentence
    if verdict == "fails":
        assert "[−0.003, +0.08]" in finding.sentence  # two digits would hide on which side of zero it begins


@pytest.mark.parametrize(
    ("field", "score", "f_mem", "verdict", "told"),
    [
        ("exact", 5.0, 1.0, "holds", "100.0 % [99.6, 100.0]"),
        ("exact", 5.0, 0.5, "fails", "should copy every time"),
        ("exact", None, 0.5, "measured", "although the field is exact"),
        ("mlp", 5.0, 0.5, "measured", "50.0 % [45.0, 55.0] of 1000 samples"),
        ("mlp", 5.0, 0.0, "measured", "0.0 % [0.0, 0.4]"),
    ],
)
def test_memorized_level(field: str, score: float | None, f_mem: float, verdict: str, told: str) -> None:
    finding = only(
        "How much", memorization=[memorization(field=field, f_mem=f_mem)], kpe_quantiles=quantiles(score=score)
    )
    assert finding.verdict == verdict
    assert told in finding.sentence


# -- shaping -----------------------------------------------------------------------------------------------------------

PLAIN = [tradeoff("e plain", 0, 0, "f_mem", 0.573, None), tradeoff("e plain", 0, 0, "frechet", 89.2, None)]


def shaped(alpha0: float, beta0: float, f_mem: float, frechet: float | None = None) -> list[dict[str, Any]]:
    label = f"e kts({alpha0:g}, {beta0:g})"
    rows = [tradeoff(label, alpha0, beta0, "f_mem", 0.573 + f_mem, f_mem)]
    return rows if frechet is None else [*rows, tradeoff(label, alpha0, beta0, "frechet", 89.2 + frechet, frechet, 1.0)]


def test_landing_lowers_memorization() -> None:
    finding = only("Landing", shaping_tradeoff=PLAIN + shaped(0, 0.02, -0.0465, 37.3))
    assert finding.verdict == "holds"
    assert finding.run_label == "e plain"
    assert finding.sentence == (
        "e: with β₀ = 0.02, F_mem goes 57.3 → 52.6 %, −4.65 points [−5.15, −4.15]: as published (37.34 → 19.36 % on "
        "CelebA); the Fréchet distance goes 89.2 → 126, +37.3 [+36.3, +38.3] (published 16.68 → 86.56)."
    )
    assert only("Landing", shaping_tradeoff=shaped(0, 0.02, 0.001)).verdict == "fails"


def test_where_nothing_is_memorized_there_is_nothing_to_lower() -> None:
    finding = only("Landing", shaping_tradeoff=[tradeoff("e kts(0, 0.02)", 0, 0.02, "f_mem", 0.0, 0.0, half=0.0)])
    assert finding.verdict == "measured"
    assert "nothing to lower" in finding.sentence


def test_settings_of_one_experiment_are_judged_together() -> None:
    rows = PLAIN + [row for i in range(1, 7) for row in shaped(0, 0.01 * i, 0.02 - 0.01 * i)]
    finding = only("Landing", shaping_tradeoff=rows)
    assert finding.verdict == "partly"
    assert "F_mem is lower in 4 of 6 settings, most with β₀ = 0.06" in finding.sentence


@pytest.mark.parametrize(("frechet", "verdict", "told"), [(-5, "holds", "as published"), (11, "fails", "it rises")])
def test_balanced_shaping_and_quality(frechet: float, verdict: str, told: str) -> None:
    finding = only("Launch with landing improves quality", shaping_tradeoff=PLAIN + shaped(0.01, 0.01, -0.02, frechet))
    assert finding.verdict == verdict
    assert told in finding.sentence


def test_launch_alone_without_quality_is_measured() -> None:
    finding = only("Launch alone", shaping_tradeoff=PLAIN + shaped(0.02, 0, 0.01))
    assert finding.verdict == "measured"


def test_quality_is_judged_in_each_space() -> None:
    rows = PLAIN + shaped(0.02, 0, 0.01)
    rows += [
        tradeoff("e kts(0.02, 0)", 0.02, 0, "frechet", 9.0, -1.0, 0.5) | {"space": s} for s in ("pca", "inception")
    ]
    found = [f for f in findings(tables(shaping_tradeoff=rows)) if f.topic == "Launch alone improves quality"]
    assert ["the Fréchet distance in pca" in f.sentence for f in found] == [True, False]
    assert "the Fréchet distance in inception goes 10.0 → 9.00" in found[1].sentence
    assert [f.verdict for f in found] == ["holds", "holds"]


def test_shaped_runs_get_no_other_findings() -> None:
    labels = ["e plain", "e kts(0, 0.02)"]
    found = findings(
        tables(
            density_correlation=[density(label, **NEGATIVE) for label in labels],
            trends=[trend(label, q, **RISING) for label in labels for q in ("score", "margin", "memorized")],
            kpe_quantiles=[row for label in labels for row in quantiles(label)],
            semantics_by_tercile=[row for label in labels for row in semantics(label)],
            memorization=[memorization(label) for label in labels],
            shaping_tradeoff=PLAIN + shaped(0, 0.02, -0.05),
        )
    )
    assert {f.run_label for f in found} == {"e plain"}
    assert [f.topic for f in found if "kts" in f.sentence] == []


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_nothing_asked_nothing_found() -> None:
    assert findings({}) == []
    assert summary([]) == ["Nothing in this study speaks to a published claim."]


def test_summary_marks_verdicts_and_ends_with_what_is_missed() -> None:
    rows = [
        density("good", **NEGATIVE | SPREAD),
        density("half", **NEGATIVE | GONE),
        density("bad", rho=0, low=-0.1, high=0.1),
    ]
    found = findings(tables(density_correlation=rows))
    lines = summary(found)
    assert lines[:4] == [
        "Energy is high at low density:",
        "  ✓ good (ρ −0.65)",
        "  ◐ half (ρ −0.65)",
        "  ✗ bad (ρ +0.00)",
    ]
    assert lines[5] == "What does not reproduce, or only in part:"
    assert [line[2] for line in lines[6:]] == ["✗", "◐"]
    assert [f.run_label for f in not_reproduced(found)] == ["bad", "half"]
    assert tally(found) == {"holds": 1, "partly": 1, "fails": 1, "measured": 0}


def test_findings_are_plain_data_with_real_minus_signs() -> None:
    found = findings(tables(density_correlation=[density(**NEGATIVE | SPREAD)]))
    text = json.dumps(as_dicts(found), ensure_ascii=False)
    assert set(as_dicts(found)[0]) == {"topic", "run_label", "verdict", "sentence", "analysis", "key"}
    assert "-0.65" not in text
    assert "−0.65" in text


# -- training time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "verdict", "told"),
    [
        ((0.0, 0.06, 0.42), "holds", "F_mem goes 0.0 → 6.0 → 42.0 % [40.0, 44.0]: as published"),
        ((0.0, 0.5, 0.42), "partly", "more than at first, but less than on the way"),
        ((0.4, 0.41, 0.42), "fails", "no clear rise"),
        ((0.4, 0.2, 0.1), "fails", "no clear rise"),
        ((0.0, 0.0, 0.0), "measured", "0.0 → 0.0 → 0.0 % [0.0, 0.4]: nothing is memorized yet"),
    ],
)
def test_longer_training(shares: tuple[float, ...], verdict: str, told: str) -> None:
    rows = [checkpoint(step, share) for step, share in zip((500, 2000, 6000), shares, strict=True)]
    finding = only("Longer training memorizes more", training=rows)
    assert finding.verdict == verdict
    assert told in finding.sentence
    assert "from training step 500 to 6000" in finding.sentence
    assert "mean late energy goes 5.00 → 20.0 → 60.0." in finding.sentence


def test_quality_on_the_way_is_told_where_it_was_measured() -> None:
    rows = [checkpoint(500, 0.0, frechet=30.0), checkpoint(2000, 0.1, frechet=9.0), checkpoint(6000, 0.4, frechet=11.0)]
    sentence = only("Longer training", training=rows).sentence
    assert "the Fréchet distance in classifier goes 30.0 → 9.00 → 11.0, least at step 2000; mean late" in sentence
    rows = [checkpoint(500, 0.0, frechet=None, space=None), checkpoint(2000, 0.1, frechet=None, space=None)]
    assert "Fréchet" not in only("Longer training", training=rows).sentence


def test_each_space_has_its_quality_and_the_steps_are_counted_once() -> None:
    rows = [
        checkpoint(step, share, frechet=frechet, space=space)
        for step, share, frechets in ((500, 0.0, (30.0, 3.0)), (2000, 0.3, (9.0, 4.0)))
        for space, frechet in zip(("classifier", "pca"), frechets, strict=True)
    ]
    sentence = only("Longer training", training=rows).sentence
    assert "F_mem goes 0.0 → 30.0 %" in sentence
    assert "Fréchet distance in classifier goes 30.0 → 9.00, least at step 2000; the" in sentence
    assert "Fréchet distance in pca goes 3.00 → 4.00, least at step 500; mean" in sentence


def test_few_samples_or_one_step_judge_no_training() -> None:
    few = [checkpoint(500, 0.0, n=9), checkpoint(2000, 0.5, n=9)]
    assert only("Longer training", training=few).verdict == "measured"
    assert findings(tables(training=[checkpoint(500, 0.5)])) == []
