"""The flow that looks into a folder of checkpoints, every few minutes, and has a study run for each new one."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from flows.forms import Cluster, Folder, Overrides, Seconds, StoreUrl
from flows.forms import Study as StudyChoice
from flows.sentences import in_sentences
from flows.server import flush
from kpe_core.errors import UserError
from kpe_core.store.store import Store
from kpe_core.study.load import find_study
from kpe_core.study.specs import Study
from kpe_core.watch.folder import Watched
from kpe_core.watch.records import Records
from kpe_core.watch.template import Template
from kpe_core.watch.tick import Look, Start, look
from tasks.common import slug
from tasks.markdown import plain, plain_cells

RERUN = "kpe rerun/on-demand"
"""The deployment that runs the studies of new checkpoints."""


@flow(name="kpe watch", flow_run_name="watch {folder}", persist_result=False)
@in_sentences
def watch(
    folder: Folder,
    study: StudyChoice,
    store: StoreUrl = "store",
    overrides: Overrides = None,
    pattern: str = "*",
    settle_seconds: Seconds = 60,
    into: str | None = None,
    cluster_profile: Cluster = "local",
) -> None:
    """Have a study run for every new, whole checkpoint in a folder; each once, by its content, whatever its name.

    Loading models of the layouts exported and torchscript runs code in them: watch folders that only you write to.

    Args:
        folder: Folder or s3:// prefix to look into.
        study: The template: a study with a pretrained field, whose path each checkpoint's takes the place of.
        store: Folder, a relative one from the checkout, or s3:// prefix. It remembers what was started.
        overrides: Values that differ from the template's, as `experiments.0.sampling.n_samples=200`.
        pattern: Names to look at, as `*.safetensors`. Hidden files and unfinished ones, as `.tmp`, are never looked at.
        settle_seconds: How long a file must not have changed to count as written.
        into: The one place to put the path, as `experiments.0.fields.path`; none: every pretrained field.
        cluster_profile: Where the studies are computed.
    """
    where = Store.create_or_open(store)
    template = Template(study, tuple(overrides or ()), into)
    log = get_run_logger()

    def start(spec: Study, changed: tuple[str, ...], key: str) -> dict[str, Any]:
        """As a run of its own. The server makes only one of a key, so that a look killed here repeats itself safely."""
        parameters = {
            "study": study if study == find_study(study).stem else str(find_study(study).absolute()),
            "store": where.url, "overrides": list(changed), "cluster_profile": cluster_profile,
        }  # fmt: skip
        try:
            made: Any = run_deployment(
                RERUN, parameters=parameters, timeout=0, idempotency_key=key, as_subflow=False,
                flow_run_name=f"rerun {spec.name}",
            )  # fmt: skip
        except ObjectNotFound:
            raise UserError(f"studies are run by the deployment {RERUN!r}, which is not there; `make deploy`") from None
        return {"state": "started", "flow_run": str(made.id)}

    found = look_alone(Watched(folder, pattern, template.folders), where, template, settle_seconds, start)
    if found is None:
        log.info("another look at %s is under way", folder)
        return
    for sentence in found.sentences():
        log.log(30 if "refused" in sentence else 20, "%s", sentence)
    rows = [
        plain_cells({name: record.get(name) for name in ("file", "state", "study", "why", "at", "sha256")})
        for record in Records(where, template.study.name, template.id).all()
    ]
    create_table_artifact(
        rows, key=f"watched-{slug(template.study.name)}", description=f"Checkpoints in {plain(folder)}"
    )
    flush()


def look_alone(watched: Watched, store: Store, template: Template, settle: float, start: Start) -> Look | None:
    """Look, unless somebody else is looking for the same template; then None."""
    with store.lock(f"watch-{template.study.name}", wait=False) as free:
        return look(watched, store, template, settle, start) if free else None
