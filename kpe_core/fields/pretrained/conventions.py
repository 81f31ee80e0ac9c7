"""How a model wants to be asked, and what its answer means: the spec, completed by what its layout is known to do."""

import math
from dataclasses import dataclass
from typing import Literal

from kpe_core.errors import UserError
from kpe_core.fields.pretrained.schedule import Schedule, schedule
from kpe_core.study.specs.pretrained import BetasSpec, Prediction, PretrainedField


@dataclass(frozen=True)
class Habits:
    """What a layout's own code does, where a study file does not say otherwise."""

    predicts: Prediction = "velocity"
    direction: Literal["noise_to_data", "data_to_noise"] = "noise_to_data"
    time_scale: float = 1.0
    whole_times: bool = False
    betas: BetasSpec | None = None


@dataclass(frozen=True)
class Conventions:
    predicts: Prediction
    direction: Literal["noise_to_data", "data_to_noise"]
    time_scale: float
    whole_times: bool
    schedule: Schedule | None
    """None: the model was trained on the bridge itself."""

    @classmethod
    def of(cls, spec: PretrainedField, habits: Habits) -> "Conventions":
        """The spec's, and the habits' where it says nothing.

        Raises
        ------
        UserError
            for a prediction that needs betas, or betas with a velocity.
        """
        predicts = spec.predicts or habits.predicts
        betas = spec.betas
        if betas is None and spec.direction is None and spec.time_scale is None and predicts != "velocity":
            betas = habits.betas
        if betas is not None and predicts == "velocity":
            raise UserError(
                f"{spec.path}: betas are for diffusion models; a velocity is predicted on the bridge itself"
            )
        if predicts == "vp_velocity" and betas is None:
            raise UserError(f"{spec.path}: predicts: vp_velocity needs the betas it was trained with")
        return cls(
            predicts,
            spec.direction or habits.direction,
            spec.time_scale or habits.time_scale,
            habits.whole_times if spec.whole_times is None else spec.whole_times,
            None if betas is None else schedule(betas),
        )

    def time(self, t: float, gamma: float, sigma: float) -> float:
        """The model's own time at the bridge's ``t``; a whole number where it wants one."""
        if self.schedule is not None:
            s = self.schedule.level(gamma, sigma)
            return float(round(s)) if self.whole_times else s
        s = self.time_scale * (t if self.direction == "noise_to_data" else 1.0 - t)
        return float(math.floor(s + 1e-9)) if self.whole_times else s
