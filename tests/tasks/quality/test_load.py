"""Suite files: read as they are meant, each expectation one that Great Expectations has, mistakes named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpe_core.data.datasets import load
from kpe_core.errors import UserError
from kpe_core.study.specs import ExpectationSpec
from tasks.quality import load as loading
from tasks.quality.expectations import require_possible, require_valid
from tasks.quality.facts import FACTS, facts
from tasks.quality.frames import evidence
from tasks.quality.judge import judge
from tasks.quality.load import always_expected, suites
from tasks.quality.rules import rules
from tests.tasks.quality.bench import Bench

Copy = Callable[..., Bench]


def expectation(**choices: Any) -> ExpectationSpec:
    plain = {
        "table": "samples",
        "means": "energies are small",
        "expectation": "expect_column_values_to_be_between",
        "args": {"column": "kpe", "max_value": 1},
    }
    return ExpectationSpec.model_validate(plain | choices)


def test_every_expectation_is_one_that_great_expectations_takes() -> None:
    for suite in always_expected().values():
        assert suite.expectations
        for spec in suite.expectations:
            require_possible(spec, f"{suite.table}: {spec.means}")


@pytest.mark.parametrize("kind", ["exact", "conditional", "semantic"])
def test_columns_are_those_of_the_frames_and_names_are_used_once(bench: Copy, kind: str) -> None:
    b = bench(kind)
    judge(b.store, [b.run], "test")
    shown = evidence(b.store, b.run, "test")
    only_with = {"features_right": kind == "semantic", "theory": kind == "exact"}
    for name, frame in shown.frames.items():
        suite = always_expected()[name]
        wanted = {column for column in suite.columns if only_with.get(column, True)}
        assert set(frame.columns) == wanted, name
        assert set(suite.keys) <= wanted
        assert all(suite.columns.values())
        texts = [rule.text for rule in rules(suite, shown.facts)]
        assert len(texts) == len(set(texts))
    assert shown.facts.keys() == FACTS.keys()


def test_conditions_and_facts(bench: Copy) -> None:
    run = bench("exact").run
    told = facts(run, load(run.data), {space.name: 32 for space in run.measure.spaces})
    more = (
        expectation(means="a", args={"column": "kpe", "max_value": "$n_points"}, when={"solver": ["heun", "euler"]}),
        expectation(means="b", when={"field": "exact", "solver": "heun"}),
        expectation(means="c", allowed="as many as $n_samples, by $estimators"),
    )  # fmt: skip
    found = {rule.text: rule for rule in rules(suites(more)["samples"], told)}
    assert found["a"].kwargs == {"column": "kpe", "max_value": 2000}
    assert found["a"].threshold == "kpe ≤ 2000"
    assert "b" not in found
    assert found["c"].threshold == "as many as 50, by knn(k=5), kde(median_nn), kde(scott)"


WRONG = [
    ({"table": "sample"}, "quality.0.table = 'sample': did you mean 'samples'?"),
    ({"args": {"column": "kpa", "max_value": 1}}, "quality.0.args.column = 'kpa': did you mean 'kpe'?"),
    ({"when": {"sovler": "euler"}}, "quality.0: no fact 'sovler' of a run; did you mean 'solver'?"),
    ({"args": {"column": "kpe", "max_value": "$n_sample"}}, "no fact 'n_sample' of a run; did you mean 'n_samples'?"),
    ({"means": "kpe is not negative"}, "samples has an expectation of that name; choose another"),
    ({"expectation": "expect_column_values_to_be_betwen"}, "did you mean 'expect_column_values_to_be_between'?"),
    (
        {"args": {"column": "kpe", "max_valu": 1}},
        "quality.0.args: unknown argument 'max_valu'; did you mean 'max_value'?",
    ),
    ({"args": {"column": "kpe"}}, "min_value and max_value cannot both be None"),
    ({"args": {"max_value": 1}}, "quality.0.args: column must be given"),
    ({"args": {"column": "kpe", "max_value": 1, "mostly": "most"}}, "quality.0.args: mostly: "),
]


@pytest.mark.parametrize(("choices", "says"), WRONG, ids=[says for _, says in WRONG])
def test_mistakes_are_named(choices: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        require_valid((expectation(**choices),))
    assert says in str(error.value)


def test_a_broken_suite_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (loading.FOLDER / "shards.yaml").read_text(encoding="utf-8")
    monkeypatch.setattr(loading, "FOLDER", tmp_path)
    for text, says in [
        ("a: [", "shards.yaml is not valid YAML"),
        ("- a", "should hold a mapping with the keys columns, expectations, keys, table"),
        (good.replace("column: most", "column: mots"), "shards.yaml, expectation 3.args.column = 'mots': did you"),
        (good.replace("means: no sample", "meanz: no sample"), "shards.yaml, expectation 3: means: Field required"),
    ]:  # fmt: skip
        (tmp_path / "shards.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as error:
            always_expected.__wrapped__()
        assert says in str(error.value)


def test_a_studys_own_expectations_judge_too(bench: Copy) -> None:
    b = bench()
    kpe = b.table("samples")["kpe"].to_numpy()
    beyond = int((kpe > 1).sum())
    more = (
        expectation(),
        expectation(
            means="mean energy is tiny",
            expectation="expect_column_mean_to_be_between",
            args={"column": "kpe", "max_value": 0.001},
            severity="warning",
        ),
    )
    assert beyond
    (failed,) = judge(b.store, [b.run], "test", more)[b.run.run_id]
    assert failed.startswith(f"samples: energies are small, but {beyond} of 50 samples: ")
    row = b.checks()["samples", "energies are small"]
    assert (row["failed"], len(row["rows"])) == (beyond, min(beyond, 20))
    assert all(kpe[int(sample)] > 1 for sample in row["rows"])
    row = b.checks()["samples", "mean energy is tiny"]
    assert (row["success"], row["observed"], row["threshold"]) == (False, f"{kpe.mean():.6g}", "mean of kpe ≤ 0.001")
