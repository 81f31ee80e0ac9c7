"""The workers: a cluster profile becomes a Dask scheduler's address."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.devices import devices_of
from flows.profiles import AddressProfile, CudaProfile, KubernetesProfile, LocalProfile, Profile, SlurmProfile
from kpe_core.errors import UserError


@dataclass(frozen=True)
class Cluster:
    address: str
    dashboard: str
    workers: int
    devices: tuple[str, ...] = ()
    """Name and UUID of each worker's GPU; empty where workers have none of their own."""


@contextlib.contextmanager
def cluster(profile: Profile) -> Iterator[Cluster]:
    """Start the profile's workers for the length of the block, or find the ones it names.

    Raises
    ------
    UserError
        when the profile's library is not installed, or what it needs is not here.
    """
    if isinstance(profile, AddressProfile):
        yield _found(profile)
        return
    with _started(profile) as running:
        devices = devices_of(running.scheduler_address) if isinstance(profile, CudaProfile) else ()
        n = len(devices) or profile.workers or os.cpu_count() or 1
        yield Cluster(running.scheduler_address, running.dashboard_link, n, devices)


def _found(profile: AddressProfile) -> Cluster:
    from distributed import Client

    try:
        with Client(profile.address, timeout="10s") as client:
            return Cluster(profile.address, client.dashboard_link, len(client.scheduler_info()["workers"]))
    except (OSError, TimeoutError):
        raise UserError(f"no Dask scheduler answers at {profile.address}") from None


def _started(profile: LocalProfile | CudaProfile | KubernetesProfile | SlurmProfile) -> Any:
    match profile:
        case LocalProfile():
            from distributed import LocalCluster

            return LocalCluster(
                n_workers=profile.workers or os.cpu_count() or 1, threads_per_worker=1, processes=True,
                host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs="ERROR", memory_limit="auto",
                preload="flows.exits",
            )  # fmt: skip
        case CudaProfile():
            return _cuda(profile)
        case KubernetesProfile():
            try:
                from dask_kubernetes.operator import KubeCluster
            except ImportError:
                raise UserError(_not_installed("kubernetes", "dask-kubernetes")) from None
            room = {"cpu": str(profile.cpu), "memory": profile.memory}
            try:
                return KubeCluster(
                    namespace=profile.namespace, image=profile.image, n_workers=profile.workers, env=profile.env,
                    resources={"requests": room, "limits": room}, worker_command=["dask", "worker", "--nthreads", "1"],
                )  # fmt: skip
            except ValueError as error:  # what dask-kubernetes raises without credentials
                raise UserError(f"no Kubernetes cluster can be reached: {error}; is there a kubeconfig?") from None
        case SlurmProfile():
            try:
                from dask_jobqueue import SLURMCluster
            except ImportError:
                raise UserError(_not_installed("slurm", "dask-jobqueue")) from None
            jobs = SLURMCluster(
                queue=profile.queue, account=profile.account, cores=profile.workers_per_job,
                processes=profile.workers_per_job, memory=profile.memory, walltime=profile.walltime,
                job_extra_directives=list(profile.directives), job_script_prologue=list(profile.prologue),
            )  # fmt: skip
            jobs.scale(n=profile.workers)
            return jobs


def _cuda(profile: CudaProfile) -> Any:
    try:
        import pynvml
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise UserError(f"{_not_installed('gpu', 'dask-cuda')} ({error})") from None
    try:
        pynvml.nvmlInit()
        gpus = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise UserError(f"no NVIDIA GPU answers ({error}); install NVIDIA's driver, or use --cluster local") from None
    if profile.workers is not None and profile.workers > gpus:
        raise UserError(f"{profile.workers} workers want a GPU each, and there are {gpus}; lower --workers")
    return LocalCUDACluster(
        n_workers=profile.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs="ERROR",
    )  # fmt: skip


def _not_installed(extra: str, package: str) -> str:
    return f"this cluster profile needs {package}, which is not installed: pip install -e '.[{extra}]'"
