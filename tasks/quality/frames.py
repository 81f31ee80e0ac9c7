"""What is checked of a run: its tables as pandas frames, with the columns its identities need."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kpe_core.data.datasets import Prepared, load
from kpe_core.features.registry import reads_data_classes
from kpe_core.measure.density import estimator_name
from kpe_core.sampling.shaping import landing_exponent
from kpe_core.stages.features import features_dim, kept_spaces
from kpe_core.stages.labels import labels_of
from kpe_core.stages.probe import PROBED, probe_size
from kpe_core.stages.scores import memorized
from kpe_core.stages.tabulate import table_path
from kpe_core.stages.theory import is_exact
from kpe_core.store.schema import SAMPLES
from kpe_core.store.store import Store
from kpe_core.store.trajectories import Trajectories, kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import DATA, KnnDensity
from tasks.quality.drift import drift_frame, earlier_run
from tasks.quality.facts import facts
from tasks.quality.gaps import full_names, not_finite, relative_gap, share
from tasks.quality.noise import noise_frame
from tasks.quality.recompute import recomputed_gap
from tasks.quality.states import states_frame, stored_noise
from tasks.quality.steps import steps_frame
from tasks.quality.theory import theory_frame

RANGES = {
    **dict.fromkeys(("f_mem", "precision", "recall", "coverage", "accuracy", "agreement"), (0.0, 1.0)),
    **dict.fromkeys(("kpe", "density"), (0.0, np.inf)),
    "kpe_bias": (-1.0, np.inf),
    "kpe_rank": (-1.0, 1.0),
}
"""Of scores that have one."""


@dataclass(frozen=True)
class Evidence:
    """One run's frames by the suites' tables, and the facts to hold them against."""

    facts: dict[str, Any]
    frames: dict[str, pd.DataFrame]


def evidence(store: Store, run: Run, study: str) -> Evidence:
    """Read a run's tables and states; nothing is judged here. ``study`` says whose earlier run it is held against.

    Raises
    ------
    StoreDamaged
        when a table is missing or unreadable.
    """
    prepared = load(run.data)
    trajectories = Trajectories(store, run.trajectories_id)
    table = store.read_table(table_path(run, "samples"))
    samples = table.to_pandas()
    scores = store.read_table(table_path(run, "scores")).to_pandas()
    densities = store.read_table(table_path(run, "densities")).to_pandas()
    theory = store.read_table(table_path(run, "theory")).to_pandas() if is_exact(run) else None
    noise = noise_frame(stored_noise(run, trajectories)) if len(kept_states(run)) else None
    earlier = earlier_run(store, run, study)
    found = {
        "samples": samples_frame(run, samples, trajectories, prepared),
        "steps": steps_frame(run, store.read_parquet(table_path(run, "steps")), samples),
        "densities": densities_frame(run, densities, samples, trajectories, prepared),
        "features": features_frame(store, run) if kept_spaces(run) else None,
        "semantics": semantics_frame(store, run, samples, prepared) if _semantic(run) else None,
        "states": states_frame(store, run, trajectories, samples, prepared),
        "noise": noise,
        "scores": scores_frame(run, scores, table),
        "theory": None if theory is None else theory_frame(run, theory),
        "drift": None if earlier is None else drift_frame(store, run, scores, earlier),
        "shards": shards_frame(run, trajectories),
    }
    frames = {name: frame for name, frame in found.items() if frame is not None}
    return Evidence(
        facts(run, prepared, {space.name: features_dim(store, run, space) for space in run.measure.spaces}), frames
    )


def samples_frame(run: Run, samples: pd.DataFrame, trajectories: Trajectories, prepared: Prepared) -> pd.DataFrame:
    """The samples table with its identities' gaps; one row a sample."""
    kept = np.asarray(trajectories.group()["label"][:])  # type: ignore[index]
    asked = labels_of(run, prepared)
    right = pd.Series(kept == asked).reindex(samples["sample"], fill_value=False)
    required = [f.name for f in SAMPLES if not f.nullable and f.name != "run"]
    required += ["score", "margin"] if _semantic(run) else []
    needed = 0.5 * samples["displacement"] ** 2
    straightness = np.where(samples["kpe"] > 0, share(needed, samples["kpe"]), 1.0)
    nearest = pd.Series(prepared.point_labels).reindex(samples["nearest"]).to_numpy()
    return samples.assign(
        not_finite=not_finite(samples, required),
        energy_sum_gap=relative_gap(samples["kpe_early"] + samples["kpe_late"], samples["kpe"]),
        early_share=share(samples["kpe_early"], samples["kpe"]),
        bound_excess=share(needed - samples["kpe"], samples["kpe"]),
        path_excess=share(samples["displacement"] - samples["path_length"], samples["path_length"]),
        straightness_gap=relative_gap(straightness, samples["straightness"]),
        error_share=share(samples["kpe_error"], samples["kpe"]),
        gap_ratio=np.where(samples["d2"] == 0, 0.0, share(samples["d1"], samples["d2"])),
        label_asked=samples["label"].to_numpy() == pd.Series(asked).reindex(samples["sample"]).to_numpy(),
        label_kept=right.to_numpy(),
        nearest_label_right=nearest == samples["nearest_label"],
    )


def _semantic(run: Run) -> bool:
    return any(space.has_semantics for space in run.measure.spaces)


def features_frame(store: Store, run: Run) -> pd.DataFrame:
    """The features table without the features, which are held against their space; one row a sample and space."""
    dims = {space.name: features_dim(store, run, space) for space in kept_spaces(run)}
    table = store.read_table(table_path(run, "features")).to_pandas()
    pairs = zip(table["space"], table["features"], strict=True)
    right = [len(values) == dims.get(space) and np.isfinite(values).all() for space, values in pairs]
    return table.drop(columns="features").assign(features_right=np.array(right, dtype=bool))


def semantics_frame(store: Store, run: Run, samples: pd.DataFrame, prepared: Prepared) -> pd.DataFrame:
    """The semantics table; one row a sample and space."""
    table = store.read_table(table_path(run, "semantics")).to_pandas()
    readers = [space.name for space in run.measure.spaces if reads_data_classes(space, prepared)]
    label = (
        samples.drop_duplicates("sample").set_index("sample")["label"].reindex(table["sample"]).to_numpy(dtype=float)
    )
    predicted, of_data = table["predicted"].to_numpy(), table["space"].isin(readers).to_numpy()
    asked = of_data & np.isfinite(label)
    said = table["agrees"].map({True: 1.0, False: 0.0}).to_numpy(dtype=float)
    return table.assign(
        not_finite=not_finite(table, ["sample", "score", "margin", "predicted"]),
        class_exists=(predicted >= 0) & (~of_data | (predicted < prepared.n_classes)),
        agrees_right=np.where(asked, said == (predicted == label), np.isnan(said)),
        margin_right=~asked | (table["margin"].to_numpy() <= 0) | (predicted == label),
    )


def densities_frame(
    run: Run, densities: pd.DataFrame, samples: pd.DataFrame, trajectories: Trajectories, prepared: Prepared
) -> pd.DataFrame:
    """The densities table; one row a sample, space and estimator."""
    known = {(spec.space, estimator_name(spec)): spec for spec in run.measure.densities}
    specs = [known.get(key) for key in zip(densities["space"], densities["estimator"], strict=True)]
    # log p̂ is +∞ where the k-th neighbour is at distance 0, which d₂ = 0 (d₁ for k = 1) allows: exact copies
    copies = {1: _copies(samples, "d1"), 2: _copies(samples, "d2")}
    may_diverge = np.array([
        isinstance(spec, KnnDensity) and (spec.space != DATA or sample in copies[min(2, spec.k)])
        for spec, sample in zip(specs, densities["sample"], strict=True)
    ], dtype=bool)  # fmt: skip
    named = not_finite(densities, ["sample", "log_density", "parameter"])
    allowed = may_diverge & (densities["log_density"].to_numpy() == np.inf) & (named == "log_density")
    return densities.assign(
        not_finite=np.where(allowed, "", named),
        sample_exists=densities["sample"].isin(samples["sample"]),
        estimator_asked=np.array([spec is not None for spec in specs], dtype=bool),
        parameter_right=(densities["parameter"] > 0) == (densities["estimator"] != "truth"),
        recomputed_gap=recomputed_gap(run, densities, trajectories, prepared),
    )


def _copies(samples: pd.DataFrame, distance: str) -> set[int]:
    return set(samples.loc[samples[distance] == 0, "sample"])


def scores_frame(run: Run, scores: pd.DataFrame, samples: pa.Table) -> pd.DataFrame:
    """The scores table, with f_mem and mean kpe held against the samples; one row a metric."""
    again = {"f_mem": memorized(run, samples).mean(), "kpe": np.mean(samples["kpe"].to_numpy())}
    value = scores["value"]
    recomputed = [again.get(metric, said) for metric, said in zip(scores["metric"], value, strict=True)]
    ranges = [RANGES.get(metric, (-np.inf, np.inf)) for metric in scores["metric"]]
    low, high = np.reshape(ranges, (-1, 2)).T
    metric = scores["metric"]
    return scores.assign(
        name=full_names(scores),
        not_finite=not_finite(scores, ["value", "n"]),
        recomputed_gap=relative_gap(value, recomputed),
        in_range=(value >= low) & (value <= high),
        n_right=scores["n"] == np.where(metric.isin(PROBED), probe_size(run), run.n_samples),
        accuracy=value.where(metric == "accuracy"),
        kpe_bias=value.where(metric == "kpe_bias"),
        landing=np.where(metric == "kpe", landing_exponent(run.shaping), np.nan),
    )


def shards_frame(run: Run, trajectories: Trajectories) -> pd.DataFrame:
    """One row a batch, by its first sample: in how many committed shards its samples are, at the least and at the most,
    and what was odd about the field there.

    By batch, not by shard: what is checked must not depend on how the run was cut.
    """
    cover = np.zeros(run.n_samples, dtype=np.int64)
    odd = np.full(run.n_samples, "", dtype=object)
    for shard in trajectories.committed():
        marker = trajectories.marker(shard)
        rows = slice(*marker["rows"])
        cover[rows] += 1
        odd[rows] = "; ".join(marker.get("flags", ()))
    starts = np.arange(0, run.n_samples, run.batch)
    return pd.DataFrame({
        "batch": starts, "least": np.minimum.reduceat(cover, starts), "most": np.maximum.reduceat(cover, starts),
        "odd": odd[starts],
    })  # fmt: skip
