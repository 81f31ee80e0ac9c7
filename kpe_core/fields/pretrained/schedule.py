"""The noise levels of a variance-preserving diffusion model, and the one that a bridge has at t.

Such a model was trained on z_s = √ᾱ_s x1 + √(1 − ᾱ_s) x0, s = 0 … N − 1, s = 0 nearly data. A state x = γ x1 + σ x0 of the
bridge is such a z but for its scale: z = x/√(γ² + σ²), at the s with √(1 − ᾱ_s)/√ᾱ_s = σ/γ.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kpe_core.study.specs.pretrained import BetasSpec

LARGEST_BETA = 0.999
"""Where ᾱ would reach zero at the last s (Nichol and Dhariwal 2021)."""


@dataclass(frozen=True)
class Schedule:
    """ᾱ_s for s = 0 … N − 1, falling within (0, 1)."""

    alpha_bar: NDArray[np.float64]

    @property
    def log_ratio(self) -> NDArray[np.float64]:
        """log(√ᾱ/√(1 − ᾱ)), half the log signal-to-noise ratio, falling."""
        return 0.5 * (np.log(self.alpha_bar) - np.log1p(-self.alpha_bar))

    @property
    def first_gamma(self) -> float:
        """γ of the bridge at the noisiest level: γ/σ = √ᾱ/√(1 − ᾱ)."""
        ratio = math.exp(float(self.log_ratio[-1]))
        return ratio / (1.0 + ratio)

    def level(self, gamma: float, sigma: float) -> float:
        """s for the bridge's γ and σ, between whole ones linear in the log ratio; the nearest known one beyond the ends."""
        if gamma <= 0.0:
            return len(self.alpha_bar) - 1.0
        if sigma <= 0.0:
            return 0.0
        wanted = math.log(gamma) - math.log(sigma)
        s = np.arange(len(self.alpha_bar), dtype=np.float64)
        return float(np.interp(wanted, self.log_ratio[::-1], s[::-1]))


def schedule(spec: BetasSpec) -> Schedule:
    """ᾱ of the betas a spec names, in float64."""
    betas: NDArray[np.float64]
    match spec.kind:
        case "linear":
            betas = np.linspace(spec.start, spec.end, spec.steps)
        case "scaled_linear":
            betas = np.linspace(spec.start**0.5, spec.end**0.5, spec.steps) ** 2
        case "cosine":
            s = np.arange(spec.steps + 1) / spec.steps
            alpha_bar = np.cos((s + 0.008) / 1.008 * np.pi / 2) ** 2
            betas = np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], LARGEST_BETA)
    return Schedule(np.cumprod(1.0 - betas, dtype=np.float64))
