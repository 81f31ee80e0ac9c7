"""The explicit midpoint method, order 2, two evaluations a step.

 0  │
1/2 │ 1/2
────┼────────
    │  0   1
"""

from kpe_core.sampling.solvers.tableau import Tableau

MIDPOINT = Tableau("midpoint", order=2, c=(0.0, 0.5), a=((), (0.5,)), b=(0.0, 1.0))
