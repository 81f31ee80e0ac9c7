"""Conditional flow matching: training a network on a bridge, resumable to the bit."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kpe_core.errors import NumericalTrouble
from kpe_core.fields.bridges import Bridge, bridge
from kpe_core.fields.network import VelocityMLP
from kpe_core.study.specs import NetworkField

CHECKPOINT_EVERY = 1000


class Progress(NamedTuple):
    """Where training stands after ``step`` steps."""

    step: int
    loss: float
    """Running mean of the flow-matching loss per coordinate."""
    model: dict[str, Tensor]
    optimizer: dict[str, object]


def build(spec: NetworkField, dim: int, n_classes: int) -> VelocityMLP:
    """The untrained network; its initial weights depend on ``spec.seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return VelocityMLP(dim, n_classes, spec.width, spec.depth, null_label=spec.label_dropout > 0.0)


def train(
    spec: NetworkField,
    points: NDArray[np.float32],
    labels: NDArray[np.int64],
    n_classes: int,
    resume: Progress | None = None,
    checkpoint: Callable[[Progress], None] | None = None,
) -> tuple[VelocityMLP, float]:
    """Minimise E‖v_θ(x_t, t, y) − γ̇(t)(x1 − x0)‖², x_t = γ(t) x1 + (1 − γ(t)) x0, t uniform ([LI]; METHOD §1).

    ``points`` (N, D) float32, ``labels`` (N,) int64; a share ``spec.label_dropout`` of the labels becomes the null label,
    from which classifier-free guidance takes its v(x, t, ∅). Step s draws its batch from a generator seeded by
    (seed, s), and the learning rate is a function of s, so a run resumed from a checkpoint ends with the same bits as
    one never stopped.

    Returns the network and the running mean of the loss per coordinate.

    Raises
    ------
    NumericalTrouble
        when the loss is not finite; names the step.
    """
    x1_all, y_all = torch.from_numpy(points), torch.from_numpy(labels)
    network = build(spec, points.shape[1], n_classes)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=spec.learning_rate, betas=(0.9, 0.99), weight_decay=spec.weight_decay
    )
    first, running = 0, 0.0
    if resume is not None:
        network.load_state_dict(resume.model)
        optimizer.load_state_dict(resume.optimizer)
        first, running = resume.step, resume.loss
    network.train()
    between = bridge(spec.bridge)
    for step in range(first, spec.steps):
        draw = torch.Generator().manual_seed(step_seed(spec.seed, step))
        pick = torch.randint(len(x1_all), (spec.batch,), generator=draw)
        x1, y = x1_all[pick], y_all[pick]
        x0 = torch.randn(x1.shape, generator=draw)
        t = torch.rand((spec.batch,), generator=draw)
        if network.null_label is not None:
            y = torch.where(torch.rand((spec.batch,), generator=draw) < spec.label_dropout, network.null_label, y)
        x_t, target = regression(between, x0, x1, t)
        loss = (network(x_t, t, y) - target).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        value = loss.item()
        if not math.isfinite(value):
            raise NumericalTrouble(
                f"training loss is {value} at step {step}; lower learning_rate ({spec.learning_rate})"
            )
        running = value if step == 0 else 0.99 * running + 0.01 * value
        done = step + 1
        if checkpoint is not None and done % CHECKPOINT_EVERY == 0 and done < spec.steps:
            checkpoint(Progress(done, running, network.state_dict(), optimizer.state_dict()))
    return network, running


def regression(between: Bridge, x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = γ(t) x1 + (1 − γ(t)) x0 and its target γ̇(t)(x1 − x0), for ``x0``, ``x1`` (B, D) and ``t`` (B,), float32."""
    at = between.at(t.double().numpy())
    gamma, rate = (torch.from_numpy(m).to(x0.dtype)[:, None] for m in (at.gamma, at.rate))
    return torch.lerp(x0, x1, gamma), rate * (x1 - x0)


def step_seed(seed: int, step: int) -> int:
    """The seed of one step's draws, from (seed, step) alone."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def learning_rate(spec: NetworkField, step: int) -> float:
    """Constant, or one cycle: a linear rise over the first tenth, then a cosine to zero."""
    if spec.schedule == "constant":
        return spec.learning_rate
    warm = max(1, spec.steps // 10)
    if step < warm:
        return spec.learning_rate * (step + 1) / warm
    return spec.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, spec.steps - warm)))
