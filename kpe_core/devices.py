"""The device this process computes on: a GPU where torch sees one, else the CPU."""

import torch

CPU = torch.device("cpu")


def device_here() -> torch.device:
    """Asked inside a task, where it runs: the first GPU that the process sees (Dask-CUDA shows each worker its own)."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else CPU


def device_name(device: torch.device) -> str:
    """A GPU's name and UUID, which tell it from its equals; ``cpu``."""
    if device.type != "cuda":
        return device.type
    found = torch.cuda.get_device_properties(device)
    return f"{found.name} {found.uuid}"
