"""What is sampled, how, and what of it is kept."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from kpe_core.sampling.solvers import SOLVERS, Tableau
from kpe_core.study.specs.base import Count, Fraction, Seed, Spec, one_or_many
from kpe_core.study.specs.shaping import ShapingSpec


class StatesSpec(Spec):
    """Which states x(t) of a trajectory are stored. x(1) is always stored beside them."""

    keep: Literal["all", "every", "endpoints", "none"] = "all"
    every: Count | None = None
    """With ``keep: every``: each how many steps; t = 0 and t = 1 are always among them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.keep == "every") != (self.every is not None):
            raise ValueError("`every: k` goes with `keep: every`, and only with it")
        return self


Classes = Literal["even", "data"] | tuple[int | str, ...]
"""Which classes samples are asked for: all in turn, in the training points' proportions, or some by number or name."""

Precision = Literal["float32", "tf32", "bfloat16"]
"""Of a network's products while it is sampled."""

SolverName = Literal["euler", "midpoint", "heun", "heun_ke", "rk4", "dopri5"]


def evaluations_per_step(solver: SolverName) -> int:
    """Of ``nfe``, what one interval of the grid takes."""
    method = SOLVERS[solver]
    return method.evaluations if isinstance(method, Tableau) else 1


class SamplingSpec(Spec):
    """What is sampled. ``solvers``, ``nfe``, ``guidance`` and ``shapings`` are sweeps: one value or a list."""

    n_samples: Count = 1000
    seed: Seed = 0
    """Of the initial noise. Runs that share it are paired sample by sample."""
    solvers: Annotated[tuple[SolverName, ...], Field(min_length=1)] = ("euler",)
    """``heun`` is the textbook's, ``heun_ke`` [KE]'s own under shaping; ``dopri5`` is adaptive."""
    nfe: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=100_000)], ...], Field(min_length=1)] = (100,)
    """Velocities per sample: Euler takes one a step, midpoint and Heun two, RK4 four. For ``dopri5``, the intervals of
    the grid it is read off on. What a run really evaluated is recorded with it; guidance doubles it."""
    tolerance: Annotated[float, Field(strict=True, ge=1e-10, le=1e-2)] = 1e-5
    """Of ``dopri5``: error of a step allowed to each sample, relative and absolute."""
    guidance: Annotated[tuple[Annotated[float, Field(strict=True, ge=0, le=100)], ...], Field(min_length=1)] = (1.0,)
    """Classifier-free guidance w: v_∅ + w (v_y − v_∅); 1 is the class-conditional field itself."""
    classes: Classes = "even"
    """``even``: all classes in turn; ``data``: in the training points' own proportions; else one class or a list, each a
    number or a name, taken over and over."""
    grid: Literal["uniform", "cosine"] = "uniform"
    shapings: Annotated[tuple[ShapingSpec, ...], Field(min_length=1)] = (ShapingSpec(),)
    precision: Precision = "float32"
    """Of a network's products: ``tf32`` on NVIDIA GPUs only, ``bfloat16`` by autocast. States and energies are float64
    always; exact fields have their own ``dtype``."""
    energy_split: Fraction = 0.6
    """τ that parts early from late energy."""
    batch: Count = 125
    """Samples computed together. Batches align to the global sample index, so this, not the shard, fixes the bits."""
    states: StatesSpec = StatesSpec()

    @field_validator("classes", mode="before")
    @classmethod
    def _some_classes(cls, value: Any) -> Any:
        if value in ("even", "data"):
            return value
        chosen = tuple(one_or_many(value))
        if not chosen:
            raise ValueError("the list is empty; give even, data, a class or a list of classes")
        for c in chosen:
            if isinstance(c, bool) or not isinstance(c, int | str) or (isinstance(c, int) and c < 0):
                raise ValueError(f"{c!r} is neither a class's number, from 0, nor its name; or give even or data")
        return chosen

    _lists = field_validator("solvers", "nfe", "guidance", "shapings", mode="before")(one_or_many)

    @model_validator(mode="after")
    def _distinct_cells(self) -> Self:
        plain = [shaping for shaping in self.shapings if shaping.is_plain]
        if len(plain) > 1:
            raise ValueError(
                "shapings: more than one is plain (alpha0 = beta0 = 0, or eta = 1); they would be the same run"
            )
        for name in ("solvers", "nfe", "guidance", "shapings"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: the same value twice; it would be the same run")
        return self

    @model_validator(mode="after")
    def _whole_steps(self) -> Self:
        for name in self.solvers:
            each = evaluations_per_step(name)
            if broken := [n for n in self.nfe if n % each]:
                raise ValueError(
                    f"nfe = {broken[0]}: {name} takes {each} evaluations a step, so nfe must divide by {each}"
                )
        return self
