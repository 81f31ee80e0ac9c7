"""The next generation of points, from the seed and what is known so far, and from nothing else.

Multi-objective TPE: Ozaki, Tanigaki, Watanabe, Nomura, Onishi, *Multiobjective Tree-Structured Parzen Estimator* (JAIR
2022), as Optuna has it. Among the samplers there, it is the one for tens of trials; genetic ones want hundreds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kpe_core.identity import digest
from kpe_core.study.specs import ShapingSpec, TuneSpec
from kpe_core.tuning.fronts import Pair
from kpe_core.tuning.points import Point, shaping_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ATTEMPTS = 64
"""Points asked for until one is new."""


@dataclass(frozen=True)
class Known:
    """A point and how it did: both objectives, to be small; None where it came to nothing."""

    point: Point
    objectives: Pair | None


def propose(
    space: TuneSpec, generation: int, known: Sequence[Known], taken: set[ShapingSpec], count: int
) -> list[Point]:
    """Points of a generation, their shapings neither ``taken`` nor twice; fewer where the space holds no more.

    As long as less than a generation is known, points are random. Within a generation, those chosen already count as bad
    ones (the constant liar), which keeps them apart.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Not the sampler's own state, but a seed a generation: so a search that was killed goes on as if it had not been.
    seed = int(digest("generation", space.seed, generation), 16) % 2**32
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=space.generation)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    distributions = _distributions(space)
    for each in known:
        done = optuna.trial.TrialState.FAIL if each.objectives is None else optuna.trial.TrialState.COMPLETE
        params = each.point.model_dump()
        study.add_trial(
            optuna.trial.create_trial(
                state=done, params=params, distributions=distributions, values=each.objectives and list(each.objectives)
            )
        )
    found, seen = list[Point](), set(taken)
    for _ in range(ATTEMPTS * count):
        if len(found) == count:
            break
        point = Point.model_validate(study.ask(distributions).params)
        if (shaping := shaping_of(point)) not in seen:
            seen.add(shaping)
            found.append(point)
    return found


def _distributions(space: TuneSpec) -> dict[str, "BaseDistribution"]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    ranges = {name: FloatDistribution(*getattr(space, name)) for name in ("alpha0", "slowdown", "tau", "rate")}
    return {
        "launch": CategoricalDistribution(space.launch),
        "landing": CategoricalDistribution(space.landing),
        **ranges,
    }
