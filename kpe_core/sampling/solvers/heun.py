"""Heun's method as textbooks have it, order 2, two evaluations a step; under shaping it integrates dx/dt = η(t) v.

0 │
1 │  1
──┼─────────
  │ 1/2 1/2
"""

from kpe_core.sampling.solvers.tableau import Tableau

HEUN = Tableau("heun", order=2, c=(0.0, 1.0), a=((), (1.0,)), b=(0.5, 0.5))
