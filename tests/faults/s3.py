"""Faults of an object store: requests that fail, are slow, lose their answer or half of it."""

import os
import random
import shutil
import time
from dataclasses import replace
from unittest import mock

from kpe_core.store.store import Store
from tests.faults.disturbed import Running, Setting
from tests.faults.machine import CannotBeTried
from tests.faulty_s3 import Faults, faulty

SHARE = 0.05
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "not-a-real-key",
    "AWS_SECRET_ACCESS_KEY": "not-a-real-key",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def lose_requests(setting: Setting, moment: float, chance: random.Random) -> Running:
    """The study on S3, where one request in twenty meets a fault. What came of it is brought to the disk."""
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise CannotBeTried(f"{error}; it comes with the extra `dev`") from None
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    direct = {**ACCOUNT, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    try:
        with mock.patch.dict(os.environ, direct):
            bucket = f"kpe-{time.monotonic_ns()}"
            boto3.client("s3").create_bucket(Bucket=bucket)
            there = replace(setting, store=f"s3://{bucket}/store", environment=setting.environment | direct)
            faults = Faults(share=SHARE, seed=chance.randrange(2**31))
            with faulty(direct["AWS_ENDPOINT_URL"], faults) as endpoint:
                running = replace(there, environment=there.environment | {"AWS_ENDPOINT_URL": endpoint}).start()
                running.wait()
            if running.process.returncode:
                there.to_the_end()
            source, target = Store.open(there.store), Store(setting.store)
            for each in source.objects(""):
                target.receive(source, each.path)
            shutil.rmtree(target.path("quality"), ignore_errors=True)  # where its pages were is no longer true
    finally:
        server.stop()
    assert faults.requests > 100, faults
    return running
