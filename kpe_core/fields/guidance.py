"""Classifier-free guidance: v_w = v(x, t, ∅) + w (v(x, t, y) − v(x, t, ∅)) (METHOD §1)."""

import torch
from torch import Tensor

from kpe_core.fields.base import Evaluation, VelocityField


class Guided:
    """``field`` under guidance of scale w ≠ 1 (w = 1 is the field itself): two evaluations a call.

    Where the field has a null label, one call of twice the batch makes both.

    What an exact field tells beside its velocity is told of the class asked for: p_t(x | y) and its posterior.
    """

    def __init__(self, field: VelocityField, scale: float) -> None:
        self.field, self.scale = field, scale
        self.singular_at_one, self.null_label = field.singular_at_one, field.null_label
        self.evaluations = 2 * field.evaluations

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """v_w at ``x`` (B, D), ``t``, classes ``label`` (B,).

        Raises
        ------
        ValueError
            without classes: there is nothing to be guided to.
        """
        if label is None:
            raise ValueError("guidance needs classes")
        free, asked = self._both(x, t, label)
        return asked._replace(velocity=free + self.scale * (asked.velocity - free))

    def _both(self, x: Tensor, t: float, label: Tensor) -> tuple[Tensor, Evaluation]:
        """v(x, t, ∅), and all that is told of the classes asked for."""
        if self.null_label is None:
            return self.field.evaluate(x, t, None).velocity, self.field.evaluate(x, t, label)
        none = torch.full_like(label, self.null_label)
        told = self.field.evaluate(torch.cat([x, x]), t, torch.cat([none, label]))
        free, asked = told.velocity.chunk(2)
        return free, Evaluation(asked, *(None if part is None else part[len(x) :] for part in told[1:]))
