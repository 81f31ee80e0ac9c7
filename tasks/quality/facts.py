"""What a run's spec and data say of it: what ``when:`` asks and what ``$name`` stands for in a suite file."""

import math
from typing import Any

from kpe_core.data.datasets import Prepared
from kpe_core.features.registry import reads_data_classes
from kpe_core.fields.bridges import bridge
from kpe_core.measure.density import estimator_name
from kpe_core.measure.fidelity import fidelity_metrics
from kpe_core.sampling.shaping import landing_limit
from kpe_core.stages.features import kept_spaces
from kpe_core.stages.probe import PROBED, is_probed
from kpe_core.stages.theory import is_exact, shows_growth
from kpe_core.store.trajectories import kept_states
from kpe_core.study.runs import Run
from kpe_core.study.specs import ExactField

ADAPTIVE_SLACK = 100
"""Times the tolerance of one step that many steps may add up to."""

FACTS = {
    "run": "the run's id",
    "label": "the run's name in its study",
    "experiment": "the experiment it belongs to",
    "dataset": "the data set's name",
    "field": "exact, network, …",
    "solver": "euler, midpoint, heun, …",
    "grid": "uniform or cosine",
    "adaptive": "whether the solver chooses its own steps",
    "conditional": "whether samples are asked for by class",
    "shaped": "whether η is anything but 1",
    "reads_classes": "whether some space reads the data's own classes",
    "kept_spaces": "spaces whose features are kept",
    "semantic_spaces": "spaces that read classes",
    "n_features": "rows of the features table",
    "n_semantics": "rows of the semantics table",
    "probed": "whether the adaptive solver followed some samples once more",
    "theory": "whether there is a table of what the theory says",
    "keeps_ends": "whether the states x(0) and x(1) are stored",
    "keeps_states": "whether states between them are",
    "n_samples": "samples",
    "n_steps": "steps of a sample",
    "n_batches": "batches the samples are computed in",
    "n_points": "the field's training points",
    "n_classes": "classes of the data set",
    "n_densities": "rows of the densities table",
    "estimators": "estimators of density asked for",
    "metrics": "metrics the scores table should have",
    "max_entropy": "entropy of equal posterior weights [nat], with its rounding",
    "landing_limit": "landing 1 − η(1) from which on an exact field's energy has no limit as steps are added",
    "tolerance": "error of a step allowed to the adaptive solver; 0 for the others",
    "power_slack": "relative difference allowed to a power computed again in other batches: more below float32",
    "path_slack": "what bounds on whole paths may miss by: rounding, or what an adaptive solver's steps add up to",
}
"""Every fact and what it is."""


def facts(run: Run, prepared: Prepared, dims: dict[str, int]) -> dict[str, Any]:
    """The facts of one run, by the names of ``FACTS``; ``dims``: features of each of its spaces."""
    kept, semantic = kept_spaces(run), [space for space in run.measure.spaces if space.has_semantics]
    tolerance = run.tolerance or 0.0
    return {
        "run": run.run_id,
        "label": run.label,
        "experiment": run.experiment,
        "dataset": run.data.name,
        "field": run.field.kind,
        "solver": run.solver,
        "grid": run.grid,
        "adaptive": run.tolerance is not None,
        "conditional": run.conditional,
        "shaped": not run.shaping.is_plain,
        "reads_classes": any(reads_data_classes(space, prepared) for space in run.measure.spaces),
        "kept_spaces": [space.name for space in kept],
        "semantic_spaces": [space.name for space in semantic],
        "n_features": run.n_samples * len(kept),
        "n_semantics": run.n_samples * len(semantic),
        "probed": is_probed(run),
        "theory": is_exact(run),
        "keeps_ends": len(kept_states(run)) > 0,
        "keeps_states": len(kept_states(run)) > 2,
        "n_samples": run.n_samples,
        "n_steps": run.steps,
        "n_batches": -(-run.n_samples // run.batch),
        "n_points": prepared.n_points,
        "n_classes": prepared.n_classes,
        "n_densities": run.n_samples * len(run.measure.densities),
        "estimators": [estimator_name(spec) for spec in run.measure.densities],
        "metrics": _metrics(run, prepared, dims),
        "max_entropy": math.log(prepared.n_points) + 1e-9,
        "landing_limit": landing_limit(bridge(run.field.bridge).closing_order)
        if isinstance(run.field, ExactField)
        else math.inf,
        "tolerance": tolerance,
        "power_slack": 0.05 if _is_rough(run) else 1e-3,
        "path_slack": max(1e-9, ADAPTIVE_SLACK * tolerance),
    }


def _is_rough(run: Run) -> bool:
    return run.precision != "float32" or getattr(run.field, "dtype", "float32") in ("float16", "bfloat16")


def _metrics(run: Run, prepared: Prepared, dims: dict[str, int]) -> list[str]:
    found = ["f_mem", "kpe"]
    for space in run.measure.spaces:
        here = list(fidelity_metrics(len(prepared.train), run.n_samples, dims[space.name]))
        here += ["score", "margin"] if space.has_semantics else []
        if reads_data_classes(space, prepared):
            here += ["accuracy", "agreement"] if run.conditional else ["accuracy"]
        found += [f"{metric} in {space.name}" for metric in here]
    if is_probed(run):
        found += PROBED
    if shows_growth(run):
        found += ["growth", "growth_theory"]
    return sorted(found)
