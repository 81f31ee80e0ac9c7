"""The solvers of dx/dt = η(t) v(x, t, y), one file each. Plain data: importing them imports no torch."""

from kpe_core.sampling.solvers.dopri5 import DOPRI5, DormandPrince
from kpe_core.sampling.solvers.euler import EULER
from kpe_core.sampling.solvers.heun import HEUN
from kpe_core.sampling.solvers.heun_ke import HEUN_KE
from kpe_core.sampling.solvers.midpoint import MIDPOINT
from kpe_core.sampling.solvers.rk4 import RK4
from kpe_core.sampling.solvers.tableau import Tableau

__all__ = ["SOLVERS", "DormandPrince", "Tableau"]

SOLVERS: dict[str, Tableau | DormandPrince] = {s.name: s for s in (EULER, MIDPOINT, HEUN, HEUN_KE, RK4, DOPRI5)}
"""By the name a study file uses."""
