"""Conditional flow matching: training a network on a bridge, resumable to the bit."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.errors import NumericalTrouble, UserError
from kpe_core.fields.averaging import Average
from kpe_core.fields.bridges import Bridge, bridge
from kpe_core.fields.network import Weights, build
from kpe_core.study.specs import NetworkField, TrainingSpec

SAVE_EVERY, SAVE_SECONDS = 1000, 30.0
"""The state that a killed training is resumed from is saved after so many steps, or so much time, whichever is sooner."""
CURVE_POINTS = 300
"""Of the loss curve of a whole training; at most twice as many."""


class Progress(NamedTuple):
    """Where training stands after ``step`` steps: what resuming takes."""

    step: int
    loss: float
    """Running mean of the flow-matching loss per coordinate."""
    model: Weights
    optimizer: dict[str, object]
    average: Weights
    """The weights' running average; empty without one."""
    curve: list[float]
    """Sum of the losses of every ``curve_interval`` steps."""


class Trained(NamedTuple):
    """What a training has learned after ``step`` steps."""

    step: int
    weights: Weights
    """A network's ``state_dict``: the running average where the spec asks for one."""
    loss: float
    """Running mean of the flow-matching loss per coordinate."""
    curve: list[tuple[int, float]]
    """Mean loss of so many steps in a row, each with the number of its last."""


def train(
    spec: NetworkField,
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    shape: Sequence[int] | None = None,
    until: int | None = None,
    resume: Progress | None = None,
    save: Callable[[Progress], None] | None = None,
    at: Collection[int] = (),
    keep: Callable[[Trained], None] | None = None,
    device: str = "cpu",
) -> Trained:
    """Minimise E‖v_θ(x_t, t, y) − γ̇(t)(x1 − x0)‖², x_t = γ(t) x1 + (1 − γ(t)) x0, t uniform ([LI]; METHOD §1).

    ``points`` (N, D) float32, ``labels`` (N,) int64; a share ``spec.label_dropout`` of the labels becomes the null label,
    from which classifier-free guidance takes its v(x, t, ∅). Step s draws its batch from a generator seeded by
    (seed, s), on the CPU whatever the device, and the learning rate is a function of s: on a CPU, a training resumed from a
    state it saved ends with the same bits as one never stopped.

    Parameters
    ----------
    shape : of one point, with product D; None: (D,)
    until : steps to take in all, at most ``spec.steps``, which it is by default; the schedule is that of the whole
    resume, save : where to go on from, and what takes such states on the way
    at, keep : steps after which ``keep`` is given what has been learned so far

    Raises
    ------
    NumericalTrouble
        when the loss is not finite; names the step.
    UserError
        when mixed precision is asked of a CPU.
    """
    require_precision(spec, device)
    x1_all, y_all = torch.from_numpy(points), torch.from_numpy(labels)
    network = build(spec, shape or points.shape[1:], n_classes).to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=spec.learning_rate, betas=(0.9, 0.99), weight_decay=spec.weight_decay
    )
    average = Average(network, spec.ema) if spec.ema is not None else None
    first, running, curve, interval = 0, 0.0, list[float](), curve_interval(spec)
    if resume is not None:
        network.load_state_dict(resume.model)
        optimizer.load_state_dict(resume.optimizer)
        first, running, curve = resume.step, resume.loss, list(resume.curve)
        if average is not None:
            average.load(resume.average)
    network.train()
    between, last = bridge(spec.bridge), spec.steps if until is None else until
    saved = time.monotonic()

    def learned(done: int) -> Trained:
        weights = average.weights() if average is not None else network.state_dict()
        return Trained(done, {k: v.cpu().clone() for k, v in weights.items()}, running, _points(curve, interval, done))

    for step in range(first, last):
        draw = torch.Generator().manual_seed(step_seed(spec.seed, step))
        pick = torch.randint(len(x1_all), (spec.batch,), generator=draw)
        x1, y = x1_all[pick], y_all[pick]
        x0 = torch.randn(x1.shape, generator=draw)
        t = torch.rand((spec.batch,), generator=draw)
        if network.null_label is not None:
            y = torch.where(torch.rand((spec.batch,), generator=draw) < spec.label_dropout, network.null_label, y)
        x_t, target = regression(between, x0, x1, t)
        with _precision(spec, device):
            v = network(x_t.to(device), t.to(device), y.to(device))
        loss = (v.float() - target.to(device)).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if spec.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), spec.clip)
        optimizer.step()
        done = step + 1
        if average is not None:
            average.update(done)
        value = loss.item()
        if not math.isfinite(value):
            raise NumericalTrouble(
                f"training loss is {value} at step {step}; lower learning_rate ({spec.learning_rate})"
            )
        running = value if step == 0 else 0.99 * running + 0.01 * value
        if step % interval == 0:
            curve.append(0.0)
        curve[-1] += value
        if keep is not None and done in at:
            keep(learned(done))
        if save is not None and done < last and (done % SAVE_EVERY == 0 or time.monotonic() - saved > SAVE_SECONDS):
            state = average.weights() if average is not None else {}
            save(Progress(done, running, network.state_dict(), optimizer.state_dict(), state, list(curve)))
            saved = time.monotonic()
    return learned(last)


def require_precision(spec: TrainingSpec, device: str) -> None:
    """Refuse mixed precision on a CPU, where it would only be slower.

    Raises
    ------
    UserError
        then.
    """
    if spec.precision == "bfloat16" and not device.startswith("cuda"):
        raise UserError("precision = bfloat16 trains on a CUDA device, and there is none here; use precision: float32")


def _precision(spec: TrainingSpec, device: str) -> contextlib.AbstractContextManager[object]:
    if spec.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def regression(between: Bridge, x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = γ(t) x1 + (1 − γ(t)) x0 and its target γ̇(t)(x1 − x0), for ``x0``, ``x1`` (B, D) and ``t`` (B,), float32."""
    at = between.at(t.double().numpy())
    gamma, rate = (torch.from_numpy(m).to(x0.dtype)[:, None] for m in (at.gamma, at.rate))
    return torch.lerp(x0, x1, gamma), rate * (x1 - x0)


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's draws, from (seed, step) alone."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def learning_rate(spec: TrainingSpec, step: int) -> float:
    """Of step ``step``, from 0: a linear rise over the warm-up, then constant, or a cosine to zero."""
    warm = spec.warmup_steps
    if step < warm:
        return spec.learning_rate * (step + 1) / warm
    if spec.schedule == "constant":
        return spec.learning_rate
    return spec.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, spec.steps - warm)))


def curve_interval(spec: TrainingSpec) -> int:
    """Steps averaged for one point of the loss curve."""
    return max(1, spec.steps // CURVE_POINTS)


def _points(sums: list[float], interval: int, done: int) -> list[tuple[int, float]]:
    """The curve's sums as means, each with its last step; an incomplete one is a mean of fewer."""
    ends = [min((i + 1) * interval, done) for i in range(len(sums))]
    return [(end, total / (end - i * interval)) for i, (end, total) in enumerate(zip(ends, sums, strict=True))]
