"""What is tuned: one plain run of a study, a space to measure quality in, and the sample counts of the rungs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kpe_core.errors import UserError
from kpe_core.measure.manifolds import DENSITY_NEIGHBOURS
from kpe_core.study.runs import Cell, cells
from kpe_core.study.specs import ExpectationSpec, Experiment, NetworkField, SamplingSpec, ShapingSpec, Study, TuneSpec

SUFFIX = "-tune"
LONGEST_NAME = 64


@dataclass(frozen=True)
class Target:
    """A plain run to be shaped."""

    study: str
    """Name of the study whose runs the trials are, so that the tuned study's own runs and report stay what they are."""
    title: str
    plain: Cell
    """With the samples of the last rung."""
    space: str
    rungs: tuple[int, ...]
    """Samples, rising."""
    spec: TuneSpec
    quality: tuple[ExpectationSpec, ...] = ()
    """What the study expects of its runs beyond what always is; the trials too must hold it."""

    def study_of(self, samples: int, shapings: Iterable[ShapingSpec]) -> Study:
        """An ordinary study: the plain run and these shapings of it, on the same noise, with so many samples each.

        Sample i depends on i alone, and rungs hold whole batches: a rung's samples are the first of the next one's.
        """
        cell = self.plain
        plain = ShapingSpec()
        sampling = SamplingSpec(
            n_samples=samples, seed=cell.seed, solvers=(cell.solver,), nfe=(cell.nfe,), guidance=(cell.guidance,),
            classes=cell.classes, grid=cell.grid, energy_split=cell.energy_split, batch=cell.batch,
            precision=cell.precision, states=cell.states,
            shapings=(plain, *(s for s in dict.fromkeys(shapings) if not s.is_plain)),
            **({} if cell.tolerance is None else {"tolerance": cell.tolerance}),
        )  # fmt: skip
        experiment = Experiment(
            name=cell.experiment, data=cell.data, fields=(cell.field,), sampling=sampling, measure=cell.measure
        )
        return Study(name=self.study, title=self.title, experiments=(experiment,), quality=self.quality, tune=self.spec)


def target(study: Study) -> Target:
    """What the study's ``tune`` section asks for.

    Raises
    ------
    UserError
        when there is no such plain run, or several; when it has no feature space; when the smallest rung is too small for
        a Fréchet distance; when the study's name leaves no room for the tuning's.
    """
    spec, name = study.tune, study.name + SUFFIX
    if len(name) > LONGEST_NAME:
        raise UserError(
            f"trials belong to a study {name!r}, and names have at most {LONGEST_NAME} letters; shorten name"
        )
    plain = _plain_run(study)
    if spec.samples is not None:
        plain = plain.model_copy(update={"n_samples": spec.samples})
    space = _space(plain, spec.space)
    rungs = sample_counts(plain.n_samples, plain.batch, spec.rungs)
    if rungs[0] <= DENSITY_NEIGHBOURS:
        raise UserError(
            f"tune: {rungs[0]} samples in the first rung are too few for a Fréchet distance; at least "
            f"{DENSITY_NEIGHBOURS + 1} are needed. Raise tune.samples or sampling.batch"
        )
    title = f"Tuning {plain.label} of {study.name}"
    return Target(name, title, plain, space, rungs, spec, study.quality)


def sample_counts(samples: int, batch: int, rungs: int) -> tuple[int, ...]:
    """Samples of each rung: the last has all, each before it half, in whole batches; rungs that come out equal are one."""
    halved = [math.ceil(samples / 2**k) for k in range(rungs)]
    return tuple(sorted({min(samples, batch * math.ceil(n / batch)) for n in halved}))


def _plain_run(study: Study) -> Cell:
    """The plain cell that the study names, or its only one that has a feature space."""
    wanted = study.tune.run
    plain = [cell for cell in cells(study) if cell.shaping.is_plain]
    if not plain:
        raise UserError(f"study {study.name!r} has no plain run to tune; add {{}} to an experiment's sampling.shapings")
    if wanted is not None:
        found = [cell for cell in plain if cell.label == wanted] or [c for c in plain if c.experiment == wanted]
    else:
        found = [cell for cell in plain if cell.measure.spaces] or plain
    if len(found) != 1:
        what = f"tune.run = {wanted!r}" if wanted is not None else "tune.run"
        which = "no plain run is called that" if not found else "several plain runs could be meant"
        raise UserError(f"{what}: {which}; name one of {', '.join(cell.label for cell in found or plain)}")
    cell = found[0]
    if isinstance(cell.field, NetworkField) and cell.training_step != cell.field.steps:
        raise UserError(f"tune.run: {cell.label!r} is a checkpoint; only a network at the end of its training is tuned")
    return cell


def _space(plain: Cell, wanted: str | None) -> str:
    names = [space.name for space in plain.measure.spaces]
    if not names:
        raise UserError(
            f"{plain.experiment}.measure.spaces is empty, so {plain.label!r} has no Fréchet distance to tune for; "
            "add a space, e.g. {extractor: pixels}"
        )
    if wanted is not None and wanted not in names:
        raise UserError(f"tune.space = {wanted!r}: {plain.label!r} has {', '.join(names)}")
    return wanted or names[0]
