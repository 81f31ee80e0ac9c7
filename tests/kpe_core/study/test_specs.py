"""Specs: frozen, strict, and every refusal says what is allowed."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kpe_core.study.specs import (
    CosineBridge,
    DataSpec,
    ExactField,
    Experiment,
    LinearBridge,
    MeasureSpec,
    MLPField,
    PrepareSpec,
    SamplingSpec,
    ShapingSpec,
    Spec,
    StatesSpec,
    Study,
    UNetField,
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
    (MLPField, {"kind": "mlp", "learning_rate": 0}, "greater than 0"),
    (SamplingSpec, {"nfe": 0}, "greater than or equal to 1"),
    (SamplingSpec, {"nfe": "abc"}, "valid integer"),
    (SamplingSpec, {"nfe": 10.0}, "valid integer"),
    (SamplingSpec, {"nfe": []}, "at least 1 item"),
    (SamplingSpec, {"nfe": [10, 0]}, "greater than or equal to 1"),
    (SamplingSpec, {"solvers": "rk45"}, "'euler', 'midpoint', 'heun', 'heun_ke', 'rk4' or 'dopri5'"),
    (SamplingSpec, {"solvers": "heun", "nfe": 25}, "nfe = 25: heun takes 2 evaluations a step"),
    (SamplingSpec, {"solvers": "rk4", "nfe": 50}, "nfe = 50: rk4 takes 4 evaluations a step"),
    (SamplingSpec, {"solvers": ["euler", "heun"], "nfe": [10, 25]}, "nfe = 25"),
    (SamplingSpec, {"energy_split": 0}, "greater than 0"),
    (ShapingSpec, {"alpha0": -0.1}, "greater than or equal to 0"),
    (ShapingSpec, {"tau": 1}, "less than 1"),
    (ShapingSpec, {"beta0": 0.06}, r"beta0 = 0\.06 .* zero at t = 0\.982891, .*; allowed: 0 ≤ beta0 ≤ 0\.0524"),
    (ShapingSpec, {"beta0": 1.1, "landing": "linear"}, r"beta0 ≤ 1\.0000"),
    (ShapingSpec, {"eta": "1 + t", "alpha0": 0.1, "tau": 0.2}, "eta is the whole gain, so alpha0, tau cannot be given"),
    (ShapingSpec, {"eta": "1 + x"}, "character 5: unknown name 'x'"),
    (ShapingSpec, {"eta": "1/t"}, "eta is inf at t = 0"),
    (ShapingSpec, {"eta": 1}, "1 is neither a formula of t in quotes nor a table"),
    (ShapingSpec, {"eta": []}, "neither a formula"),
    (ShapingSpec, {"eta": [[0, 1], [1]]}, "neither a formula"),
    (ShapingSpec, {"eta": [[0, 1], [1, "2"]]}, "'2' in the table of eta is not a number"),
    (ShapingSpec, {"eta": [[0, 1], [1, float("nan")]]}, "nan in the table of eta is not finite"),
    (ShapingSpec, {"eta": [[0, 1]]}, r"times at \[0\.0\]; they must increase from 0 to 1"),
    (ShapingSpec, {"eta": [[0, 1], [0.5, 1], [0.5, 2], [1, 1]]}, "must increase from 0 to 1"),
    (ShapingSpec, {"eta": [[0.1, 1], [1, 1]]}, "must increase from 0 to 1"),
    (MLPField, {"kind": "mlp", "label_dropout": 1.0}, "less than 1"),
    (MLPField, {"kind": "mlp", "channels": 32}, "Extra inputs are not permitted"),
    (UNetField, {"kind": "unet", "width": 32}, "Extra inputs are not permitted"),
    (UNetField, {"kind": "unet", "channels": 12}, "multiple of 8"),
    (UNetField, {"kind": "unet", "multipliers": []}, "at least 1 item"),
    (UNetField, {"kind": "unet", "precision": "float16"}, "'float32' or 'bfloat16'"),
    (UNetField, {"kind": "unet", "ema": 1.0}, "less than 1"),
    (UNetField, {"kind": "unet", "clip": 0}, "greater than 0"),
    (UNetField, {"kind": "unet", "checkpoints": [0]}, "greater than or equal to 1"),
    (UNetField, {"kind": "unet", "checkpoints": [20, 10]}, r"checkpoints: \[20, 10\] must increase"),
    (UNetField, {"kind": "unet", "checkpoints": [10, 10]}, r"checkpoints: \[10, 10\] must increase"),
    (UNetField, {"kind": "unet", "steps": 9, "checkpoints": 10}, "checkpoints: 10 lies beyond the last of 9 steps"),
    (UNetField, {"kind": "unet", "steps": 9, "warmup": 9}, "warmup = 9 leaves nothing of 9 steps"),
    (MLPField, {"kind": "mlp", "bridge": 3}, "3 is not a bridge; write its kind"),
    (MLPField, {"kind": "mlp", "bridge": {"kind": "cosine", "power": 2}}, "Extra inputs are not permitted"),
    (
        ExactField,
        {"kind": "exact", "bridge": {"kind": "formula", "gamma": "t**2", "rate": "t"}},
        "at t = 0.0005 rate gives",
    ),
    (StatesSpec, {"keep": "all", "every": 3}, "`every: k` goes with `keep: every`"),
    (StatesSpec, {"every": 3}, "`every: k` goes with `keep: every`"),
    (StatesSpec, {"keep": "every"}, "`every: k` goes with `keep: every`"),
    (
        MeasureSpec,
        {"densities": [{"estimator": "knn", "space": "pcs"}], "spaces": [{"extractor": "pca"}]},
        "density knn in space 'pcs': measure.spaces has pca, and 'data' is always there; did you mean 'pca'",
    ),
    (
        MeasureSpec,
        {"spaces": [{"extractor": "pca"}, {"extractor": "pca", "components": 2}]},
        "used twice: pca. Give one a",
    ),
    (MeasureSpec, {"spaces": [{"extractor": "pca", "name": "data"}]}, "'data' is the name of the prepared coordinates"),
    (MeasureSpec, {"spaces": [{"extractor": "pixels", "name": "x"}]}, "'data' is the name of the prepared coordinates"),
    (MeasureSpec, {"spaces": [{"extractor": "dino"}]}, "does not match any of the expected tags"),
    (
        MeasureSpec,
        {"spaces": [{"extractor": "clip", "model": "RN50", "weights": "x", "prompt": "a photo"}]},
        r"must hold \{class\} once",
    ),
    (
        MeasureSpec,
        {"densities": [{"estimator": "kde", "bandwidth": "silvermann"}]},
        r"neither a rule \(median_nn, .*\) nor a number from 1e-09 to 1e\+09; did you mean 'silverman'",
    ),
    (MeasureSpec, {"densities": [{"estimator": "kde", "bandwidth": 1e-300}]}, "nor a number from 1e-09"),
    (MeasureSpec, {"densities": [{"estimator": "kde", "bandwidth": True}]}, "True is neither a rule"),
    (MeasureSpec, {"densities": [{"estimator": "knn"}, {"estimator": "knn", "k": 5}]}, "the same estimator twice"),
    (ExactField, {"kind": "exact", "conditional": 1}, "valid boolean"),
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
    beta0 = share / math.expm1(rate)
    if share <= 1:
        assert ShapingSpec(rate=rate, beta0=beta0).beta0 == beta0
    else:
        with pytest.raises(ValidationError, match="stops or reverses the motion"):
            ShapingSpec(rate=rate, beta0=beta0)


def test_a_bridge_is_its_kind_or_more() -> None:
    assert ExactField(kind="exact").bridge == LinearBridge()
    for document in ("cosine", {"kind": "cosine"}):
        assert MLPField.model_validate({"kind": "mlp", "bridge": document}).bridge == CosineBridge()
    spec = ExactField.model_validate({"kind": "exact", "bridge": {"kind": "polynomial", "coefficients": [0, 3, -2, 0]}})
    assert spec.bridge.model_dump() == {"kind": "polynomial", "coefficients": (0.0, 3.0, -2.0)}


@pytest.mark.parametrize(
    "document",
    ["linear", "cosine", {"kind": "polynomial", "coefficients": [0, 3, -2]},
     {"kind": "formula", "gamma": "t**2*(3 - 2*t)", "rate": "6*t*(1 - t)"}],
    ids=str,
)  # fmt: skip
def test_a_bridge_survives_json(document: Any) -> None:
    spec = ExactField.model_validate({"kind": "exact", "bridge": document})
    assert ExactField.model_validate_json(spec.model_dump_json()) == spec
    assert hash(spec) == hash(ExactField.model_validate_json(spec.model_dump_json()))


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
    assert not ShapingSpec(eta="1 + t").is_plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tau": 0.3, "rate": 5.0, "launch": "constant", "landing": "linear"}, {}),
        ({"alpha0": -0.0, "beta0": -0.0}, {}),
        ({"eta": [[-0.0, 1], [1, -0.0]]}, {"eta": [[0, 1], [1, 0]]}),
        ({"eta": "1"}, {}),
        ({"eta": "2 - 1 if t < 0.5 else 1"}, {}),
        ({"eta": [[0, 1], [0.5, 1], [1, 1]]}, {}),
        ({"alpha0": 0.1, "landing": "constant", "rate": 5.0}, {"alpha0": 0.1}),
        ({"alpha0": 0.1, "launch": "exponential", "rate": 3.0}, {"alpha0": 0.1, "launch": "exponential"}),
        ({"beta0": 0.01, "launch": "constant"}, {"beta0": 0.01}),
        ({"beta0": 0.01, "landing": "linear", "rate": 9.0}, {"beta0": 0.01, "landing": "linear"}),
        ({"eta": [[0, 1], [1, 2]]}, {"eta": ((0.0, 1.0), (1.0, 2.0))}),
    ],
    ids=str,
)
def test_what_changes_no_number_changes_no_spelling(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = ShapingSpec.model_validate(one), ShapingSpec.model_validate(other)
    assert a == b
    assert a.model_dump_json() == b.model_dump_json()
    assert hash(a) == hash(b)


@pytest.mark.parametrize(
    "change",
    [{"tau": 0.5}, {"rate": 2.0}, {"launch": "constant"}, {"landing": "linear"}, {"alpha0": 0.2}, {"beta0": 0.02}],
    ids=str,
)
def test_what_changes_the_gain_changes_the_spelling(change: dict[str, Any]) -> None:
    base = {"alpha0": 0.1, "beta0": 0.01}
    assert ShapingSpec.model_validate({**base, **change}).model_dump_json() != ShapingSpec(**base).model_dump_json()


@pytest.mark.parametrize("eta", ["1 - 0.5*t", [[0, 1], [0.3, 2], [1, 0]]])
def test_a_given_gain_survives_json(eta: Any) -> None:
    spec = ShapingSpec.model_validate({"eta": eta})
    assert ShapingSpec.model_validate_json(spec.model_dump_json()) == spec


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
