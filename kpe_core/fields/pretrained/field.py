"""A model trained elsewhere as a velocity field."""

import functools
import math

import torch
from torch import Tensor

from kpe_core.devices import CPU
from kpe_core.errors import UserError
from kpe_core.fields.base import Evaluation
from kpe_core.fields.bridges import bridge
from kpe_core.fields.pretrained import layouts
from kpe_core.fields.pretrained.conventions import Conventions
from kpe_core.fields.pretrained.conversion import CUT, Mixture, difference, time_at
from kpe_core.fields.pretrained.network import Network
from kpe_core.study.specs.pretrained import PretrainedField

PROOF_TIME = 0.5


class PretrainedVelocity:
    """v(x, t, y) of a model trained elsewhere, on ``device``, for data points of ``shape``.

    Raises
    ------
    UserError
        when the model does not fit the shape or its declared conventions.
    """

    evaluations = 1

    def __init__(
        self, spec: PretrainedField, network: Network, shape: tuple[int, ...], device: torch.device = CPU
    ) -> None:
        self.spec, self.network, self.shape, self.device = spec, network, shape, device
        self.conventions = Conventions.of(spec, network.habits)
        self.bridge = bridge(spec.bridge)
        self.dtype: torch.dtype = getattr(torch, spec.dtype)
        self.seen = _seen_shape(spec, network, shape)
        _require_labels(spec, network)
        self.singular_at_one = self.conventions.predicts == "data"
        self.null_label = None if spec.null_label is None else spec.null_label - spec.label_shift
        self.first = self._first_time()

    def _first_time(self) -> float:
        """Before which x̂1 − x̂0 is taken as it is then (see ``conversion``)."""
        c = self.conventions
        if c.schedule is not None:
            return time_at(self.bridge, max(CUT, c.schedule.first_gamma))
        return time_at(self.bridge, CUT) if c.predicts in ("noise", "score") else 0.0

    @torch.no_grad()
    def evaluate(self, x: Tensor, t: float, label: Tensor | None = None) -> Evaluation:
        """v at ``x`` (B, D) of any float dtype, ``t``, and classes ``label`` (B,) int64; without them, the null label's.

        Raises
        ------
        ValueError
            at t = 1 where data are predicted; without ``label`` where the model needs classes and knows no null label.
        UserError
            when the model returns another shape than it was given.
        """
        c = self.conventions
        if self.singular_at_one and t >= 1.0:
            raise ValueError("a prediction of the data is singular at t = 1")
        if c.predicts == "velocity":
            told = self._ask(x, t, 1.0, c.time(t, 0.0, 0.0), label)
            return Evaluation(told if c.direction == "noise_to_data" else -told)
        here, seen = self.bridge.at(t), self.bridge.at(max(t, self.first))
        time = c.time(max(t, self.first), seen.gamma, seen.sigma)
        exact, scale = x.to(torch.float64), 1.0
        if c.schedule is not None:
            # Before the first time, x becomes the state of equal z there.
            scale = 1.0 / math.hypot(seen.gamma, seen.sigma)
            exact = exact / (scale * math.hypot(here.gamma, here.sigma))
        told = self._ask(exact, t, scale, time, label)
        of = Mixture(seen.gamma, seen.sigma, scale)
        return Evaluation(here.rate * difference(c.predicts, told.to(torch.float64), exact, of))

    def _ask(self, x: Tensor, t: float, scale: float, time: float, label: Tensor | None) -> Tensor:
        """What the model says of the states ``x`` (B, D), (B, D)."""
        spec, n = self.spec, len(x)
        z = (x * (scale * spec.input_scale)).to(self.dtype).reshape(n, *self.seen)
        kind = torch.int64 if self.conventions.whole_times else max(self.dtype, torch.float32, key=lambda d: d.itemsize)
        told = self.network.ask(
            z, torch.full((n,), time, dtype=kind, device=x.device), self._labels(label, n, x.device)
        )
        if not isinstance(told, Tensor) or told.shape != z.shape:
            given = tuple(told.shape) if isinstance(told, Tensor) else type(told).__name__
            raise UserError(
                f"{spec.path} returned {given} for inputs of shape {tuple(z.shape)}; a field keeps the shape"
            )
        return told.reshape(n, -1)

    def _labels(self, label: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        if self.spec.n_classes is None:
            return None
        if label is not None:
            return label + self.spec.label_shift
        if self.spec.null_label is None:
            raise ValueError("this model is asked by class; give null_label where it knows one")
        return torch.full((n,), self.spec.null_label, dtype=torch.int64, device=device)

    def prove(self) -> None:
        """Ask it once, about two points of noise.

        Raises
        ------
        UserError
            when it fails, or returns another shape, or something not finite.
        """
        x = torch.randn(2, math.prod(self.shape), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        label = None if self.spec.n_classes is None else torch.zeros(2, dtype=torch.int64, device=self.device)
        try:
            v = self.evaluate(x.to(self.device), PROOF_TIME, label).velocity
        except UserError:
            raise
        except Exception as error:
            what = f"{tuple(self.seen)} {self.spec.dtype}" + ("" if label is None else ", by class")
            said = " ".join(str(error).split())[:300]
            raise UserError(
                f"{self.spec.path} fails on two points of shape {what}: {type(error).__name__}: {said}"
            ) from None
        if not bool(torch.isfinite(v).all()):
            raise UserError(f"{self.spec.path} returns NaN or infinity for noise at t = {PROOF_TIME}")


@functools.lru_cache(maxsize=1)
def pretrained_field(
    spec: PretrainedField, shape: tuple[int, ...], weights: str, device: torch.device = CPU
) -> PretrainedVelocity:
    """The spec's field, loaded and proven once a process; ``weights`` is the SHA-256 it must have.

    Raises
    ------
    UserError
        when the files are not the ones of that hash; as ``layouts.load``, ``PretrainedVelocity`` and ``prove``.
    """
    if (found := layouts.weights_hash(spec)) != weights:
        raise UserError(
            f"{spec.path} has changed: its SHA-256 was {weights[:12]}… when the run was made and is {found[:12]}… now; "
            "start the study again, or put the old file back"
        )
    field = PretrainedVelocity(spec, layouts.load(spec, device), shape, device)
    field.prove()
    return field


def _seen_shape(spec: PretrainedField, network: Network, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a point as the model takes it."""
    seen = spec.shape or ((1, *shape) if len(shape) == 2 else shape)
    if math.prod(seen) != math.prod(shape):
        raise UserError(f"fields.shape = {list(seen)} is not the size of the data's points, {shape}")
    if network.channels is None:
        return seen
    if len(seen) != 3:
        raise UserError(f"{spec.path} is a model of images; the data as prepared have points of shape {shape}")
    if network.channels != seen[0]:
        raise UserError(
            f"{spec.path} takes images of {network.channels} channels; the data as prepared have {seen[0]} {shape}"
        )
    if any(side % network.divisor for side in seen[1:]):
        raise UserError(f"{spec.path} takes images whose sides divide by {network.divisor}; the data's are {seen[1:]}")
    return seen


def _require_labels(spec: PretrainedField, network: Network) -> None:
    if network.takes_labels and spec.n_classes is None:
        raise UserError(
            f"{spec.path} is asked by class (it knows {network.labels} labels): give fields.n_classes, and null_label "
            "where one of them stands for no class"
        )
    if network.takes_labels is False and spec.n_classes is not None:
        raise UserError(f"{spec.path} is not asked by class; remove fields.n_classes")
    if network.labels is not None and spec.n_classes is not None:
        highest = max(spec.label_shift + spec.n_classes - 1, spec.null_label or 0)
        if highest >= network.labels:
            raise UserError(f"{spec.path} knows labels 0 … {network.labels - 1}; fields asks for up to {highest}")
