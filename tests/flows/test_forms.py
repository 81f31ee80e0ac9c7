"""What the UI's forms offer is what there is, and what it refuses is refused before anything runs."""

import typing
from pathlib import Path

import yaml
from prefect.utilities.callables import parameter_schema

from flows import forms
from flows.analyze import analyze
from flows.notice import notice
from flows.profiles import CLUSTERS
from flows.report import report
from flows.rerun import rerun
from flows.sample import sample
from flows.sweep import sweep
from flows.watch import watch
from kpe_core.study.load import STUDIES, load_study

FLOWS = {f.name: f for f in (analyze, notice, report, rerun, sample, sweep, watch)}
PREFECT = Path(__file__).parents[2] / "prefect.yaml"


def test_the_choices_are_the_files() -> None:
    assert set(typing.get_args(forms.StudyName)) == {p.stem for p in STUDIES.glob("*.yaml")}
    assert set(typing.get_args(forms.ClusterName)) == {p.stem for p in CLUSTERS.glob("*.yaml")}


def test_every_field_of_every_form_is_described_and_titled() -> None:
    for flow in FLOWS.values():
        fields = parameter_schema(flow).properties
        assert fields, flow.name
        for name, field in fields.items():
            assert len(field["description"]) > 10, (flow.name, name)


def test_bounds_and_choices_reach_the_form() -> None:
    fields = parameter_schema(rerun).properties
    names, file = fields["study"]["anyOf"]
    assert "first-look" in names["enum"]
    assert file["pattern"]
    assert (fields["shard_size"]["minimum"], fields["shard_size"]["maximum"]) == (1, 1_000_000)
    assert fields["workers"]["anyOf"][0]["minimum"] == 1
    assert parameter_schema(sweep).properties["studies"]["minItems"] == 1


def test_what_is_deployed_has_parameters_that_its_flow_takes() -> None:
    for deployment in yaml.safe_load(PREFECT.read_text())["deployments"]:
        module, _, name = deployment["entrypoint"].partition(":")
        flow = next(f for f in FLOWS.values() if f.fn.__name__ == name and module == f"flows/{name}.py")
        given = deployment.get("parameters", {})
        assert set(given) <= set(flow.parameters.properties)
        needed = set(flow.parameters.required or ())
        assert needed <= set(given) or deployment["name"] == "notice"
        for study in [*given.get("studies", []), *([given["study"]] if "study" in given else [])]:
            load_study(study)
        assert all(s["timezone"] for s in deployment.get("schedules", []))
