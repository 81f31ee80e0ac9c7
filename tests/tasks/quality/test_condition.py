"""``row_condition`` chooses rows, and runs nothing: pandas would call what it names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.study.specs import ExpectationSpec
from tasks.quality.condition import require_harmless
from tasks.quality.expectations import require_valid
from tasks.quality.judge import judge
from tests.tasks.quality.bench import Bench


def expects(condition: object, expectation: str = "expect_column_values_to_be_between") -> ExpectationSpec:
    args = {"column": "sample", "max_value": 9, "row_condition": condition}
    return ExpectationSpec(table="samples", means="some rows", expectation=expectation, args=args)


@pytest.mark.parametrize(
    "condition",
    [
        "kpe.to_csv('{out}') == 1", "kpe.values.tofile('{out}') == 1", "@pd.io.common.os.system('touch {out}') == 0",
        "@__builtins__['open']('{out}', 'w')", "`kpe`.to_csv('{out}')", "kpe > 1 and kpe.to_pickle('{out}')", "kpe[0] > 1",
        "[kpe.to_csv('{out}')] == [1]", "kpe > (lambda: 1)()", "f'{{kpe}}' == ''", "__import__ > 1", "kpe = 1",
        "9**9**9 > 1", "kpe > 1 # `", "kpe == '@pd'", "(" * 300 + "kpe" + ")" * 300, "x" * 1000,
        "", 7, ["kpe > 1"], {"type": "comparison"},
    ],
)  # fmt: skip
def test_what_could_do_anything_is_refused_before_and_at_the_gate(
    bench: Callable[..., Bench], tmp_path: Path, condition: object
) -> None:
    out = tmp_path / "out"
    spec = expects(condition.replace("{out}", str(out)) if isinstance(condition, str) else condition)
    with pytest.raises(UserError, match="row_condition"):
        require_valid((spec,))
    if condition != "" and isinstance(condition, str) and "to_csv" in condition:
        b = bench()
        with pytest.raises(UserError, match="row_condition"):
            judge(b.store, [b.run], "test", (spec,))
    assert not out.exists()


@pytest.mark.parametrize(
    "condition", ["kpe > 1", "kpe > 1 and not (t <= 0.5)", "name in ['a', 'b'] or -kpe < 2 * d1 - 1", None]
)
def test_comparisons_are_let_through(condition: object) -> None:
    require_harmless(condition, "here")


def test_it_chooses_rows(bench: Callable[..., Bench]) -> None:
    """50 samples, numbered from 0: all below 10 are at most 9, and not all are."""
    b = bench()
    spec = expects("sample < 10")
    require_valid((spec,))
    assert not [text for text in judge(b.store, [b.run], "test", (spec,))[b.run.run_id] if "some rows" in text]
