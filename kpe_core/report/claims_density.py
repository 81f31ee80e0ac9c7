"""Claims about density: high energy at low density ([KE] figures 3–5), and what the estimator has to do with it."""

from kpe_core.report.claims import FEWEST, Answers, Finding, Row, Trend, Verdict, by_run, by_space, without_semantics
from kpe_core.report.wording import finite, fixed, p_value, signed, significant

PUBLISHED_P = 1e-3
WEAK = 0.3
"""|ρ| below which a clear correlation is still called weak."""


def energy_and_density(answers: Answers, skip: set[str]) -> list[Finding]:
    """ρ(KPE, log density) is negative in every space, and not for the norm's sake."""
    found = []
    runs = by_run(answers, "density_correlation")
    for label, here in ((label, here) for label, rows in runs.items() for here in by_space(rows).values()):
        if label in skip:
            continue
        row = _preferred(here)
        trend = Trend.of(row)
        verdict = trend.judge(-1)
        what = f"{_estimator(row)} log density{_where(row)}"
        about = f"{label}: Spearman ρ(KPE, {what}) = {trend.text} over {trend.n} samples"
        match verdict:
            case "measured":
                why = "too few to judge" if trend.n < FEWEST else "one of the two is constant"
                sentence = f"{about}: {why}."
            case "fails":
                sentence = f"{about}: {trend.seen(-1)}, where {_published(row)} was published{_given(trend)}."
            case _:
                weak = ", though weak" if trend.rho is not None and abs(trend.rho) < WEAK else ""
                sentence = f"{about}, as published in direction{weak} ({_published(row)}){_given(trend)}."
        key = f"ρ {signed(trend.rho)}{_where(row)}" if trend.rho is not None else ""
        found.append(Finding("Energy is high at low density", label, verdict, sentence, "density_correlation", key))
    return found


def bandwidth_flips(answers: Answers, skip: set[str]) -> list[Finding]:
    """Runs where two bandwidths of one kernel estimate give correlations of opposite sign, both clear."""
    found = []
    runs = by_run(answers, "density_correlation")
    for label, here in ((label, here) for label, rows in runs.items() for here in by_space(rows).values()):
        kernels = [r for r in here if r["estimator"].startswith("kde")]
        trends = {r["estimator"].removeprefix("kde(").removesuffix(")"): Trend.of(r) for r in kernels}
        down = [(rule, t) for rule, t in trends.items() if t.judge(-1) in ("holds", "partly")]
        up = [(rule, t) for rule, t in trends.items() if t.judge(+1) in ("holds", "partly")]
        if label in skip or not down or not up:
            continue
        (rule_down, negative), (rule_up, positive) = down[0], up[0]
        sentence = (
            f"{label}: the kernel decides the sign: ρ(KPE, KDE log density{_where(here[0])}) = {negative.text} "
            f"with {rule_down}, {positive.text} with {rule_up} (published: −0.64 on CIFAR-10)."
        )
        key = f"ρ {signed(negative.rho or 0)} / {signed(positive.rho or 0)}"
        found.append(
            Finding("Also by kernel density, at any bandwidth", label, "partly", sentence, "density_correlation", key)
        )
    return found


def sparse_against_dense(answers: Answers, skip: set[str]) -> list[Finding]:
    """In the 2-D sets the sparsest third has more energy than the densest, Mann–Whitney p < 1e-3."""
    found = []
    for label, here in by_run(answers, "density_strata").items():
        row = _preferred(here)
        auc, p = finite(row["auc"]), finite(row["p"])
        if label in skip or auc is None or p is None or not without_semantics(answers, label):
            continue
        verdict, told = _judge_strata(int(row["n"]), auc, p)
        sentence = (
            f"{label}: median KPE is {significant(row['kpe_sparse'])} in the sparsest third of the samples and "
            f"{significant(row['kpe_dense'])} in the densest ({_estimator(row)}); a sparse sample has the higher "
            f"energy with probability {fixed(auc)}, Mann–Whitney {p_value(p)}: {told}."
        )
        found.append(
            Finding(
                "Sparse third above dense third (2-D)", label, verdict, sentence, "density_strata", f"AUC {fixed(auc)}"
            )
        )
    return found


def headlines(answers: Answers) -> dict[str, str]:
    """ρ with its interval by run label, as figures title it."""
    return {label: f"ρ = {Trend.of(_preferred(r)).text}" for label, r in by_run(answers, "density_correlation").items()}


def _judge_strata(n: int, auc: float, p: float) -> tuple[Verdict, str]:
    if n < FEWEST:
        return "measured", "too few to judge"
    if auc > 0.5 and p < PUBLISHED_P:
        return "holds", "as published"
    if auc > 0.5 and p < 0.05:
        return "partly", "the published direction, but not p < 1e−3"
    if auc < 0.5 and p < 0.05:
        return "fails", "the opposite of what was published"
    return "fails", "no clear difference, where p < 1e−3 was published"


def _preferred(here: list[Row]) -> Row:
    """The published estimator's row: k-NN in data space, or the nearest thing there is, the truth last."""
    kinds = ("knn", "kde", "truth")
    return min(
        here, key=lambda r: (r["space"] != "data", [r["estimator"].startswith(kind) for kind in kinds].index(True))
    )


def _estimator(row: Row) -> str:
    name = "k-NN" if row["estimator"].startswith("knn") else str(row["estimator"]).replace("kde", "KDE ")
    if row["estimator"] == "truth":
        name = "true"
    return name


def _where(row: Row) -> str:
    """The space, where it is not the data's own."""
    return "" if row["space"] == "data" else f" in {row['space']}"


def _published(row: Row) -> str:
    return f"{'−0.65' if row['estimator'].startswith('knn') else '−0.64'} on CIFAR-10"


def _given(trend: Trend) -> str:
    if trend.given is None:
        return ""
    told = trend.norm(-1)
    return f"; with ‖x(1)‖ held fixed it is {trend.given_text}{trend.further}{f': {told}' if told else ''}"
