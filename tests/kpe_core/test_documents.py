"""Documents that mean harm, or are merely broken: refused in a sentence, at once, and nothing in them is run."""

import time
from pathlib import Path

import pytest

from kpe_core.documents import parse_json, parse_yaml, read_yaml
from kpe_core.errors import LONGEST, UserError, readable, shown
from kpe_core.study.load import load_study

NINES = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
MERGES = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a0: &a0 [x]\n" + NINES, "more than 100,000 values, aliases spelled out"),
        ("a0: &a0 {x: 1}\n" + MERGES, "more than 100,000 values, aliases spelled out"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 2000, "levels deep"),
        ("[" * 60 + "]" * 60, "levels deep"),
        ("x" * 100_001, "more than 100,000 characters"),
        ("[" * 20 + "a," * 40_000, "levels deep|expected|found"),
        ("".join(" " * i + "a:\n" for i in range(60)), "levels deep"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("!!python/object/apply:os.system ['touch {canary}']", "could not determine a constructor"),
        ("!!python/name:os.system", "could not determine a constructor"),
        ("!!timestamp 2024-99-99", "not what its tag says|month must be"),
        ("!!int abc", "invalid literal"),
        ("!!float abc", "could not convert"),
        ("!!bool maybe", "not what its tag says"),
        ("!!timestamp x", "not what its tag says"),
        ("!!set {a, b}", "kind set"),
        ("!!binary aGk=", "kind bytes"),
        ("1" * 301, "more than 300 digits"),
        ("1" * 9000, "[Ee]xceeds the limit"),
        ("? [a]\n: b", "unhashable"),
        ("a: \x00", "special characters are not allowed"),
        ("a: *b", "undefined alias"),
        ("a: 1\n---\nb: 1", "but found another document"),
    ],
)
def test_refused_at_once(text: str, says: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=says):
        parse_yaml(text.replace("{canary}", str(tmp_path / "canary")))
    assert time.monotonic() - started < 20
    assert not list(tmp_path.iterdir())


def test_plain_documents_are_read() -> None:
    text = "x: &x {a: 1e-5, b: [yes, ~, 2024-02-30]}\ny: {<<: *x, b: 2}\nz: *x"
    assert parse_yaml(text) == {
        "x": {"a": 1e-5, "b": [True, None, "2024-02-30"]},
        "y": {"a": 1e-5, "b": 2},
        "z": {"a": 1e-5, "b": [True, None, "2024-02-30"]},
    }
    document = parse_yaml(text)
    document["x"]["b"].append(1)
    assert document["z"]["b"] == [True, None, "2024-02-30"], "nothing is shared"
    assert parse_yaml("") is None


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match=r"a\.yaml is not valid YAML"):
        read_yaml(tmp_path / "a.yaml")
    with pytest.raises(UserError, match=r"cannot be read"):
        read_yaml(tmp_path)
    with pytest.raises(ValueError, match=r"nested too deeply"):
        parse_json("[" * 100_000)


@pytest.mark.parametrize("name", ["x" * 5000, "a\x00b", "/proc/self/mem", "\ud800", "..", "", "/dev/zero"])
def test_names_of_no_study(name: str) -> None:
    with pytest.raises(UserError, match=r"no study|cannot be read|not valid YAML"):
        load_study(name)


def test_an_override_changes_each_item_for_itself(tiny_file: Path) -> None:
    both = ("experiments.*.data.prepare={scale: 2.0}", "experiments.0.data.prepare.scale=3.0")
    study = load_study(str(tiny_file), both)
    assert [e.data.prepare.scale for e in study.experiments] == [3.0, 2.0]


def test_messages_can_be_shown_anywhere() -> None:
    assert readable("a\x1b[31m\u202eb\ud800\nβ − \u00a0ok") == "a\\x1b[31m\\u202eb\\ud800\nβ − \u00a0ok"
    assert len(readable("x" * 10**7)) <= LONGEST
    assert len(shown(["x"] * 10**5)) <= 200
    assert str(UserError("a\x07")) == "a\\x07"


def test_a_study_of_too_many_runs(tiny_file: Path) -> None:
    started = time.monotonic()
    sweep = [f"experiments.0.sampling.{name}={list(range(1, 2001))}" for name in ("nfe", "guidance")]
    with pytest.raises(UserError, match=r"4,000,2\d\d runs|less than or equal to 100"):
        load_study(str(tiny_file), (sweep[0], sweep[1]))
    guidance = f"experiments.1.sampling.guidance={[n / 1000 for n in range(2000)]}"
    dropout = "experiments.1.fields.label_dropout=0.1"
    with pytest.raises(UserError, match="the sweeps make 8,000,001 runs; at most 10,000 are allowed"):
        load_study(str(tiny_file), (sweep[0].replace("experiments.0", "experiments.1"), guidance, dropout))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "override",
    ["0.sampling.n_samples=1e30", f"0.sampling.n_samples={10**30}", "0.sampling.nfe=1000000000", "1.fields.width=99999999",
     "1.fields.depth=100000", "0.sampling.batch=10000000000", "1.fields.steps=99999999999"],
)  # fmt: skip
def test_numbers_that_no_machine_holds(tiny_file: Path, override: str) -> None:
    with pytest.raises(UserError, match=r"less than or equal to|valid integer"):
        load_study(str(tiny_file), (f"experiments.{override}",))
