"""Which GPU each worker of a CUDA cluster has: asked of the workers, and no two may share one."""

from collections.abc import Mapping

from kpe_core.errors import UserError


def devices_of(address: str) -> tuple[str, ...]:
    """Name and UUID of every worker's GPU.

    Raises
    ------
    UserError
        when a worker has no GPU that torch can use, or two have the same.
    """
    from distributed import Client

    with Client(address) as client:
        return distinct(client.run(_gpu_here))


def _gpu_here() -> str | None:
    """Name and UUID of the GPU this process computes on; None where torch sees none. Runs in the workers."""
    from kpe_core.devices import device_here, device_name

    device = device_here()
    return device_name(device) if device.type == "cuda" else None


def distinct(found: Mapping[str, str | None]) -> tuple[str, ...]:
    """The devices, sorted, of ``found`` by worker; errors as in `devices_of`."""
    without = sorted(worker for worker, device in found.items() if device is None)
    if without:
        raise UserError(
            f"torch sees no GPU in worker {without[0]}; install a torch built for CUDA, or use --cluster local"
        )
    devices = sorted(device for device in found.values() if device is not None)
    if shared := sorted({device for device in devices if devices.count(device) > 1}):
        raise UserError(f"two workers share the GPU {shared[0]}; give each its own by CUDA_VISIBLE_DEVICES")
    return tuple(devices)
