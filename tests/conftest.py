"""Shared parts: the property tests' examples, a tiny study, a store it was run into, a Prefect server for the session."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from kpe_core.stages.compare import compare, pairs
from kpe_core.stages.features import compute_all
from kpe_core.stages.manifest import finalise, register, remember
from kpe_core.stages.measure import measure_shard
from kpe_core.stages.requirements import missing_trainings
from kpe_core.stages.resolve import resolve
from kpe_core.stages.sample import create_trajectories, sample_shard
from kpe_core.stages.tabulate import tabulate
from kpe_core.stages.train import network_weights, space_weights
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from kpe_core.study.runs import Run, cells
from kpe_core.study.specs import NetworkField, Study

# The same examples on every machine; `pytest --hypothesis-profile=explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile("repeatable")

TINY = """
name: tiny
title: A tiny study
experiments:
  - name: planar
    data: {name: dense_sparse, n_train: 200}
    fields: {kind: exact}
    sampling: {n_samples: 240, nfe: 20, batch: 20, states: {keep: every, every: 5}}
  - name: shaped
    data: {name: digits, n_train: 64}
    fields: {kind: mlp, width: 32, depth: 1, steps: 2500, batch: 16}
    sampling: {n_samples: 120, nfe: 20, batch: 20, shapings: [{}, {beta0: 0.02}]}
    measure: {spaces: [{extractor: classifier, epochs: 1, features: 8}], bootstrap: 200}
"""


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studies") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_file: Path) -> Study:
    return load_study(str(tiny_file))


def run_serially(study: Study, store: Store, shard_size: int = 60) -> list[Run]:
    """The whole study in this process, without Prefect, Dask and Great Expectations."""
    for training in missing_trainings(store, study):
        if isinstance(training.spec, NetworkField):
            network_weights(store, training.data, training.spec, training.steps)
        else:
            space_weights(store, training.data, training.spec)
    runs = []
    for cell in cells(study):
        run = resolve(store, cell)
        assert run is not None
        register(store, run)
        compute_all(store, run)
        for shard in range(create_trajectories(store, run, shard_size).n_shards):
            sample_shard(store, run, shard)
            measure_shard(store, run, shard)
        tabulate(store, run)
        finalise(store, run, study.name)
        runs.append(run)
    for run, base in pairs(runs):
        compare(store, run, base)
    remember(store, study, runs)
    return runs


@pytest.fixture(scope="session")
def tiny_store(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished store of the tiny study. Read only, please."""
    store = Store.create_or_open(str(tmp_path_factory.mktemp("tiny-store")))
    run_serially(tiny, store)
    return store


@pytest.fixture(scope="session")
def tiny_runs(tiny: Study, tiny_store: Store) -> list[Run]:
    found = [resolve(tiny_store, cell) for cell in cells(tiny)]
    return [run for run in found if run is not None]


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Prefect server for all tests that need one."""
    from flows.server import shared_server

    with shared_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


@pytest.fixture
def api(prefect_api: str) -> Iterator[None]:
    """Flows of this process run on that server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """One S3 server (moto) for all tests that need one."""
    server = pytest.importorskip("moto.server")
    endpoint = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    endpoint.start()
    host, port = endpoint.get_host_and_port()
    yield f"http://{host}:{port}"
    endpoint.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a store on it, empty."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "not-a-real-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    name = f"kpe-test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/store"
