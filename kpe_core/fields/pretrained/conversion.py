"""From what a model predicts to a velocity.

On the bridge x = γ x1 + σ x0, the velocity is v = γ̇ (x̂1 − x̂0) with x̂1 = E[x1 | x], x̂0 = E[x0 | x] (METHOD §1, §3), and
x = γ x̂1 + σ x̂0, so that either of them tells the other:

    from the noise x̂0    v = γ̇ (x − x̂0) / γ
    from the data x̂1     v = γ̇ (x̂1 − x) / σ
    from the score       x̂0 = −σ ∇log p, hence v = (γ̇σ/γ) ∇log p + (γ̇/γ) x   (Lemma 4.1)

A variance-preserving model is asked about z = c x, c = 1/√(γ² + σ²): z = a x1 + b x0 with a = cγ, b = cσ, a² + b² = 1.
Its score is z's, −x̂0/b, and its "v" is a x̂0 − b x̂1.

At the ends. From the data, v is singular at t = 1, as the exact field is. From noise or score it is 0/0 at t = 0, and
rounding grows like 1/γ: there x̂1 − x̂0 is taken as the model has it at the first time with γ ≥ CUT (for a
variance-preserving model: the first with a noise level it knows), while γ̇ stays t's own.
"""

from typing import NamedTuple

from torch import Tensor

from kpe_core.fields.bridges import Bridge
from kpe_core.study.specs.pretrained import Prediction

CUT = 1e-3


class Mixture(NamedTuple):
    """What the model is shown: z = scale · (γ x1 + σ x0)."""

    gamma: float
    sigma: float
    scale: float = 1.0


def difference(predicts: Prediction, told: Tensor, x: Tensor, of: Mixture) -> Tensor:
    """x̂1 − x̂0, which γ̇ makes a velocity; ``told`` and ``x`` of one shape, ``told`` not a velocity.

    Raises
    ------
    ZeroDivisionError
        at γ = 0 for noise and score, at σ = 0 for data.
    """
    a, b = of.scale * of.gamma, of.scale * of.sigma
    match predicts:
        case "noise":
            return (x - told) / of.gamma
        case "score":
            return (x + b * told) / of.gamma
        case "data":
            return (told - x) / of.sigma
        case "vp_velocity":
            return (a - b) * of.scale * x - (a + b) * told
        case "velocity":
            raise ValueError("a velocity needs no conversion")


def time_at(bridge: Bridge, gamma: float) -> float:
    """The first t, to 1e-12, with γ(t) ≥ ``gamma``."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if bridge.at(middle).gamma >= gamma else (middle, high)
    return high
