"""The tables beside the trajectories: columns, types, units, meaning. The views in sql/views/ build on these."""

import pyarrow as pa


def _field(name: str, kind: pa.DataType, about: str, unit: str = "", nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": about, "unit": unit})


_RUN = _field("run", pa.string(), "the run's id")
_SAMPLE = _field("sample", pa.int64(), "index of the sample; runs that share a seed share its initial noise")
_ENERGY, _SPEED2, _LENGTH = "coordinate²/time", "coordinate²/time²", "coordinate"

SAMPLES = pa.schema([
    _RUN,
    _SAMPLE,
    _field("label", pa.int64(), "class asked for; NULL where unconditional", nullable=True),
    _field("kpe", pa.float64(), "kinetic path energy ½∫‖ηv‖²dt of the velocity that moved the particle", _ENERGY),
    _field("kpe_raw", pa.float64(), "½∫‖v‖²dt of the field's own velocity", _ENERGY),
    _field("kpe_early", pa.float64(), "the part of kpe before the energy split τ", _ENERGY),
    _field("kpe_late", pa.float64(), "the part of kpe from τ on", _ENERGY),
    _field("kpe_left", pa.float64(), "kpe by the left Riemann sum over the grid ([KE]'s; Euler's kpe)", _ENERGY),
    _field("kpe_trapezoid", pa.float64(), "kpe by the trapezoid rule over the grid", _ENERGY),
    _field("kpe_simpson", pa.float64(), "kpe by Simpson's rule over the grid", _ENERGY),
    _field("kpe_error", pa.float64(), "distance of kpe to the next better sum (dopri5: to the grid's)", _ENERGY),
    _field("peak_power", pa.float64(), "largest ‖ηv‖² on the path", _SPEED2),
    _field("peak_t", pa.float64(), "time of the largest power", "time"),
    _field("path_length", pa.float64(), "Σ‖Δx‖ along the path", _LENGTH),
    _field("displacement", pa.float64(), "‖x(1) − x(0)‖", _LENGTH),
    _field("straightness", pa.float64(), "displacement² / (2 kpe): 1 for a straight path at constant speed"),
    _field("norm", pa.float64(), "‖x(1)‖ in prepared coordinates", _LENGTH),
    _field("d1", pa.float64(), "distance of x(1) to its nearest training point", _LENGTH),
    _field("d2", pa.float64(), "distance of x(1) to its second nearest training point", _LENGTH),
    _field("nearest", pa.int64(), "index of the nearest training point"),
    _field("nearest_label", pa.int64(), "class of the nearest training point"),
    _field("score", pa.float64(), "score in the first space that has semantics (see semantics)", "logit", True),
    _field("margin", pa.float64(), "score minus the best other class's logit, there", "logit", True),
    _field("predicted", pa.int64(), "class predicted there; NULL where its classes are not the data's", nullable=True),
])  # fmt: skip

DENSITIES = pa.schema([
    _RUN,
    _SAMPLE,
    _field("space", pa.string(), "what the density lives in: data (prepared coordinates), or a feature space"),
    _field("estimator", pa.string(), "knn(k=…), kde(bandwidth rule), each with its choices (covariance, loo), or truth"),
    _field("log_density", pa.float64(), "log density of x(1) under the field's training points", "nat"),
    _field("parameter", pa.float64(), "k; the bandwidth, in coordinates or in the covariance's root; 0 for truth"),
])  # fmt: skip

STEPS = pa.schema([
    _RUN,
    _SAMPLE,
    _field("step", pa.int64(), "index of the solver step"),
    _field("t", pa.float64(), "time at the step's start", "time"),
    _field("dt", pa.float64(), "the step's duration", "time"),
    _field("eta", pa.float64(), "shaping gain η(t)"),
    _field("power", pa.float64(), "‖v(x, t)‖² of the field's velocity at the step's start", _SPEED2),
    _field("energy", pa.float64(), "kpe spent within the step", _ENERGY),
    _field("cumulative_kpe", pa.float64(), "kpe up to the step's end", _ENERGY),
    _field("posterior_max", pa.float64(), "largest posterior weight; exact fields only", nullable=True),
    _field("posterior_entropy", pa.float64(), "entropy of the posterior weights; exact fields only", "nat", True),
    _field("log_density", pa.float64(), "log p_t(x) of the bridge; exact fields only", "nat", True),
])  # fmt: skip

SEMANTICS = pa.schema([
    _RUN,
    _SAMPLE,
    _field("space", pa.string(), "feature space that reads classes"),
    _field("score", pa.float64(), "logit of the class asked for, else of the predicted (or 100·cos)", "logit"),
    _field("margin", pa.float64(), "score minus the best other class's logit", "logit"),
    _field("predicted", pa.int64(), "class of the largest logit, in the space's own numbering"),
    _field("agrees", pa.bool_(), "whether it is the class asked for; NULL: none was, or other classes", nullable=True),
])  # fmt: skip

FEATURES = pa.schema([
    _RUN,
    _SAMPLE,
    _field("space", pa.string(), "feature space"),
    _field("features", pa.list_(pa.float32()), "features of x(1)"),
])  # fmt: skip

_FIDELITY = "frechet, frechet_infinite (extrapolated to infinite n), kid, precision, recall, density, coverage"

SCORES = pa.schema([
    _RUN,
    _field(
        "metric", pa.string(), "f_mem, kpe; of the adaptive solver's probe: kpe_bias, kpe_rank; of exact fields: growth, "
        "growth_theory; in a space: score, margin, accuracy (on held-out images), agreement, " + _FIDELITY
    ),
    _field("space", pa.string(), "feature space, or data; NULL where the metric has none", nullable=True),
    _field("value", pa.float64(), "the metric"),
    _field("low", pa.float64(), "lower end of its 95 % interval; NULL where it has none", nullable=True),
    _field("high", pa.float64(), "upper end of its 95 % interval; NULL where it has none", nullable=True),
    _field("n", pa.int64(), "samples it was computed from"),
])  # fmt: skip

CHECKS = pa.schema([
    _RUN,
    _field("expectation", pa.string(), "what was expected"),
    _field("suite", pa.string(), "the table it was expected of"),
    _field("success", pa.bool_(), "whether it held"),
    _field("observed", pa.string(), "what was seen", nullable=True),
    _field("threshold", pa.string(), "what was allowed", nullable=True),
    _field("severity", pa.string(), "error quarantines the run; warning is shown"),
    _field("failed", pa.int64(), "how many rows failed; NULL where none did, or none were asked", nullable=True),
    _field("rows", pa.list_(pa.string()), "the first failing rows by their keys: samples, metrics, …", nullable=True),
])  # fmt: skip

THEORY = pa.schema([
    _RUN,
    _field("step", pa.int64(), "index of the solver step"),
    _field("t", pa.float64(), "time at the step's start", "time"),
    _field("share_50", pa.float64(), "share of samples whose largest posterior weight exceeds 0.5"),
    _field("share_90", pa.float64(), "the same for 0.9"),
    _field("share_99", pa.float64(), "the same for 0.99"),
    _field("slope", pa.float64(), "of the regression of power on −log p_t over the samples", _SPEED2, True),
    _field("slope_theory", pa.float64(), "what Theorem 4.2 says it is where one weight is 1", _SPEED2),
    _field("intercept", pa.float64(), "of the same regression", _SPEED2, True),
    _field("intercept_theory", pa.float64(), "what Theorem 4.2 says it is", _SPEED2),
    _field("r2", pa.float64(), "share of power's variance the regression explains", nullable=True),
    _field("r2_theory", pa.float64(), "what Theorem 4.2 says it is"),
])  # fmt: skip

COMPARISONS = pa.schema([
    _RUN,
    _field("baseline", pa.string(), "the plain run on the same noise"),
    _field("metric", pa.string(), "which metric"),
    _field("space", pa.string(), "feature space, or data; NULL where the metric has none", nullable=True),
    _field("delta", pa.float64(), "metric of run minus metric of baseline"),
    _field("low", pa.float64(), "lower end of its paired 95 % interval"),
    _field("high", pa.float64(), "upper end of its paired 95 % interval"),
    _field("n", pa.int64(), "pairs"),
])  # fmt: skip

TRIALS = pa.schema([
    _field("study", pa.string(), "the study the trials are runs of: the tuned one's name, and -tune"),
    _field("tuning", pa.string(), "the tuning's id: of its plain run, search space, rungs and seed"),
    _field("origin", pa.string(), "plain, published ([KE]'s settings, which take part in the front), or search"),
    _field("trial", pa.int64(), "the shaping's number in the search; NULL where it was not searched", nullable=True),
    _field("generation", pa.int64(), "which generation it was chosen in, from 0", nullable=True),
    _field("rung", pa.int64(), "which rung of successive halving, from 0"),
    _field("n_samples", pa.int64(), "samples of the rung"),
    _field("final", pa.bool_(), "whether it is the last rung, which has all samples"),
    _field("alpha0", pa.float64(), "launch gain"),
    _field("beta0", pa.float64(), "landing gain"),
    _field("tau", pa.float64(), "split of the shaping", "time"),
    _field("launch", pa.string(), "form of the launch; without effect where alpha0 is 0"),
    _field("landing", pa.string(), "form of the landing; without effect where beta0 is 0"),
    _field("rate", pa.float64(), "k of the exponential forms"),
    _field("space", pa.string(), "the feature space of the Fréchet distance"),
    _field("run", pa.string(), "id of its run at this rung"),
    _field("baseline", pa.string(), "id of the plain run at this rung, on the same noise"),
    _field("promoted", pa.bool_(), "whether it was in the better half, which goes on to the next rung"),
])  # fmt: skip

TELEMETRY = pa.schema([
    _field("study", pa.string(), "the study that was being run"),
    _field("started", pa.timestamp("us"), "when its flow run began, UTC: a study has one for every time it computed"),
    _field("elapsed", pa.float64(), "time since then", "second"),
    _field("worker", pa.string(), "name of the Dask worker; NULL for the whole cluster", nullable=True),
    _field("memory", pa.int64(), "of the worker's process; of all workers' together", "byte"),
    _field("executing", pa.int64(), "tasks that are being executed"),
    _field("queued", pa.int64(), "tasks that wait: for a worker, for other tasks; at a worker, for its thread"),
    _field("gpu_memory", pa.int64(), "in use on the worker's GPU, by whomever; NULL without one", "byte", True),
    _field("gpu_use", pa.float64(), "of the worker's GPU, 1 where it is busy all the time; NULL without one", "", True),
    _field("samples", pa.int64(), "of the study that are in the store; NULL for single workers", nullable=True),
    _field("samples_total", pa.int64(), "of the study; NULL for single workers", nullable=True),
    _field("samples_per_s", pa.float64(), "new ones, over the last minute; NULL at first", "1/second", True),
    _field("bytes", pa.int64(), "of these samples' trajectories, uncompressed; NULL for single workers", "byte", True),
    _field("bytes_per_s", pa.float64(), "new ones, over the last minute; NULL at first", "byte/second", True),
])  # fmt: skip

STORE_TABLES: dict[str, pa.Schema] = {
    "comparisons": COMPARISONS,
    "trials": TRIALS,
    "telemetry": TELEMETRY,
}
"""Tables that belong to no single run."""

RUN_TABLES: dict[str, pa.Schema] = {
    "samples": SAMPLES,
    "densities": DENSITIES,
    "semantics": SEMANTICS,
    "steps": STEPS,
    "features": FEATURES,
    "scores": SCORES,
    "theory": THEORY,
    "checks": CHECKS,
}
"""Tables each run has, in the order they are written."""
