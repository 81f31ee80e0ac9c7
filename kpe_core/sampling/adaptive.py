"""The adaptive sampler: Dormand–Prince over a batch, energies integrated with the path, read off on the run's grid."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.base import VelocityField
from kpe_core.sampling.steps import Gain, Step, require_finite

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
    from scipy.integrate import RK45

    n, d = x0.shape
    spent = _Evaluations()
    last = len(times) - 1 - (1 if field.singular_at_one else 0)
    until = float(times[last])

    def drift(t: float, y: Array) -> Array:
        t = min(t, until)
        state = torch.from_numpy(y[: n * d].reshape(n, d)).to(x0.device)
        v = field.evaluate(state, t, label).velocity.to(torch.float64)
        require_finite(v, int(np.searchsorted(times, t, side="right")) - 1, t)
        spent.count += field.evaluations
        power, gain = torch.linalg.vecdot(v, v), eta(t)
        parts = (gain * v).flatten(), 0.5 * gain**2 * power, 0.5 * power, gain * power.sqrt()
        return torch.cat(parts).cpu().numpy()

    x, sums = x0.to(torch.float64), np.zeros((3, n))
    y = np.concatenate([x.flatten().cpu().numpy(), sums.ravel()])
    ends = [b for b in sorted(breaks) if times[0] < b < times[last]]
    solver, read = None, None
    for i in range(len(times) - 1):
        t, t_next = float(times[i]), float(times[i + 1])
        before = spent.count
        here = field.evaluate(x, t, label)
        v = here.velocity.to(torch.float64)
        require_finite(v, i, t)
        spent.count += field.evaluations
        power = torch.linalg.vecdot(v, v)
        if i == last:
            gain, dt = eta(t), t_next - t
            x = x + dt * gain * v
            gone = torch.stack([0.5 * dt * gain**2 * power, 0.5 * dt * power, dt * gain * power.sqrt()])
        else:
            while solver is None or solver.t < t_next:
                if solver is None or solver.status == "finished":
                    start = 0.0 if solver is None else solver.t
                    stop = next((b for b in ends if b > start), float(times[last]))
                    # RMS over the batch below tol/√n bounds every single sample's RMS by tol.
                    scale = tolerance / np.sqrt(n)
                    until = math.nextafter(stop, 0.0) if stop in ends else stop
                    solver = RK45(drift, start, y, stop, rtol=max(scale, 1e-13), atol=scale)
                message = solver.step()
                if solver.status == "failed":
                    raise NumericalTrouble(f"dopri5 gave up at t = {solver.t:.6g}: {message}")
                y, read = solver.y, solver.dense_output()
            assert read is not None
            at = y if solver.t == t_next else read(t_next)
            x = torch.from_numpy(at[: n * d].reshape(n, d).copy()).to(x0.device)
            now = at[n * d :].reshape(3, n)
            gone = torch.from_numpy(now - sums).to(x0.device)
            sums = now
        yield Step.of(i, here, power, gone[0], gone[1], gone[2], x, spent.count - before)


class _Evaluations:
    count = 0
