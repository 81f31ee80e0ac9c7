"""Cluster profiles: every file is valid, what is wrong is said, and what is not installed is named."""

import sys
from pathlib import Path

import pytest

from flows.cluster import LIBRARIES, cluster, require_usable
from flows.commands.run import execute
from flows.devices import distinct
from flows.profiles import CLUSTERS, LocalProfile, load_profile
from kpe_core.errors import UserError
from kpe_core.study.load import load_study


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
        ("kind: [", "not valid YAML"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_profile(str(path), None)
    assert says in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_missing_library_is_named_before_anything_is_started(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, extra = LIBRARIES[name]
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(UserError, match=rf"pip install -e '\.\[{extra}\]'"):
        execute(load_study("first-look"), str(tmp_path / "store"), name, 500, None)
    assert not (tmp_path / "store").exists()


def test_workers_of_this_machine_need_nothing() -> None:
    require_usable(load_profile("local", None))


def test_every_worker_has_a_gpu_of_its_own() -> None:
    assert distinct({"tcp://b": "H 2", "tcp://a": "H 1"}) == ("H 1", "H 2")
    with pytest.raises(UserError, match="share the GPU H 1"):
        distinct({"tcp://a": "H 1", "tcp://b": "H 1"})
    with pytest.raises(UserError, match="no GPU in worker tcp://b"):
        distinct({"tcp://a": "H 1", "tcp://b": None})


def test_a_cluster_that_is_closed_leaves_nothing_in_the_process() -> None:
    """Who watches for checkpoints for weeks starts many; Dask's caches would keep 5 MiB of each."""
    import gc

    from distributed import Scheduler

    for _ in range(2):
        with cluster(LocalProfile(kind="local", workers=1)):
            pass
    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, Scheduler)] == []


def test_workers_that_take_too_long_to_end_fail_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on a machine with much else to do: a whole run, and then Dask's traceback."""
    from distributed import LocalCluster

    close = LocalCluster.__exit__

    def slow(self: LocalCluster, *args: object) -> None:
        close(self, *args)
        raise TimeoutError("not yet")

    monkeypatch.setattr(LocalCluster, "__exit__", slow)
    with cluster(LocalProfile(kind="local", workers=1)) as running:
        assert running.workers == 1

    def broken() -> None:
        with cluster(LocalProfile(kind="local", workers=1)):
            raise KeyError("what went wrong in it is still told")

    with pytest.raises(KeyError):
        broken()
