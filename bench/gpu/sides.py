"""The same precision for both engines, and how a GPU's time is taken.

Nothing is left to a default: PyTorch's convolutions use TF32 unless told not to, its matrix
products do not. Both engines have these switches under the same names. Next: `steps.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import minigrad
from alexnet.timing import Series, Work
from alexnet.twin import import_torch

FP32, TF32, FP16, BF16 = "fp32", "tf32", "fp16", "bf16"
# How far apart two engines' results may be, of the largest value. A product's operands keep 23, 10
# and 7 bits; a network's results, after some layers, a few more or less.
TOLERANCES = {FP32: 1e-4, TF32: 1e-2, BF16: 5e-2}
DEVICES = {"minigrad": "cuda", "torch": "cuda"}  # where each engine computes; tests have no GPU


class NotAvailable(Exception):
    """This machine cannot do it; the message says what is missing."""


def pin(precision: str) -> None:
    """Let both engines multiply float32 in TF32, or in float32 alone."""
    torch = import_torch()
    torch.backends.cudnn.benchmark = True
    for backends in (torch.backends, minigrad.backends):
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = precision != FP32


def device_of(engine: Any) -> str:
    """Where this engine computes."""
    return DEVICES[engine.__name__]


def casts(engine: Any, precision: str) -> Callable[[], AbstractContextManager[Any]]:
    """What a forward pass runs under: autocast, if 16 bits are asked for.

    Raises:
        ModuleNotFoundError: minigrad's bfloat16 needs a package that is not installed.
    """
    if precision != BF16:
        return nullcontext
    return partial(engine.autocast, device_of(engine), dtype=engine.bfloat16)


def repeated(step: Callable[[], Any], steps: int, engine: Any) -> Work:
    """`steps` calls in a row, and one wait for the GPU: how a loop over batches meets it."""

    def run(_: Any) -> None:
        for _ in range(steps):
            step()

    return Work({"step": run}, wait=waiting(engine))


def waiting(engine: Any) -> Callable[[], Any]:
    """A function that lets the GPU finish; nothing for the CPU."""
    return engine.cuda.synchronize if device_of(engine) == "cuda" else lambda: None


def each(samples: list[float], steps: int) -> list[float]:
    """The seconds of one step, where a sample is that of several."""
    return [seconds / steps for seconds in samples]


def summary(values: list[float]) -> dict[str, float]:
    """Median, spread and number, for the JSON."""
    series = Series(tuple(values))
    return {"median": series.median, "min": series.least, "max": series.most, "n": series.n}
