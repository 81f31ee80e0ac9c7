"""The classical Runge–Kutta method, order 4, four evaluations a step.

 0  │
1/2 │ 1/2
1/2 │  0  1/2
 1  │  0   0   1
────┼─────────────────
    │ 1/6 1/3 1/3 1/6
"""

from kpe_core.sampling.solvers.tableau import Tableau

RK4 = Tableau(
    "rk4",
    order=4,
    c=(0.0, 0.5, 0.5, 1.0),
    a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
