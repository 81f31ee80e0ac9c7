"""The workers: a cluster profile becomes a Dask scheduler's address."""

import contextlib
import importlib
import inspect
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from flows.devices import devices_of
from flows.profiles import AddressProfile, CudaProfile, KubernetesProfile, LocalProfile, Profile, SlurmProfile
from flows.worker import import_tasks
from kpe_core.errors import UserError
from kpe_core.study.specs import Study
from tasks.rooms import MEASURING, ROOMS, SAMPLING

START_SECONDS = 60.0

log = logging.getLogger(__name__)

LIBRARIES = {
    "cuda": ("dask_cuda", "dask-cuda", "gpu"),
    "kubernetes": ("dask_kubernetes.operator", "dask-kubernetes", "kubernetes"),
    "slurm": ("dask_jobqueue", "dask-jobqueue", "slurm"),
}
"""By kind of profile, what starts it: module, package, and the extra that installs it."""


@dataclass(frozen=True)
class Cluster:
    address: str
    dashboard: str
    workers: int
    devices: tuple[str, ...] = ()
    """Name and UUID of each worker's GPU; empty where workers have none of their own."""
    rooms: frozenset[str] = frozenset()
    """What some of the workers keep free for tasks of a kind (``flows.placing``)."""
    task_timeout: float | None = None
    """Seconds."""
    elsewhere: bool = False
    """Whether workers may be on other machines."""


def require_usable(profile: Profile, study: Study | None = None) -> None:
    """Whether this machine can start such workers, and they can sample ``study``, before anything is.

    Raises
    ------
    UserError
        when the profile's library is not installed, or a GPU that it or the study wants is not here.
    """
    if profile.kind in LIBRARIES:
        module, package, extra = LIBRARIES[profile.kind]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(
                f"this cluster profile needs {package}, which is not installed or cannot be imported ({error}): "
                f"pip install -e '.[{extra}]'"
            ) from None
    if isinstance(profile, CudaProfile):
        _require_gpus(profile)
    if isinstance(profile, LocalProfile) and study is not None:
        _require_precisions(study)


@contextlib.contextmanager
def cluster(profile: Profile) -> Iterator[Cluster]:
    """Start the workers of a usable profile for the length of the block, or find the ones it names.

    Raises
    ------
    UserError
        when what the profile names does not answer.
    """
    if isinstance(profile, AddressProfile):
        yield _found(profile)
        return
    from distributed import Client

    with contextlib.ExitStack() as stack:
        stack.callback(_forget_schedulers)
        running = stack.enter_context(_leniently_closed(_started(profile)))
        found = Cluster(
            running.scheduler_address, running.dashboard_link, profile.workers or os.cpu_count() or 1,
            task_timeout=profile.task_timeout, elsewhere=isinstance(profile, KubernetesProfile | SlurmProfile),
        )  # fmt: skip
        if isinstance(profile, LocalProfile):
            with Client(found.address, set_as_default=False) as client:
                client.run(import_tasks, wait=False)
        if isinstance(profile, CudaProfile):
            devices, more = devices_of(found.address), profile.measuring_workers
            found = replace(
                found,
                workers=len(devices) + more,
                devices=devices,
                rooms=ROOMS if more else frozenset(),
            )
            if more:
                stack.enter_context(measuring_workers(found.address, more))
        yield found


@contextlib.contextmanager
def _leniently_closed(cluster: Any) -> Iterator[Any]:
    """A worker that takes too long to end is killed and fails no run: nothing of it is there any more."""
    running = cluster.__enter__()
    try:
        yield running
    finally:
        try:
            cluster.__exit__(None, None, None)
        except TimeoutError as error:
            log.warning("workers took too long to end: %s", error)


def _forget_schedulers() -> None:
    """Dask's caches keep every scheduler of a process, with its dashboard: 5 MiB for each study that is run."""
    from distributed import core, utils
    from distributed.dashboard import scheduler

    with contextlib.suppress(AttributeError, TypeError, KeyError):  # in a Dask that keeps them otherwise, or no longer
        utils.has_keyword.cache_clear()
        core._expects_comm.cache_clear()
        inspect.getclosurevars(scheduler.template_variables).nonlocals["cache"].clear()


def _found(profile: AddressProfile) -> Cluster:
    from distributed import Client

    try:
        with Client(profile.address, timeout="10s") as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
            rooms = ROOMS.intersection(room for worker in workers for room in worker["resources"])
            return Cluster(profile.address, client.dashboard_link, len(workers), (), rooms, profile.task_timeout, True)
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
            from dask_cuda import LocalCUDACluster

            return LocalCUDACluster(
                n_workers=profile.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
                silence_logs="ERROR", resources={SAMPLING: 1} if profile.measuring_workers else None,
            )  # fmt: skip
        case KubernetesProfile():
            from dask_kubernetes.operator import KubeCluster

            room = {"cpu": str(profile.cpu), "memory": profile.memory}
            try:
                return KubeCluster(
                    namespace=profile.namespace, image=profile.image, n_workers=profile.workers, env=profile.env,
                    resources={"requests": room, "limits": room}, worker_command=["dask", "worker", "--nthreads", "1"],
                )  # fmt: skip
            except ValueError as error:  # what dask-kubernetes raises without credentials
                raise UserError(f"no Kubernetes cluster can be reached: {error}; is there a kubeconfig?") from None
        case SlurmProfile():
            from dask_jobqueue import SLURMCluster

            jobs = SLURMCluster(
                queue=profile.queue, account=profile.account, cores=profile.workers_per_job,
                processes=profile.workers_per_job, memory=profile.memory, walltime=profile.walltime,
                job_extra_directives=list(profile.directives), job_script_prologue=list(profile.prologue),
            )  # fmt: skip
            jobs.scale(n=profile.workers)
            return jobs


@contextlib.contextmanager
def measuring_workers(scheduler: str, n: int) -> Iterator[None]:
    """``n`` more processes of this machine, without GPUs, which take what needs none; they go with the block or with
    the scheduler, whichever ends first."""
    from distributed import Client

    processes = subprocess.Popen(
        [
            sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nworkers", str(n), "--nthreads", "1",
            "--resources", f"{MEASURING}=1", "--host", "127.0.0.1", "--no-dashboard", "--death-timeout", "60",
            "--preload", "flows.exits",
        ],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        with Client(scheduler, set_as_default=False) as client:
            deadline = time.monotonic() + START_SECONDS
            while sum(MEASURING in w["resources"] for w in client.scheduler_info(n_workers=-1)["workers"].values()) < n:
                if processes.poll() is not None or time.monotonic() > deadline:
                    raise UserError(f"{n} measuring workers did not start; set measuring_workers: 0 in the profile")
                time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(processes.pid, signal.SIGTERM)
        processes.wait()


def _require_precisions(study: Study) -> None:
    """Workers on this machine have this machine's devices; what others have, only they can tell."""
    from kpe_core.devices import device_here
    from kpe_core.precision import require_precision

    for experiment in study.experiments:
        try:
            require_precision(experiment.sampling.precision, device_here())
        except UserError as error:
            raise UserError(f"{experiment.name}: {error}") from None


def _require_gpus(profile: CudaProfile) -> None:
    import pynvml  # comes with dask-cuda

    try:
        pynvml.nvmlInit()
        gpus = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise UserError(f"no NVIDIA GPU answers ({error}); install NVIDIA's driver, or use --cluster local") from None
    if profile.workers is not None and profile.workers > gpus:
        raise UserError(f"{profile.workers} workers want a GPU each, and there are {gpus}; lower --workers")
