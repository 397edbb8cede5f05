"""Questions about GPUs, under PyTorch's names: `minigrad.cuda.is_available()`; and `graph`, which
makes one launch of a training step (`graphs.py`)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from minigrad import backend, dtypes
from minigrad.backend import Device
from minigrad.cuda.graphs import graph as graph


def is_available() -> bool:
    """Whether an array can really be allocated on a GPU."""
    return not backend.cuda_problem()


def device_count() -> int:
    """How many GPUs there are."""
    return backend.cupy().cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The number of the GPU that "cuda" means: the first, always."""
    backend.cupy()
    return 0


def get_device_name(device: Any = None) -> str:
    """What the GPU calls itself. Here and below, `device` may also be a number, or None: the first.

    Raises, as all that follows: RuntimeError without a GPU, or one of that number.
    """
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability: (9, 0) of an H100. TF32 and bfloat16 begin with (8, 0)."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """`name`, `major`, `minor`, `total_memory` in bytes, `multi_processor_count`."""
    with backend.use_device(_gpu(device)):
        known = backend.cupy().cuda.runtime.getDeviceProperties(_gpu(device).index)
    return SimpleNamespace(
        name=known["name"].decode(), major=known["major"], minor=known["minor"],
        total_memory=known["totalGlobalMem"], multi_processor_count=known["multiProcessorCount"],
    )  # fmt: skip


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU multiplies bfloat16 itself, and ml_dtypes, which knows the type, is there.

    Nothing emulates it here; in PyTorch, older GPUs may do so.
    """
    try:
        dtypes.load_bfloat16()
    except ModuleNotFoundError:
        return False
    return is_available() and get_device_capability() >= (8, 0)


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays take now, each rounded up to CuPy's 512; what a graph keeps is apart."""
    with backend.use_device(_gpu(device)):
        return backend.cupy().get_default_memory_pool().used_bytes()


def memory_reserved(device: Any = None) -> int:
    """Bytes that were taken from the driver: for arrays, and for later ones."""
    with backend.use_device(_gpu(device)):
        return backend.cupy().get_default_memory_pool().total_bytes()


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done everything it was asked for."""
    backend.cupy().cuda.Device(_gpu(device).index).synchronize()


def _gpu(device: Any) -> Device:
    if device is None or isinstance(device, int):
        return Device("cuda", device)
    if (device := Device(device)).type == "cpu":
        raise ValueError("expected a GPU: 'cuda', 'cuda:<index>', a number or None, got 'cpu'")
    return device


class Event:
    """A mark in the queue of a GPU, to measure with, without a wait in between:

        start, end = Event(enable_timing=True), Event(enable_timing=True)
        start.record(); step(); end.record()
        end.synchronize()
        milliseconds = start.elapsed_time(end)

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        self.enable_timing = enable_timing
        self._event = backend.cupy().cuda.Event(blocking, not enable_timing)

    def record(self) -> None:
        """Put the mark behind all that the GPU was asked for."""
        self._event.record()

    def query(self) -> bool:
        """Whether the GPU has come past the mark."""
        return self._event.done

    def synchronize(self) -> None:
        """Wait until it has."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to the other; it must have come past both.

        Raises:
            ValueError: one of them was made without enable_timing.
        """
        if not self.enable_timing or not end_event.enable_timing:
            raise ValueError("[Event] both must be made by Event(enable_timing=True)")
        return backend.cupy().cuda.get_elapsed_time(self._event, end_event._event)


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


from minigrad.cuda import amp  # noqa: E402 - the older spelling, at the end of what it is in
