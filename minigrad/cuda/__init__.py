"""Questions about GPUs, under PyTorch's names: `minigrad.cuda.is_available()`; and `graph`, which
makes one launch of a training step (`graphs.py`)."""

from __future__ import annotations

from typing import Any

from minigrad import backend
from minigrad.backend import Device
from minigrad.cuda.graphs import graph as graph


def is_available() -> bool:
    """Whether an array can really be allocated on a GPU."""
    return not backend.cuda_problem()


def device_count() -> int:
    """How many GPUs there are."""
    return backend.cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def get_device_name(device: Any = "cuda") -> str:
    """What the GPU calls itself."""
    runtime = backend.cupy().cuda.runtime
    return runtime.getDeviceProperties(Device(device).index)["name"].decode()


def synchronize(device: Any = "cuda") -> None:
    """Wait until the GPU has done everything it was asked for."""
    backend.cupy().cuda.Device(Device(device).index).synchronize()


def empty_cache() -> None:
    """Give the memory back that is kept for later use."""
    if is_available():
        backend.cupy().get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """As `minigrad.manual_seed`: all devices are seeded together."""
    backend.manual_seed(seed)


manual_seed_all = manual_seed


def get_rng_state(device: Any = "cuda") -> dict[str, int]:
    """The state of a GPU's generator: two integers, for which the GPU is waited for."""
    return backend.generator(device).get_state()


def set_rng_state(new_state: dict[str, int], device: Any = "cuda") -> None:
    """Continue from a state that `get_rng_state` returned."""
    backend.generator(device).set_state(new_state)
