"""A run's scores against those of the last visible run of the same name: a study that is run again after a change."""

from typing import Any

import numpy as np
import pandas as pd

from kpe_core.stages.manifest import manifests
from kpe_core.stages.tabulate import table_path
from kpe_core.store.store import Store
from kpe_core.study.runs import Run
from tasks.quality.gaps import full_names

NAMES = ("experiment", "label")


def earlier_run(store: Store, run: Run, study: str) -> str | None:
    """Id of the run of the same name in the same study that became visible last; None where there is none."""
    same = [
        m for m in manifests(store)
        if m["study"] == study and m["run_id"] != run.run_id and all(m["run"][n] == getattr(run, n) for n in NAMES)
    ]  # fmt: skip
    return str(max(same, key=_when)["run_id"]) if same else None


def drift_frame(store: Store, run: Run, scores: pd.DataFrame, earlier: str) -> pd.DataFrame:
    """One row for each metric, in each space, that both runs have with an interval."""
    before = store.read_table(table_path(run, "scores").replace(run.run_id, earlier)).to_pandas()
    both = scores.merge(before, on=["metric", "space"], suffixes=("", "_before"))
    half = [(both[f"high{s}"] - both[f"low{s}"]).to_numpy(dtype=np.float64) / 2 for s in ("", "_before")]
    known = np.isfinite(half[0]) & np.isfinite(half[1])
    apart, widths = (both["value"] - both["value_before"]).abs().to_numpy(), np.hypot(*half)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(apart == 0, 0.0, apart / widths)
    frame = pd.DataFrame({
        "metric": full_names(both), "value": both["value"], "earlier": both["value_before"], "shift": shift,
    })  # fmt: skip
    return frame[known]


def _when(manifest: dict[str, Any]) -> str:
    return str(manifest.get("finalised", ""))
