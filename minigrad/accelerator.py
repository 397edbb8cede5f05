"""PyTorch's newer way to ask for a GPU, whoever made it: `accelerator.current_accelerator()`."""

from minigrad.backend import Device
from minigrad.cuda import device_count, is_available

__all__ = ["current_accelerator", "device_count", "is_available"]


def current_accelerator(check_available: bool = False) -> Device | None:
    """The GPU that is used if none is named; None where there is none."""
    return Device("cuda") if is_available() else None
