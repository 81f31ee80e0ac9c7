"""Heun's method as [KE]'s code shapes it (METHOD §4): the mean gain times the mean velocity.

    x̃ = x + h η(t) v(x, t);   x ← x + h ½(η(t) + η(t + h)) ½(v(x, t) + v(x̃, t + h))

The tableau is Heun's; without shaping so is the step. Under shaping the two differ by O(h³) a step where η is smooth.
"""

from dataclasses import replace

from kpe_core.sampling.solvers.heun import HEUN

HEUN_KE = replace(HEUN, name="heun_ke", mean_gain=True)
