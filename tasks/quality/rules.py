"""What is expected of a run, table by table, as plain data: no Great Expectations in here.

An ``error`` keeps a run from SQL, so it is only ever something that holds for every right run, however small or odd.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from kpe_core.fields.bridges import bridge
from kpe_core.measure.density import estimator_name
from kpe_core.measure.fidelity import fidelity_metrics
from kpe_core.sampling.shaping import landing_limit
from kpe_core.stages.probe import PROBED, is_probed
from kpe_core.stages.theory import is_exact, shows_growth
from kpe_core.store.trajectories import kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField
from tasks.quality.frames import Facts

Severity = Literal["error", "warning"]

ROUNDING = 1e-9
"""Relative; float64 sums over the steps in another order stay far below."""
ADAPTIVE_SLACK = 100
"""Times the tolerance of one step that many steps may add up to."""
SINGLE = 1e-6
"""States are stored in float32."""
IMPROBABLE = 1e-4


@dataclass(frozen=True)
class Rule:
    """One expectation: its Great Expectations class and arguments, and how people read it."""

    text: str
    kind: str
    kwargs: dict[str, Any]
    threshold: str
    severity: Severity = "error"


def rules(run: Run, facts: Facts) -> dict[str, list[Rule]]:
    """By frame, everything expected of ``run``; what does not apply to it is left out."""
    return {
        "samples": _samples(run, facts),
        "steps": _steps(run, facts),
        "densities": _densities(run),
        "states": _states(run),
        "scores": _scores(run, facts),
        **({"theory": _theory(run)} if is_exact(run) else {}),
        "shards": _shards(run),
    }


def _samples(run: Run, facts: Facts) -> list[Rule]:
    found = [
        *_identity(run, run.n_samples),
        _unique("no sample appears twice", "sample"),
        _finite("every value is there and finite"),
        _between("kpe is not negative", "kpe", low=0),
        _between("early and late energy add up to kpe", "energy_sum_gap", high=ROUNDING),
        _between("early energy is a part of kpe", "early_share", low=-ROUNDING, high=1 + ROUNDING),
        *_path_bounds(run),
        _between("peak power is reached before t = 1", "peak_t", low=0, high=1, strict_max=True),
        _between("distances to training points are not negative", "d1", low=0),
        _at_most("the nearest training point is nearer than the second nearest", "d1", "d2"),
        _between("gap ratio lies between 0 and 1", "gap_ratio", low=0, high=1),
        _between("the nearest point is one of the training points", "nearest", low=0, high=facts.n_points - 1),
        _true("the nearest point's label is that training point's", "nearest_label_right"),
    ]
    if run.conditional:
        found += [
            _between("labels are classes of the data set", "label", low=0, high=facts.n_classes - 1),
            _true("the classes are asked for in turn", "label_asked"),
        ]
    else:
        found.append(
            Rule("nothing was asked for by class", "ExpectColumnValuesToBeNull", {"column": "label"}, "no label")
        )
    if run.measure.classifier is not None:
        found += [
            _between("predicted labels are classes of the data set", "predicted", low=0, high=facts.n_classes - 1),
            _true("every sample has its features, once and finite", "features_right"),
        ]
    if run.tolerance is None:  # the adaptive solver's own sum is better than any over the grid
        rough = "the quadrature error is below 1 % of kpe for 95 % of the samples"
        found.append(_between(rough, "error_share", high=0.01, mostly=0.95, severity="warning"))
    return found


def _path_bounds(run: Run) -> list[Rule]:
    """Theorems for every explicit solver; the adaptive one keeps to them within its tolerance."""
    slack = ROUNDING if run.tolerance is None else ADAPTIVE_SLACK * run.tolerance
    severity: Severity = "error" if run.tolerance is None else "warning"
    return [
        _between("kpe is at least half the squared displacement", "bound_excess", high=slack, severity=severity),
        _between("the path is at least as long as the displacement", "path_excess", high=slack, severity=severity),
        _between("straightness lies between 0 and 1", "straightness", low=0, high=1 + slack, severity=severity),
    ]


def _steps(run: Run, facts: Facts) -> list[Rule]:
    found = [
        *_identity(run, run.n_samples, own_run=False),
        _between("rows belong to this run", "foreign_rows", low=0, high=0),
        _between("each sample has every step", "rows", low=run.steps, high=run.steps),
        _between("no step appears twice", "repeated", low=0, high=0),
        _between("steps are numbered from 0", "misnumbered", low=0, high=0),
        _between("every value of a step is finite", "not_finite", low=0, high=0),
        _between("times, durations and gains are the spec's", "grid_gap", high=ROUNDING),
        _between("power is not negative", "min_power", low=0),
        _between("cumulative energy never falls", "smallest_rise", low=0 if run.tolerance is None else -run.tolerance),
        _between("cumulative energy ends at kpe", "last_gap", high=ROUNDING),
        _between("kpe is the sum over the steps", "kpe_gap", high=ROUNDING),
        _between("the left sum is that of the steps' powers", "kpe_left_gap", high=ROUNDING),
        _between("early energy is that of the steps before the split", "kpe_early_gap", high=ROUNDING),
        _between("peak power is the largest of the steps", "peak_power_gap", high=ROUNDING),
    ]
    if isinstance(run.field, ExactField):
        given = "each step of an exact field has its largest posterior weight"
        found += [
            _between(given, "posterior_given", low=run.steps, high=run.steps),
            _between("posterior weights are positive", "posterior_low", low=0, strict_min=True),
            _between("posterior weights are at most 1", "posterior_high", high=1 + ROUNDING),
            _between(
                "each step of an exact field has its posterior's entropy",
                "entropy_given",
                low=run.steps,
                high=run.steps,
            ),
            _between("entropies are not negative", "entropy_low", low=0),
            _between(
                "entropies are at most that of equal weights", "entropy_high", high=math.log(facts.n_points) + ROUNDING
            ),
            _between("each step of an exact field has its log density", "density_given", low=run.steps, high=run.steps),
        ]
    return found


def _densities(run: Run) -> list[Rule]:
    columns = ["sample", "space", "estimator"]
    names = ", ".join(estimator_name(spec) for spec in run.measure.densities) or "none"
    once = {"column_list": columns}
    return [
        *_identity(run, run.n_samples * len(run.measure.densities)),
        Rule("each estimator says one density a sample", "ExpectCompoundColumnsToBeUnique", once, "no row twice"),
        _true("densities belong to samples that exist", "sample_exists"),
        _true("estimators are the ones asked for", "estimator_asked", f"one of: {names}"),
        _finite("log densities are finite, but for exact copies"),
        _true("bandwidths and neighbour counts are positive, and the truth has neither", "parameter_right"),
    ]


def _states(run: Run) -> list[Rule]:
    found = []
    if len(kept_states(run)):
        found = [
            _between("the stored x(0) is the seed's noise", "noise_gap", high=SINGLE),
            _between("the last stored state is x(1)", "end_gap", high=0),
        ]
    return [
        *found,
        _between("x(1) lies one displacement from the seed's noise", "displacement_gap", high=SINGLE),
        _between("the norm is that of x(1)", "norm_gap", high=ROUNDING),
        _between("d1 is the distance to the training point named nearest", "nearest_gap", high=ROUNDING),
        _between("the noise has mean 0 (p-value)", "mean_p", low=IMPROBABLE, severity="warning"),
        _between("the noise has variance 1 (p-value)", "variance_p", low=IMPROBABLE, severity="warning"),
        _between("the noise is normal (Kolmogorov–Smirnov p-value)", "ks_p", low=IMPROBABLE, severity="warning"),
    ]


def _scores(run: Run, facts: Facts) -> list[Rule]:
    metrics = ["f_mem", "kpe"]
    if run.measure.classifier is not None:
        compared = fidelity_metrics(facts.n_train, run.n_samples, run.measure.classifier.features)
        metrics += ["score", "margin", "accuracy", *compared]
    if is_probed(run):
        metrics += PROBED
    if shows_growth(run):
        metrics += ["growth", "growth_theory"]
    metrics.sort()
    expected = {"column": "metric", "value_set": metrics}
    found = [
        Rule("every metric is there", "ExpectColumnDistinctValuesToEqualSet", expected, ", ".join(metrics)),
        _unique("no metric appears twice", "metric"),
        _own_run(run),
        _finite("every metric is finite"),
        _true(
            "metrics lie in their range", "in_range", "shares in [0, 1], energies and densities ≥ 0, ranks in [−1, 1]"
        ),
        _at_most("intervals are the right way round", "low", "high"),
        _true("metrics are computed from every sample, the probe's from its own", "n_right"),
        _between("f_mem and mean kpe are those of the samples", "recomputed_gap", high=ROUNDING),
    ]
    if run.measure.classifier is not None:
        weak = "the classifier is right on 90 % of the held-out images"
        found.append(_between(weak, "accuracy", low=0.9, severity="warning"))
    if is_probed(run):
        close = "mean energy agrees with the adaptive solver's within 1 %"
        found.append(_between(close, "kpe_bias", low=-0.01, high=0.01, severity="warning"))
    if isinstance(run.field, ExactField) and not run.shaping.is_plain:
        gentle = "landing, 1 − η(1), is gentle enough for the exact field's energy to have a limit as steps are added"
        limit = landing_limit(bridge(run.field.bridge).closing_order)
        found.append(_between(gentle, "landing", high=limit, strict_max=True, severity="warning"))
    return found


def _theory(run: Run) -> list[Rule]:
    return [
        _rows("no row is missing, none too many", run.steps),
        _own_run(run),
        _between("steps are numbered from 0", "step", low=0, high=run.steps - 1),
        _unique("no step appears twice", "step"),
        _finite("every share and every prediction is finite"),
        _between("times are the grid's", "grid_gap", high=ROUNDING),
        _between("shares lie between 0 and 1", "share_50", low=0, high=1),
        _at_most("no more samples have a weight above 0.9 than above ½", "share_90", "share_50"),
        _at_most("no more samples have a weight above 0.99 than above 0.9", "share_99", "share_90"),
        _between("shares are not negative", "share_99", low=0),
        _between("the predicted slope is not negative", "slope_theory", low=0),
        _between("the predicted R² lies between 0 and 1", "r2_theory", low=0, high=1, strict_min=True),
        _between("R², where there is one, lies between 0 and 1", "r2", low=0, high=1 + ROUNDING),
    ]


def _shards(run: Run) -> list[Rule]:
    return [
        _rows("every batch is accounted for", -(-run.n_samples // run.batch)),
        _between("every sample is in a committed shard", "least", low=1),
        _between("no sample is in two shards", "most", high=1),
    ]


# -- one of a kind ---------------------------------------------------------------------------------------------------


def _identity(run: Run, n_rows: int, own_run: bool = True) -> list[Rule]:
    return [
        _rows("no row is missing, none too many", n_rows),
        _between("samples are numbered from 0", "sample", low=0, high=run.n_samples - 1),
        *([_own_run(run)] if own_run else []),
    ]


def _own_run(run: Run) -> Rule:
    one = {"column": "run", "value_set": [run.run_id]}
    return Rule("rows belong to this run", "ExpectColumnValuesToBeInSet", one, f"run {run.run_id}")


def _rows(text: str, n: int) -> Rule:
    return Rule(text, "ExpectTableRowCountToEqual", {"value": n}, f"{n} rows")


def _unique(text: str, column: str) -> Rule:
    return Rule(text, "ExpectColumnValuesToBeUnique", {"column": column}, f"no {column} twice")


def _finite(text: str) -> Rule:
    only = {"column": "not_finite", "value_set": [""]}
    return Rule(text, "ExpectColumnValuesToBeInSet", only, "no missing, NaN or infinite value")


def _true(text: str, column: str, threshold: str = "all") -> Rule:
    return Rule(text, "ExpectColumnValuesToBeInSet", {"column": column, "value_set": [True]}, threshold)


def _at_most(text: str, small: str, large: str) -> Rule:
    pair = {"column_A": large, "column_B": small, "or_equal": True, "ignore_row_if": "either_value_is_missing"}
    return Rule(text, "ExpectColumnPairValuesAToBeGreaterThanB", pair, f"{small} ≤ {large}")


def _between(
    text: str,
    column: str,
    low: float | None = None,
    high: float | None = None,
    severity: Severity = "error",
    mostly: float = 1.0,
    strict_min: bool = False,
    strict_max: bool = False,
) -> Rule:
    bounds = {"min_value": low, "max_value": high, "strict_min": strict_min, "strict_max": strict_max}
    if low == high:
        threshold = f"{column} = {low:g}"
    else:
        left = "" if low is None else f"{low:g} {'<' if strict_min else '≤'} "
        right = "" if high is None else f" {'<' if strict_max else '≤'} {high:g}"
        threshold = f"{left}{column}{right}"
    if mostly < 1:
        threshold += f" for {mostly:.0%} of the rows"
    return Rule(
        text, "ExpectColumnValuesToBeBetween", {"column": column, "mostly": mostly, **bounds}, threshold, severity
    )
