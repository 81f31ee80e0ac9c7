"""Whether what lies in a store is what was written there."""

from collections.abc import Iterator
from functools import partial

from kpe_core.errors import StoreDamaged, UserError
from kpe_core.stages.damage import Damage, missing, other
from kpe_core.stages.inspect import Inspector
from kpe_core.stages.inspect_arrays import feature_damages, trajectory_damages
from kpe_core.store.store import Store
from kpe_core.study.runs import Run


def find_run(store: Store, prefix: str) -> str:
    """The id of the one run that starts with ``prefix``.

    Raises
    ------
    UserError
        when there is none, or more than one.
    """
    known = [i for i in store.list("runs") if i.startswith(prefix)]
    if len(known) == 1:
        return known[0]
    if known:
        raise UserError(f"run {prefix!r} is ambiguous: {', '.join(known[:5])}")
    raise UserError(f"no run {prefix!r} in {store.url}; `kpe ls --store {store.url}` lists them")


def store_damages(store: Store) -> list[Damage]:
    """What is wrong with a whole store: every object that is missing, not as it was written, or not known, by path.

    Reads and decodes everything once.
    """
    seen = Inspector(store)
    found = _about_damage(store)
    for folder, look in (
        ("weights", seen.weights),
        ("features", partial(feature_damages, seen)),
        ("trajectories", partial(trajectory_damages, seen)),
        ("runs", seen.run),
        ("studies", seen.study),
    ):
        wanted = {*seen.names(folder), *_needed(seen, folder)}
        for name in sorted(wanted):
            found += look(name)
    found += [*seen.comparisons(), *seen.others()]
    return sorted({d.path: d.of(_touched(seen, d.path)) for d in found}.values(), key=lambda d: d.path)


def damages(store: Store, run_id: str) -> list[Damage]:
    """What is missing of one run, or differs from its markers and manifest; none when all is well."""
    seen = Inspector(store)
    return [*_material(seen, run_id), *(d.of((run_id,)) for d in seen.run(run_id))]


def material_damages(store: Store, run_id: str) -> list[Damage]:
    """The same of what its tables are made from: trajectories, weights, features of real data."""
    return list(_material(Inspector(store), run_id))


def _material(seen: Inspector, run_id: str) -> Iterator[Damage]:
    run = seen.runs.get(run_id)
    if run is None:
        return  # what it is made of is told by its run.json alone
    folder = f"trajectories/{run.trajectories_id}"
    if not seen.below(folder):
        yield missing(folder).of((run_id,))
    else:
        yield from (d.of((run_id,)) for d in trajectory_damages(seen, run.trajectories_id))
    for name, _ in sorted(seen.feature_sets.items()):
        if run_id in _touched(seen, f"features/{name}/") and seen.below(f"features/{name}"):
            yield from (d.of((run_id,)) for d in feature_damages(seen, name))
    for recipe in sorted(seen.recipes):
        if run_id in _touched(seen, f"weights/{recipe}/"):
            yield from (d.of((run_id,)) for d in seen.weights(recipe))


def _needed(seen: Inspector, folder: str) -> list[str]:
    """Names that have to be in a folder, since a finished run is made of them."""
    finished = {i: run for i, run in seen.runs.items() if seen.is_finished(i)}
    if folder == "trajectories":
        return [run.trajectories_id for run in finished.values()]
    known = {"weights": seen.recipes, "features": seen.feature_sets}.get(folder, {})
    return [name for name, (run, _) in known.items() if run.run_id in finished]


def _touched(seen: Inspector, path: str) -> tuple[str, ...]:
    """Runs that an object is part of."""
    kind, name, *_ = [*path.split("/"), ""]
    match kind:
        case "runs":
            return (name,)
        case "comparisons":
            return tuple(name.removesuffix(".parquet").split("-"))
        case "trajectories":
            return tuple(i for i, run in seen.runs.items() if run.trajectories_id == name)
        case "weights":
            return _alike(seen, seen.recipes.get(name), "weights")
        case "features":
            return _alike(seen, seen.feature_sets.get(name), "features")
    return ()


def _alike(seen: Inspector, known: tuple[Run, object] | None, kind: str) -> tuple[str, ...]:
    """Runs that use what this one does: the same network, or the same space of the same data."""
    if known is None:
        return ()
    one, space = known
    if space is None:
        return tuple(i for i, run in seen.runs.items() if run.weights == one.weights)
    said = one.weights_of(space.name)  # type: ignore[attr-defined]
    return tuple(i for i, run in seen.runs.items() if said in run.extractors and run.data == one.data)


def _about_damage(store: Store) -> list[Damage]:
    try:
        store.about()
    except StoreDamaged:
        return [other("store.json") if store.exists("store.json") else missing("store.json")]
    return []
