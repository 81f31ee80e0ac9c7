"""Cluster profiles: every file is valid, what is wrong is said, and what is not installed is named."""

import importlib.util
from pathlib import Path

import pytest

from flows.cluster import cluster
from flows.devices import distinct
from flows.profiles import CLUSTERS, load_profile
from kpe_core.errors import UserError

NEEDS = {
    "cuda": ("dask_cuda", "gpu"),
    "kubernetes": ("dask_kubernetes", "kubernetes"),
    "slurm": ("dask_jobqueue", "slurm"),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in CLUSTERS.glob("*.yaml")))
def test_every_profile_is_valid_and_named_by_its_kind(name: str) -> None:
    assert load_profile(name, None).kind == name


@pytest.mark.parametrize("name", ["local", "cuda", "kubernetes", "slurm"])
def test_workers_override_the_file(name: str) -> None:
    profile = load_profile(name, 3)
    assert profile.kind != "address"
    assert profile.workers == 3


def test_a_running_scheduler_has_its_own_workers() -> None:
    with pytest.raises(UserError, match="has its own workers"):
        load_profile("address", 3)


def test_unknown_names_list_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"there are address, cuda, kubernetes, local, slurm"):
        load_profile("moon", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: cudda", "'local', 'cuda', 'address', 'kubernetes', 'slurm'"),
        ("{kind: local, wrokers: 2}", "wrokers"),
        ("{kind: local, workers: 0}", "greater than or equal to 1"),
        ("{kind: slurm, walltime: soon}", "walltime"),
        ("{kind: slurm, memory: lots}", "memory"),
        ("{kind: kubernetes}", "image"),
        ("{kind: address, address: localhost}", "address"),
        ("kind: [", "not a cluster profile"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_profile(str(path), None)
    assert says in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_missing_library_is_named_with_the_line_that_installs_it(name: str) -> None:
    package, extra = NEEDS[name]
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=rf"pip install -e '\.\[{extra}\]'"), cluster(load_profile(name, None)):
        pass


def test_every_worker_has_a_gpu_of_its_own() -> None:
    assert distinct({"tcp://b": "H 2", "tcp://a": "H 1"}) == ("H 1", "H 2")
    with pytest.raises(UserError, match="share the GPU H 1"):
        distinct({"tcp://a": "H 1", "tcp://b": "H 1"})
    with pytest.raises(UserError, match="no GPU in worker tcp://b"):
        distinct({"tcp://a": "H 1", "tcp://b": None})
