"""A velocity field asked for fewer samples at a time where the memory does not hold all at once."""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from kpe_core.errors import UserError
from kpe_core.fields.base import Evaluation, VelocityField

SAID_OF_MEMORY = ("can't allocate memory", "ALLOC_FAILED")
"""In the RuntimeErrors of torch's CPU allocator, and of CUDA's libraries."""


@dataclass
class Room:
    """How many samples one process computes together with one model; what has not fitted is not tried again."""

    rows: int | None = None
    """None until something has not fitted: then all that are asked for."""

    def together(self, wanted: int) -> int:
        return wanted if self.rows is None else min(wanted, self.rows)


@functools.lru_cache(maxsize=64)
def room_for(model: str) -> Room:
    """This process's room for the model of that id, empty-handed at first. It never decides what is computed."""
    return Room()


class WithinMemory:
    """``field``, asked in parts where it has to be: after an out-of-memory error half as many samples, and half again.

    The solver sees whole batches still, so steps, energies and what is stored are those of the batch. A sample's velocity
    does not depend on who is computed beside it, but for the last bits: a matrix product may round otherwise for another
    number of rows. So the smallest part is recorded with the shard.
    """

    def __init__(self, field: VelocityField, room: Room) -> None:
        self.field, self.room = field, room
        self.singular_at_one, self.null_label = field.singular_at_one, field.null_label
        self.evaluations = field.evaluations

    def evaluate(self, x: Tensor, t: float, label: Tensor | None) -> Evaluation:
        """As the field's own.

        Raises
        ------
        UserError
            when not even one sample fits.
        """
        while True:
            rows = self.room.together(len(x))
            try:
                return self._evaluate(x, t, label, rows)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not within the handler, whose traceback holds on to the tensors that filled the memory.
            if rows <= 1:
                raise UserError(
                    f"the memory of {x.device.type} does not hold what one sample of {x.shape[1]} coordinates takes; free "
                    "it of other work, use fewer workers or a device with more, or a smaller model or data set"
                )
            self.room.rows = rows // 2
            if x.device.type == "cuda":
                torch.cuda.empty_cache()

    def _evaluate(self, x: Tensor, t: float, label: Tensor | None, rows: int) -> Evaluation:
        if rows >= len(x):
            return self.field.evaluate(x, t, label)
        labels = [None] * len(x.split(rows)) if label is None else list(label.split(rows))
        told = [self.field.evaluate(part, t, y) for part, y in zip(x.split(rows), labels, strict=True)]
        velocity, *beside = (
            None if column[0] is None else torch.cat([part for part in column if part is not None])
            for column in zip(*told, strict=True)
        )
        assert velocity is not None
        return Evaluation(velocity, *beside)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it tells of memory that was not to be had, on a GPU or for the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in SAID_OF_MEMORY)
