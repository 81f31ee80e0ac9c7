"""The workers: a cluster profile becomes a Dask scheduler's address."""

import contextlib
import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from kpe_core.errors import UserError
from kpe_core.study.specs import Spec

CLUSTERS = Path(__file__).parents[1] / "deployments" / "clusters"


class LocalProfile(Spec):
    """Worker processes on this machine. Each has one thread, so that results never depend on the cluster."""

    kind: Literal["local"]
    workers: Annotated[int, Field(ge=1, le=1024)] | None = None
    """None: one per core."""


class AddressProfile(Spec):
    """A scheduler that runs elsewhere."""

    kind: Literal["address"]
    address: str


class _Profile(Spec):
    profile: Annotated[LocalProfile | AddressProfile, Field(discriminator="kind")]


@dataclass(frozen=True)
class Cluster:
    address: str
    dashboard: str
    workers: int


def load_profile(name_or_path: str, workers: int | None) -> LocalProfile | AddressProfile:
    """A profile by the name of a file in ``deployments/clusters/`` or by path; ``workers`` overrides a local one's.

    Raises
    ------
    UserError
        for an unknown name or a bad file.
    """
    path = Path(name_or_path) if Path(name_or_path).is_file() else CLUSTERS / f"{name_or_path}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in CLUSTERS.glob("*.yaml"))
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise UserError(f"no cluster profile {name_or_path!r}; {hint}")
    try:
        profile = _Profile.model_validate({"profile": yaml.safe_load(path.read_text(encoding="utf-8"))}).profile
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path}: not a cluster profile: {' '.join(str(error).split())}") from None
    if workers is not None and isinstance(profile, LocalProfile):
        return profile.model_copy(update={"workers": workers})
    return profile


@contextlib.contextmanager
def cluster(profile: LocalProfile | AddressProfile) -> Iterator[Cluster]:
    """Start the profile's workers for the length of the block, or find the ones it names."""
    if isinstance(profile, AddressProfile):
        from distributed import Client

        try:
            with Client(profile.address, timeout="10s") as client:
                found = Cluster(profile.address, client.dashboard_link, len(client.scheduler_info()["workers"]))
        except (OSError, TimeoutError):
            raise UserError(f"no Dask scheduler answers at {profile.address}") from None
        yield found
        return
    from distributed import LocalCluster

    n = profile.workers or os.cpu_count() or 1
    with LocalCluster(
        n_workers=n, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs="ERROR", memory_limit="auto",
    ) as local:  # fmt: skip
        yield Cluster(local.scheduler_address, local.dashboard_link, n)
