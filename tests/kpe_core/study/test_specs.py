"""Specs: frozen, strict, and every refusal says what is allowed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kpe_core.study.specs import (
    DataSpec,
    Experiment,
    MeasureSpec,
    NetworkField,
    PrepareSpec,
    SamplingSpec,
    ShapingSpec,
    Spec,
    StatesSpec,
    Study,
)

REFUSED: list[tuple[type[Spec], dict[str, Any], str]] = [
    (PrepareSpec, {"scaling": "centred"}, "'raw', 'unit', 'symmetric' or 'centered'"),
    (PrepareSpec, {"scale": 0}, "greater than 0"),
    (PrepareSpec, {"scale": float("inf")}, "finite"),
    (PrepareSpec, {"pool": 1}, "greater than or equal to 2"),
    (DataSpec, {"name": "digts"}, "unknown data set 'digts'; available: .*digits"),
    (DataSpec, {"name": "digits", "n_train": 1}, "greater than or equal to 2"),
    (DataSpec, {"name": "digits", "held_out": 1.0}, "less than 1"),
    (DataSpec, {"name": "digits", "seed": -1}, "greater than or equal to 0"),
    (NetworkField, {"kind": "network", "learning_rate": 0}, "greater than 0"),
    (SamplingSpec, {"nfe": 0}, "greater than or equal to 1"),
    (SamplingSpec, {"nfe": "abc"}, "valid integer"),
    (SamplingSpec, {"nfe": 10.0}, "valid integer"),
    (SamplingSpec, {"nfe": []}, "at least 1 item"),
    (SamplingSpec, {"nfe": [10, 0]}, "greater than or equal to 1"),
    (SamplingSpec, {"solvers": "dopri5"}, "'euler' or 'heun'"),
    (SamplingSpec, {"solvers": "heun", "nfe": 25}, "nfe = 25: Heun takes two evaluations a step, so nfe must be even"),
    (SamplingSpec, {"solvers": ["euler", "heun"], "nfe": [10, 25]}, "nfe = 25"),
    (SamplingSpec, {"energy_split": 0}, "greater than 0"),
    (ShapingSpec, {"alpha0": -0.1}, "greater than or equal to 0"),
    (ShapingSpec, {"tau": 1}, "less than 1"),
    (ShapingSpec, {"beta0": 0.06}, r"beta0 = 0\.06 .* reverses the motion; allowed: 0 ≤ beta0 ≤ 0\.0524"),
    (ShapingSpec, {"beta0": 1.1, "landing": "linear"}, r"beta0 ≤ 1\.0000"),
    (StatesSpec, {"keep": "all", "every": 3}, "`every: k` goes with `keep: every`"),
    (StatesSpec, {"every": 3}, "`every: k` goes with `keep: every`"),
    (StatesSpec, {"keep": "every"}, "`every: k` goes with `keep: every`"),
    (MeasureSpec, {"densities": [{"estimator": "knn", "space": "features"}]}, "needs a `classifier`"),
    (MeasureSpec, {"densities": [{"estimator": "kde", "bandwidth": "silverman"}]}, "'median_nn' or 'scott'"),
    (MeasureSpec, {"bootstrap": 10}, "greater than or equal to 100"),
    (Study, {"name": "with blanks", "experiments": []}, "match pattern"),
]


@pytest.mark.parametrize(("model", "document", "message"), REFUSED)
def test_refusals(model: type[Spec], document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(document)


@pytest.mark.parametrize("model", [PrepareSpec, SamplingSpec, ShapingSpec, StatesSpec, MeasureSpec])
def test_unknown_keys_are_errors_everywhere(model: type[Spec]) -> None:
    model.model_validate({})
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"no_such_key": 1})


def test_specs_are_frozen_and_hashable() -> None:
    spec = DataSpec(name="digits")
    with pytest.raises(ValidationError, match="frozen"):
        spec.name = "mnist5k"
    assert hash(spec) == hash(DataSpec(name="digits", prepare=PrepareSpec()))


@given(rate=st.floats(0.1, 20), share=st.floats(0, 2))
@settings(deadline=None, max_examples=50)
def test_beta0_is_allowed_up_to_its_limit_and_no_further(rate: float, share: float) -> None:
    beta0 = share * ShapingSpec(rate=rate).beta0_limit
    if share <= 1:
        assert ShapingSpec(rate=rate, beta0=beta0).beta0 == beta0
    else:
        with pytest.raises(ValidationError, match="reverses the motion"):
            ShapingSpec(rate=rate, beta0=beta0)


def test_sweeps_take_one_value_or_many() -> None:
    one = SamplingSpec.model_validate({"nfe": 50, "solvers": "heun", "shapings": {"alpha0": 0.1}})
    many = SamplingSpec.model_validate({"nfe": [50], "solvers": ["heun"], "shapings": [{"alpha0": 0.1}]})
    assert one == many
    assert one.nfe == (50,)
    document = {"name": "e", "data": {"name": "digits"}, "fields": {"kind": "exact"}}
    assert Experiment.model_validate(document) == Experiment.model_validate({**document, "fields": [{"kind": "exact"}]})


def test_only_gains_make_a_shaping() -> None:
    assert ShapingSpec(tau=0.3, launch="constant", rate=5.0).is_plain
    assert not ShapingSpec(alpha0=0.01).is_plain
    assert not ShapingSpec(beta0=0.01).is_plain


def test_experiment_names_must_differ() -> None:
    experiment = {"name": "twice", "data": {"name": "digits"}, "fields": {"kind": "exact"}}
    with pytest.raises(ValidationError, match="used twice: twice"):
        Study.model_validate({"name": "s", "experiments": [experiment, experiment]})


@pytest.mark.parametrize(
    "sweep", [{"nfe": [10, 10]}, {"solvers": ["euler", "euler"]}, {"shapings": [{"tau": 0.4}, {"tau": 0.5}]}]
)
def test_a_sweep_that_repeats_itself_is_refused(sweep: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="would be the same run"):
        SamplingSpec.model_validate(sweep)
