"""The peak memory of training steps on a GPU, counted by each engine's own allocator.

`allocated` is what arrays occupied at the peak: weights, images, gradients, momentum, activations
and scratch; `reserved` is what the allocator had taken from the GPU to hold them. The first step,
which makes gradients and momentum, is over by then; PyTorch has chosen its algorithms.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import minigrad
from bench.gpu.sides import NotAvailable, device_of
from minigrad import backend

WARM_UPS, STEPS = 3, 3


def measure(build: Callable[[], tuple[Any, Callable[[], Any]]]) -> dict[str, int]:
    """The bytes at the peak of one side's steps; `build` makes its engine and its step.

    Raises:
        NotAvailable: this is no GPU.
    """
    gc.collect()
    engine, step = build()
    if device_of(engine) != "cuda":
        raise NotAvailable(f"the memory of {device_of(engine)}")
    gc.collect()  # what building left behind, of either engine
    engine.cuda.empty_cache()
    for _ in range(WARM_UPS):
        step()
    engine.cuda.synchronize()
    return _ours(step) if engine is minigrad else _theirs(engine, step)


def _ours(step: Callable[[], Any]) -> dict[str, int]:
    cupy = backend.cupy()
    pool = cupy.get_default_memory_pool()

    class Meter(cupy.cuda.MemoryHook):  # type: ignore[name-defined]
        """Told of each array that comes and goes."""

        name = "peak"
        used = most = pool.used_bytes()

        def malloc_postprocess(self, **event: Any) -> None:
            self.used += event["mem_size"]
            self.most = max(self.most, self.used)

        def free_postprocess(self, **event: Any) -> None:
            self.used -= event["mem_size"]

    meter = Meter()
    with meter:
        for _ in range(STEPS):
            step()
    minigrad.cuda.synchronize()
    return {"allocated": meter.most, "reserved": pool.total_bytes()}


def _theirs(torch: Any, step: Callable[[], Any]) -> dict[str, int]:
    torch.cuda.reset_peak_memory_stats()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
    }


def line(name: str, peak: dict[str, int]) -> str:
    """For the terminal."""
    shown = ", ".join(f"{what} {size / 2**20:.0f} MiB" for what, size in peak.items())
    return f"{'':14}{name}: {shown}"
