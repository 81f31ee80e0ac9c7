"""Claims about density: high energy at low density ([KE] figures 3–5), and what the estimator has to do with it."""

from kpe_core.report.claims import FEWEST, Answers, Finding, Row, Trend, by_run, rows, without_semantics
from kpe_core.report.wording import bracket, finite, fixed, p_value, signed, significant

PUBLISHED_P = 1e-3


def energy_and_density(answers: Answers, skip: set[str]) -> list[Finding]:
    """ρ(KPE, log density) is negative, and not for the norm's sake."""
    found = []
    for label, here in by_run(answers, "density_correlation").items():
        if label in skip:
            continue
        row = _preferred(here)
        trend, estimator = Trend.of(row), _estimator(row)
        verdict = trend.judge(-1)
        about = f"{label}: Spearman ρ(KPE, {estimator} log density) = {trend.text} over {trend.n} samples"
        if verdict == "measured":
            sentence = f"{about}: too few to judge." if trend.n < FEWEST else f"{about}: one of the two is constant."
        elif verdict == "fails":
            sentence = f"{about}: {trend.seen(-1)}, where {_published(row)} was published{_given(trend)}."
        else:
            sentence = f"{about}, as published in direction ({_published(row)}){_given(trend)}."
        found.append(_finding("Energy is high at low density", label, verdict, sentence, trend))
    return found


def bandwidth_flips(answers: Answers, skip: set[str]) -> list[Finding]:
    """Runs where two bandwidths of the same kernel estimate give correlations of opposite sign, both clear."""
    found = []
    for label, here in by_run(answers, "density_correlation").items():
        kernels = [r for r in here if r["estimator"].startswith("kde") and r["space"] == _preferred(here)["space"]]
        trends = {r["estimator"].removeprefix("kde(").removesuffix(")"): Trend.of(r) for r in kernels}
        down = {rule: t for rule, t in trends.items() if t.judge(-1) in ("holds", "partly")}
        up = {rule: t for rule, t in trends.items() if t.judge(+1) in ("holds", "partly")}
        if label in skip or not down or not up:
            continue
        (low_rule, low), (high_rule, high) = next(iter(down.items())), next(iter(up.items()))
        sentence = (
            f"{label}: the kernel estimate's bandwidth decides the sign: ρ(KPE, KDE log density) = {low.text} with "
            f"{low_rule}, {high.text} with {high_rule} (published: −0.64, bandwidth not stated)."
        )
        key = f"{signed(low.rho or 0)} / {signed(high.rho or 0)}"
        found.append(Finding("… whatever the KDE bandwidth", label, "partly", sentence, "density_correlation", key))
    return found


def sparse_against_dense(answers: Answers, skip: set[str]) -> list[Finding]:
    """In the 2-D sets the sparsest third has more energy than the densest, Mann–Whitney p < 1e-3."""
    found = []
    for label, here in by_run(answers, "density_strata").items():
        row = _preferred(here)
        auc, p = finite(row["auc"]), finite(row["p"])
        if label in skip or auc is None or p is None or not without_semantics(answers, label):
            continue
        about = (
            f"{label}: median KPE is {significant(row['kpe_sparse'])} in the sparsest third of the samples and "
            f"{significant(row['kpe_dense'])} in the densest ({_estimator(row)}); a sparse sample has the higher energy with "
            f"probability {fixed(auc)} (Mann–Whitney {p_value(p)})"
        )
        if row["n"] < FEWEST:
            verdict, told = "measured", "too few to judge"
        elif auc > 0.5 and p < 0.05:
            verdict = "holds" if p < PUBLISHED_P else "partly"
            told = "as published" if verdict == "holds" else "the published direction, but not p < 1e−3"
        else:
            verdict = "fails"
            told = "the opposite of what was published" if p < 0.05 else "no clear difference; p < 1e−3 was published"
        key = f"AUC {fixed(auc)}"
        found.append(Finding("Sparse third above dense third", label, verdict, f"{about}: {told}.", "density_strata", key))  # type: ignore[arg-type]
    return found


def headline(answers: Answers) -> dict[str, str]:
    """ρ with its interval by run, as figures title it."""
    return {
        label: f"ρ = {Trend.of(_preferred(here)).text}" for label, here in by_run(answers, "density_correlation").items()
    }


def _preferred(here: list[Row]) -> Row:
    """The published estimator's row: k-NN in data space, or the nearest thing there is."""
    return min(here, key=lambda r: (r["space"] != "data", not r["estimator"].startswith("knn")))


def _estimator(row: Row) -> str:
    name = "k-NN" if row["estimator"].startswith("knn") else row["estimator"].upper().replace("KDE(", "KDE (")
    return name if row["space"] == "data" else f"{row['space']}-space {name}"


def _published(row: Row) -> str:
    return "−0.65 on CIFAR-10" if row["estimator"].startswith("knn") else "−0.64 on CIFAR-10"


def _given(trend: Trend) -> str:
    if trend.given is None:
        return ""
    verdict = f": {trend.norm(-1)}" if trend.norm(-1) else ""
    return f"; with ‖x(1)‖ held fixed it is {trend.given_text}{verdict}"


def _finding(topic: str, label: str, verdict, sentence: str, trend: Trend) -> Finding:  # type: ignore[no-untyped-def]
    key = f"ρ {signed(trend.rho)}" if trend.rho is not None else ""
    return Finding(topic, label, verdict, sentence, "density_correlation", key)


__all__ = ["bandwidth_flips", "bracket", "energy_and_density", "headline", "rows", "sparse_against_dense"]
