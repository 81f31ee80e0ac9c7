"""Euler's method, order 1, one evaluation a step. [KE]'s default.

 0 │
───┼───
   │ 1
"""

from kpe_core.sampling.solvers.tableau import Tableau

EULER = Tableau("euler", order=1, c=(0.0,), a=((),), b=(1.0,))
