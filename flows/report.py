"""The flow that writes a study's HTML report again, as after a new version of its texts, and publishes it."""

from prefect import flow
from prefect.logging import get_run_logger

from flows.forms import Overrides, StoreUrl, Study
from flows.sentences import called, in_sentences
from flows.server import flush
from kpe_core.errors import UserError
from kpe_core.stages.holding import STUDY, share
from kpe_core.store.store import Store
from kpe_core.study.load import load_study
from tasks.publish import publish
from tasks.report import report as write_report


@flow(name="kpe report", flow_run_name=called("report of"), persist_result=False)
@in_sentences
def report(study: Study = "first-look", store: StoreUrl = "store", overrides: Overrides = None) -> None:
    """Write a study's HTML report again from the store, and publish findings, figures and every table as artifacts.

    Args:
        study: One of deployments/studies/, or the path of a study file of your own.
        store: Folder, a relative one from the checkout, or s3:// prefix.
        overrides: Values that differ from the file's, as `title=Another title`; see `kpe run --set`.
    """
    spec = load_study(study, tuple(overrides or ()))
    where = Store.open(store)
    if not where.exists(f"studies/{spec.name}/runs.json"):
        raise UserError(
            f"{where.url} holds no results of study {spec.name!r}: run it, or analyze what was sampled of it"
        )
    with share(where), where.lock(f"{STUDY}{spec.name}", wait=True):
        path = write_report(where.url, spec.model_dump(mode="json"), again=True)
        publish(where.url, spec.model_dump(mode="json"))
        flush()
    get_run_logger().info("the report is %s", path)
