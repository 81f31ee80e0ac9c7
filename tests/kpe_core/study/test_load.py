"""Study files and ``--set``: what a user gets right works, what they get wrong is named, with the way out."""

import re
from pathlib import Path

import pytest

from kpe_core.errors import UserError
from kpe_core.study.load import STUDIES, find_study, load_study
from kpe_core.study.specs import ClassifierSpace, ShapingSpec, Study


def nfe_of(study: Study) -> list[tuple[int, ...]]:
    return [e.sampling.nfe for e in study.experiments]


def test_a_file_becomes_a_frozen_study(study_file: Path) -> None:
    study = load_study(str(study_file))
    assert [e.name for e in study.experiments] == ["plain", "sweep"]
    assert study.experiments[0].data.n_train == 100
    assert study.experiments[1].data.prepare.scale == 2.0
    assert study.experiments[1].sampling.shapings[1] == ShapingSpec(alpha0=0.02)
    assert study == load_study(str(study_file))


@pytest.mark.parametrize("name", sorted(p.stem for p in STUDIES.glob("*.yaml")))
def test_every_study_that_ships_is_valid(name: str) -> None:
    assert load_study(name).experiments


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("experiments.0.sampling.nfe=50", [(50,), (10, 20)]),
        ("experiments.plain.sampling.nfe=50", [(50,), (10, 20)]),
        ("experiments.sweep.sampling.nfe=[50, 60]", [(20,), (50, 60)]),
        ("experiments.sweep.sampling.nfe.1=50", [(20,), (10, 50)]),
        ("experiments.*.sampling.nfe=50", [(50,), (50,)]),
    ],
)
def test_set_addresses_items_by_number_by_name_and_all_at_once(
    study_file: Path, override: str, expected: list[tuple[int, ...]]
) -> None:
    assert nfe_of(load_study(str(study_file), (override,))) == expected


def test_set_reaches_what_the_file_leaves_out_and_the_last_one_wins(study_file: Path) -> None:
    overrides = (
        "title=Another",
        "experiments.plain.measure.spaces=[{extractor: classifier}]",
        "experiments.plain.measure.spaces.0.epochs=3",
        "experiments.plain.sampling.states={keep: every, every: 5}",
        "experiments.plain.sampling.seed=1",
        "experiments.plain.sampling.seed=2",
    )
    study = load_study(str(study_file), overrides)
    first = study.experiments[0]
    assert study.title == "Another"
    (space,) = first.measure.spaces
    assert isinstance(space, ClassifierSpace)
    assert space.epochs == 3
    assert (first.sampling.states.keep, first.sampling.states.every) == ("every", 5)
    assert first.sampling.seed == 2


@pytest.mark.parametrize(("text", "value"), [("1e-5", 1e-5), ("1.E-5", 1e-5), ("+2e-3", 2e-3), ("0.001", 1e-3)])
def test_numbers_may_be_written_as_powers_of_ten(study_file: Path, text: str, value: float) -> None:
    """YAML 1.1 alone would read 1e-5 as text."""
    study = load_study(str(study_file), (f"experiments.plain.sampling.tolerance={text}",))
    assert study.experiments[0].sampling.tolerance == value
    study_file.write_text(study_file.read_text().replace("n_train: 100", "n_train: 100, held_out: 1e-1"))
    assert load_study(str(study_file)).experiments[0].data.held_out == 0.1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        # keys: the nearest right one, or all there are
        ("experiments.0.sampling.nfee=3", "unknown key 'experiments.plain.sampling.nfee'; did you mean 'nfe'?"),
        ("experiments.0.data.prepare.scal=3", "unknown key 'experiments.plain.data.prepare.scal'; did you mean"),
        ("experiments.sweep.fields.1.widht=3", "did you mean 'width'?"),
        ("experiments.sweep.sampling.shapings.1.alpha=3", "did you mean 'alpha0'?"),
        ("experiment=3", "unknown key 'experiment'; did you mean 'experiments'?"),
        ("zzz.yyy=3", "unknown key 'zzz'; allowed: experiments, name, quality, title, tune"),
        # values: where, what was given, what is allowed
        ("experiments.plain.sampling.nfe=0", "= 0: input should be greater than or equal to 1"),
        ("experiments.plain.sampling.nfe=abc", "= 'abc': input should be a valid integer"),
        ("experiments.plain.data.name=digts", "experiments.plain.data.name: unknown data set 'digts'; available: "),
        ("experiments.plain.fields.kind=exakt", "fields.kind = 'exakt': must be one of 'exact', 'mlp', 'unet'"),
        ("experiments.plain.sampling.solvers=[]", "solvers = []: the list must not be empty"),
        ("experiments.plain.measure.densities=knn", "densities = 'knn': should be a list"),
        ("experiments.plain.sampling.states=every", "= 'every': should be a mapping with the keys every, keep"),
        (
            "experiments.plain.fields.bridge={kind: polynomial, coefficients: [a, 1.0]}",
            "trial.yaml: experiments.plain.fields.bridge.coefficients.0 = 'a'",
        ),
        ("experiments.plain.sampling.shapings={beta0: 0.06}", "allowed: 0 ≤ beta0 ≤ 0.0524"),
        ("experiments.sweep.sampling.nfe=[10, 15]", "nfe = 15: heun takes 2 evaluations a step"),
        ("experiments.sweep.sampling.guidance=1.5", "guidance needs classes: give the exact field `conditional: true`"),
        (
            "experiments.plain.sampling.solvers=rk5",
            "sampling.solvers = 'rk5': input should be 'euler', 'midpoint', 'heun', 'heun_ke', 'rk4' or 'dopri5'",
        ),
        ("experiments.plain.sampling.states.every=3", "`every: k` goes with `keep: every`"),
        # paths that lead nowhere
        ("experiments.swep.sampling.nfe=3", "no item 'swep'; there are plain, sweep (or a number, or *)"),
        ("experiments.2.sampling.nfe=3", "no item '2'; there are plain, sweep"),
        ("experiments.0.name.first=3", "'first' lies below 'plain', which has no keys"),
        # not an override at all
        ("nfe", "--set 'nfe' should read key.path=value"),
        ("=3", "should read key.path=value"),
        ("experiments.0.sampling.nfe=[1", "'[1' is not a YAML value"),
    ],
)
def test_a_wrong_set_says_what_and_where(study_file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load_study(str(study_file), (override,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", r"bad\.yaml is not valid YAML"),
        ("- just\n- a list\n", "should hold a mapping with the keys name, title, experiments"),
        ("", "should hold a mapping"),
        ("name: s\n", "'experiments' is missing"),
        (
            "name: s\nexperiments: [{name: e}]\n",
            r"'experiments\.e\.data' is missing; 'experiments\.e\.fields' is missing",
        ),
        ("name: s\nexperiments: []\n", "the list must not be empty"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_study(str(file))


def test_a_study_is_found_by_name_or_by_path(study_file: Path) -> None:
    assert find_study("first-look") == STUDIES / "first-look.yaml"
    assert find_study(str(study_file)) == study_file
    with pytest.raises(UserError, match=r"no study 'first-lok': .*did you mean 'first-look'\?"):
        find_study("first-lok")


def test_an_override_leaves_experiments_alone_that_share_an_anchor() -> None:
    before = [e.sampling.n_samples for e in load_study("first-look").experiments]
    changed = load_study("first-look", ("experiments.dense-sparse.sampling.n_samples=7",))
    assert [e.sampling.n_samples for e in changed.experiments] == [7, *before[1:]]


def test_one_mistake_makes_one_message() -> None:
    with pytest.raises(UserError) as caught:
        load_study("first-look", ("experiments.mnist-exact.sampling.nfe=0",))
    assert str(caught.value).count("nfe") == 1
    assert "after validation" not in str(caught.value)


def test_an_anchor_inside_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: s\nexperiments: &a [*a]\n")
    with pytest.raises(UserError, match="contains itself"):
        load_study(str(tmp_path / "s.yaml"))


def test_the_same_run_under_two_names_is_refused(tmp_path: Path) -> None:
    """It would be counted twice in every analysis."""
    one = "{name: %s, data: {name: digits}, fields: {kind: exact}, sampling: {nfe: %s}}"
    path = tmp_path / "s.yaml"
    path.write_text(f"name: s\nexperiments: [{one % ('a', '[10, 20]')}, {one % ('b', '[20, 40]')}]\n")
    with pytest.raises(UserError, match="'a nfe20' and 'b nfe20' are the same run"):
        load_study(str(path))
