"""Task: write a study's report from the store."""

from typing import Any

from prefect import task

from kpe_core.report.files import ReportFiles
from kpe_core.store.store import Store
from kpe_core.study.specs import Study
from tasks.common import OPTIONS


@task(name="report", task_run_name="write the report", **OPTIONS)
def report(store: str, study: dict[str, Any], again: bool = False) -> str:
    """Returns the report's path; unless ``again``, writes nothing when nothing it is made of has changed."""
    spec = Study.model_validate(study)
    return ReportFiles(Store(store), spec.name).write(spec, again)
