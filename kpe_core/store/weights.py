"""Trained weights in a store, under the hash of everything that determines them."""

import hashlib
import io
from typing import Any

import safetensors
import safetensors.torch
import torch

from kpe_core.errors import StoreDamaged
from kpe_core.store.sealed import Broken, opened_bytes, sealed_bytes
from kpe_core.store.store import Store

Tensors = dict[str, torch.Tensor]


class WeightsBox:
    """The folder of one recipe: ``weights.safetensors`` and, written last, ``card.json``."""

    def __init__(self, store: Store, recipe: str) -> None:
        self.store = store
        self.recipe = recipe
        self.folder = f"weights/{recipe}"

    def card(self) -> dict[str, Any] | None:
        """What the weights are, with their SHA-256; None while they are not trained."""
        path = f"{self.folder}/card.json"
        return dict(self.store.read_json(path)) if self.store.exists(path) else None

    def save(self, tensors: Tensors, card: dict[str, Any]) -> dict[str, Any]:
        """Store weights and card, unless another process was first: then its card is returned and these are dropped."""
        with self.store.lock(f"weights-{self.recipe}", wait=True):
            if (first := self.card()) is not None:
                return first
            data = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
            card = {"recipe": self.recipe, "sha256": hashlib.sha256(data).hexdigest(), **card}
            self.store.write(f"{self.folder}/weights.safetensors", data)
            self.store.write_json(f"{self.folder}/card.json", card)
            self.store.remove(f"{self.folder}/checkpoint.pt")
            return card

    def load(self) -> Tensors:
        """The weights, checked against the card.

        Raises
        ------
        StoreDamaged
            when they are missing, unreadable, or not the ones the card names.
        """
        card = self.card()
        if card is None:
            raise StoreDamaged(f"{self.store.path(self.folder)} has no card.json: these weights were never finished")
        data = self.store.read(f"{self.folder}/weights.safetensors")
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise StoreDamaged(f"{self.store.path(self.folder)}/weights.safetensors is not what its card.json names")
        try:
            return safetensors.torch.load(data)
        except safetensors.SafetensorError as error:
            raise StoreDamaged(f"{self.store.path(self.folder)}/weights.safetensors: {error}") from None

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.store.write(f"{self.folder}/checkpoint.pt", sealed_bytes(buffer.getvalue()))

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint of an interrupted training; None where there is none, or a damaged one."""
        path = f"{self.folder}/checkpoint.pt"
        if not self.store.exists(path):
            return None
        try:
            state = opened_bytes(self.store.read(path))
        except Broken:  # the training begins anew and comes to the same weights
            return None
        return dict(torch.load(io.BytesIO(state), weights_only=True))
