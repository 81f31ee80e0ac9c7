"""The adaptive sampler: Dormand–Prince over a batch, energies integrated with the path, read off on the run's grid."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import RK45
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import Evaluation, VelocityField
from kpe_core.sampling.steps import Gain, Step, evaluated

Array = NDArray[np.float64]


def adaptive_steps(
    field: VelocityField, x0: Tensor, label: Tensor | None, times: Array, eta: Gain, breaks: tuple[float, ...],
    tolerance: float,
) -> Iterator[Step]:  # fmt: skip
    """Integrate dx/dt = η v together with ½‖ηv‖², ½‖v‖² and ‖ηv‖, yielding each interval of ``times`` (n + 1,).

    No step crosses one of ``breaks``, where η or the bridge may jump, and a step that ends there sees what holds before
    it. The error of a step is controlled for each sample: its root mean square over the state and the three integrals
    stays below ``tolerance`` (relative and absolute). Power and posterior are evaluated at the grid's own states, never
    taken from the interpolant, and those evaluations count.

    Where the field is singular at t = 1, the last interval is one step of Euler's.

    Raises
    ------
    NumericalTrouble
        when the velocity is not finite or the step size underflows; names the time.
    """
    last = len(times) - 1 - (1 if field.singular_at_one else 0)
    path = _Path(field, x0, label, times[: last + 1], eta, breaks, tolerance)
    x, sums = x0.to(torch.float64), path.sums(path.y)
    for i, (t, t_next) in enumerate(itertools.pairwise(times.tolist())):
        before = path.evaluations
        here, v, power = path.velocity(x, t)
        if i == last:
            move, dt = eta(t) * v, t_next - t
            x = x + dt * move
            effective = torch.linalg.vecdot(move, move)
            gone = dt * torch.stack([0.5 * effective, 0.5 * power, effective.sqrt()])
        else:
            y = path.reach(t_next)
            x, now = path.state(y), path.sums(y)
            gone, sums = now - sums, now
        yield Step.of(i, here, power, gone[0], gone[1], gone[2], x, path.evaluations - before)


class _Path:
    """A batch's state and the integrals along its path as one system for SciPy's solver, from break to break.

    y holds x (B·D), then ½∫‖ηv‖², ½∫‖v‖² and ∫‖ηv‖ (B each).
    """

    def __init__(
        self, field: VelocityField, x0: Tensor, label: Tensor | None, times: Array, eta: Gain,
        breaks: tuple[float, ...], tolerance: float,
    ) -> None:  # fmt: skip
        self.field, self.label, self.eta, self.times = field, label, eta, times
        self.shape, self.device = x0.shape, x0.device
        self.stops = [*(b for b in sorted(breaks) if times[0] < b < times[-1]), float(times[-1])]
        # RMS over the batch below tol/√B bounds every single sample's RMS by tol.
        self.tolerance = max(tolerance / math.sqrt(len(x0)), 1e-13)
        self.y = np.concatenate([x0.to(torch.float64).flatten().cpu().numpy(), np.zeros(3 * len(x0))])
        self.solver: RK45 | None = None
        self.evaluations = 0

    def state(self, y: Array) -> Tensor:
        n, d = self.shape
        return torch.from_numpy(y[: n * d].reshape(n, d).copy()).to(self.device)

    def sums(self, y: Array) -> Tensor:
        n, d = self.shape
        return torch.from_numpy(y[n * d :].reshape(3, n).copy()).to(self.device)

    def velocity(self, x: Tensor, t: float) -> tuple[Evaluation, Tensor, Tensor]:
        """What the field tells at ``x``, its velocity in float64, and the power."""
        step = int(np.searchsorted(self.times[1:-1], t, side="right"))
        told, v = evaluated(self.field, x, t, self.label, step)
        self.evaluations += self.field.evaluations
        return told, v, torch.linalg.vecdot(v, v)

    def reach(self, t: float) -> Array:
        """y at ``t``, read off the dense output of the step that passes it."""
        while self.solver is None or self.solver.t < t:
            if self.solver is None or self.solver.status == "finished":
                self._begin(0.0 if self.solver is None else self.solver.t)
            assert self.solver is not None
            message = self.solver.step()
            if self.solver.status == "failed":
                raise NumericalTrouble(f"dopri5 gave up at t = {self.solver.t:.6g}: {message}")
            self.y = self.solver.y
        return self.y if self.solver.t == t else self.solver.dense_output()(t)

    def _begin(self, start: float) -> None:
        """A solver from ``start`` to the next break, or to the end."""
        stop = next(s for s in self.stops if s > start)
        # A step that ends on a break sees what holds before it.
        until = math.nextafter(stop, 0.0) if stop < self.stops[-1] else stop

        def drift(t: float, y: Array) -> Array:
            t = min(t, until)
            _, v, power = self.velocity(self.state(y), t)
            gain = self.eta(t)
            parts = (gain * v).flatten(), 0.5 * gain**2 * power, 0.5 * power, gain * power.sqrt()
            return torch.cat(parts).cpu().numpy()

        self.solver = RK45(drift, start, self.y, stop, rtol=self.tolerance, atol=self.tolerance)
