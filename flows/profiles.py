"""What a cluster profile may say: one frozen spec a kind. Every kind runs one thread a worker, so results never change."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from kpe_core.documents import read_yaml
from kpe_core.errors import UserError, shown
from kpe_core.study.specs import Spec

CLUSTERS = Path(__file__).parents[1] / "deployments" / "clusters"

Workers = Annotated[int, Field(ge=1, le=1024)]
Memory = Annotated[str, Field(pattern=r"^[1-9]\d*(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)$")]


class _Workplace(Spec):
    """What every kind may say."""

    task_timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds after which a task is given up and tried again, three times in all; None: never."""


class LocalProfile(_Workplace):
    """Worker processes on this machine."""

    kind: Literal["local"]
    workers: Workers | None = None
    """None: one per core."""


class CudaProfile(_Workplace):
    """One worker process per GPU of this machine, by Dask-CUDA."""

    kind: Literal["cuda"]
    workers: Workers | None = None
    """None: one per visible GPU."""
    measuring_workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Processes without a GPU beside them, which measure, tabulate and report, so that GPUs only sample, train and see."""


class AddressProfile(_Workplace):
    """A scheduler that runs elsewhere. Of its workers, those started with ``--resources "sampling=1"`` sample, train and
    compute features, those with ``"measuring=1"`` the rest; where nobody offers a kind of room, all do."""

    kind: Literal["address"]
    address: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://\S+$")]


class KubernetesProfile(_Workplace):
    """Pods of a Kubernetes cluster in which the Dask operator is installed."""

    kind: Literal["kubernetes"]
    image: Annotated[str, Field(min_length=1)]
    """With this project installed, at this version."""
    namespace: str = "default"
    workers: Workers = 4
    cpu: Annotated[float, Field(gt=0)] = 1
    """Of a pod, requested and limited to."""
    memory: Annotated[str, Field(pattern=r"^[1-9]\d*(Mi|Gi|Ti|M|G|T)$")] = "4Gi"
    env: Annotated[dict[str, str], Field(default_factory=dict)]
    """No secrets: they belong into the pods' own environment."""


class SlurmProfile(_Workplace):
    """Jobs of a SLURM queue, started from a node that may submit them."""

    kind: Literal["slurm"]
    queue: str | None = None
    account: str | None = None
    workers: Workers = 4
    """In all; whole jobs are asked for."""
    workers_per_job: Workers = 1
    """Each has one core."""
    memory: Memory = "4 GiB"
    """Of a job."""
    walltime: Annotated[str, Field(pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")] = "01:00:00"
    directives: tuple[str, ...] = ()
    """More ``#SBATCH`` options, as ``--constraint=…``."""
    prologue: tuple[str, ...] = ()
    """Shell lines before the worker starts, as ``module load …``."""


Profile = LocalProfile | CudaProfile | AddressProfile | KubernetesProfile | SlurmProfile


class _Profile(Spec):
    profile: Annotated[Profile, Field(discriminator="kind")]


def load_profile(name_or_path: str, workers: int | None) -> Profile:
    """A profile by the name of a file in ``deployments/clusters/`` or by path; ``workers`` overrides the file's.

    Raises
    ------
    UserError
        for an unknown name, a bad file, or a number of workers for a scheduler that has its own.
    """
    path = Path(name_or_path) if os.path.isfile(name_or_path) else CLUSTERS / f"{name_or_path}.yaml"
    if not os.path.isfile(path):
        known = sorted(p.stem for p in CLUSTERS.glob("*.yaml"))
        near = difflib.get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"no cluster profile {shown(name_or_path)}; {hint}there are {', '.join(known)}")
    try:
        profile = _Profile.model_validate({"profile": read_yaml(path)}).profile
    except ValidationError as error:
        raise UserError(f"{path}: not a cluster profile: {' '.join(str(error).split())}") from None
    if workers is None:
        return profile
    if isinstance(profile, AddressProfile):
        raise UserError(f"{path}: the scheduler at {profile.address} has its own workers; leave out --workers")
    return profile.model_copy(update={"workers": workers})
