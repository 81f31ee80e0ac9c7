"""What each run of a store needs, and who else needs it.

A run refers to what it was made of from the moment its ``run.json`` is there: unfinished, quarantined or visible.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import zarr

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.identity import digest
from kpe_core.stages.features import kept_spaces
from kpe_core.stages.manifest import registered
from kpe_core.store.features import FeatureSet
from kpe_core.store.store import Store
from kpe_core.store.weights import WeightsBox
from kpe_core.study.runs import Run


@dataclass(frozen=True)
class FeaturesTold:
    """What the features of one folder say of themselves."""

    folder: str
    split_fingerprint: str
    extractor: dict[str, Any]
    weights: str
    n_train: int
    """Points of the train split."""

    def serve(self, run: Run) -> bool:
        """Whether they are those of the run's data in one of its spaces. The data themselves are not needed for that."""
        n_points = run.data.n_train if run.data.n_train is not None else self.n_train
        return digest(self.split_fingerprint, n_points) == run.fingerprint and any(
            self.extractor == space.feature_identity() and self.weights == run.weights_of(space.name)
            for space in kept_spaces(run)
        )


class References:
    """A store's runs and what they need, as it was when this was made.

    Raises
    ------
    UserError
        when a run cannot be read, or has another id than its folder: then nobody can say what it needs.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs = {i: _run(store, i) for i in store.list("runs") if store.exists(f"runs/{i}/run.json")}

    # -- from a run to what it needs ------------------------------------------------------------------------------

    def weights_of(self, run: Run) -> list[str]:
        """Folders of the weights trained here that the run's field and spaces use, by their SHA-256."""
        return [folder for folder, sha256 in self.cards.items() if sha256 in (run.weights, *run.extractors)]

    def features_of(self, run: Run) -> list[str]:
        """Folders of the real data's features in the run's spaces."""
        return [told.folder for told in self.features if told.serve(run)]

    def trajectories_of(self, run: Run) -> str:
        return f"trajectories/{run.trajectories_id}"

    def comparisons_of(self, run_id: str) -> list[str]:
        """Comparisons in which it is the run or its baseline."""
        return [path for path, pair in self.comparisons.items() if run_id in pair]

    # -- from a thing to who needs it -----------------------------------------------------------------------------

    def needed(self) -> set[str]:
        """Every folder that some run needs."""
        runs = self.runs.values()
        return {self.trajectories_of(run) for run in runs} | {
            folder for run in runs for folder in (*self.weights_of(run), *self.features_of(run))
        }

    # -- what there is --------------------------------------------------------------------------------------------

    @cached_property
    def cards(self) -> dict[str, str]:
        """SHA-256 of finished weights, by folder."""
        boxes = [WeightsBox(self.store, recipe) for recipe in self.store.list("weights")]
        return {box.folder: card["sha256"] for box in boxes if (card := box.card()) is not None}

    @cached_property
    def features(self) -> list[FeaturesTold]:
        """Features that are laid out, whether or not all of them are computed."""
        return features_told(self.store)

    @cached_property
    def comparisons(self) -> dict[str, tuple[str, ...]]:
        """Ids of run and baseline, by path."""
        names = self.store.list("comparisons")
        return {f"comparisons/{name}": tuple(name.removesuffix(".parquet").split("-")) for name in names}


def features_told(store: Store) -> list[FeaturesTold]:
    """What every laid-out set of features in the store says of itself.

    Raises
    ------
    StoreDamaged
        when one does not say it; names its folder.
    """
    found = [FeatureSet(store, features_id) for features_id in store.list("features")]
    return [_told(each) for each in found if each.exists()]


def _run(store: Store, run_id: str) -> Run:
    run = registered(store, run_id)
    if run.run_id != run_id:
        raise UserError(
            f"{store.path('runs', run_id)}/run.json is of a run that this version calls {run.run_id}, so what it needs "
            "cannot be told, and nothing is copied or removed. Use the version that made it"
        )
    return run


def _told(features: FeatureSet) -> FeaturesTold:
    where = f"{features.folder}/data.zarr"
    try:
        about = dict(zarr.open_group(features.store.zarr(where, read_only=True), mode="r", zarr_format=3).attrs)
        split, extractor, weights = (about[name] for name in ("split_fingerprint", "extractor", "weights"))
    except (KeyError, ValueError, OSError) as error:
        raise StoreDamaged(f"{features.store.path(where)} does not say whose features it holds: {error}") from None
    return FeaturesTold(features.folder, str(split), dict(extractor), str(weights), features.plan()["n_train"])  # type: ignore[arg-type]
