"""`python -m bench --profile NETWORK`: where the time of a training step goes, kernel by kernel.

Each kernel is wrapped in a clock, and each call is booked on the layer, the op and the direction
that made it. Beside the time stand GFLOP/s (a multiplication and an addition are two, counted for
the plain algorithm: Winograd's, which needs fewer, may pass the machine's peak) and GB/s (arguments
and results once: the least that must move). What these cores reach in a matrix product and in a
copy is measured as well. Next: `networks.py`.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

from alexnet.layers import align, watch
from alexnet.twin import minigrad_side
from bench.networks import DEFAULT, Network, optimizers, training_step
from minigrad import Function
from minigrad.kernels import cpu

STEPS, WARM_UPS = 7, 2
NO_KERNELS = ("empty", "zeros")  # among the functions of kernels.cpu
SIDE, COPIED = 2048, 1 << 26  # of the matrices, and floats in the copy, that show the peaks

# Multiply-adds, of the kernels that are made of them, by their arguments and their result.
PRODUCTS: dict[str, Callable[[tuple[Any, ...], Any], int]] = {
    "conv2d": lambda args, y: y.size * math.prod(args[1].shape[1:]),
    "conv2d_backward_input": lambda args, _: args[0].size * math.prod(args[1].shape[1:]),
    "conv2d_backward_weight": lambda args, _: args[0].size * math.prod(args[2][1:]),
    "linear": lambda args, y: y.size * args[1].shape[1],
    "matmul": lambda args, y: y.size * args[0].shape[-1],
}


@dataclass(frozen=True)
class Call:
    """One call of a kernel: for which (layer, op, direction, kernel), and what it took."""

    key: tuple[str, str, str, str]
    seconds: float
    flops: int
    nbytes: int


class Recorder:
    """Notes the calls of kernels inside `recording()`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.layer = ""
        self.work = ("", "optimizer", "")  # the layer, op and direction that a kernel works for
        self.layers: dict[Function, str] = {}

    @contextmanager
    def recording(self, model: Any) -> Iterator[None]:
        """Watch the kernels and the operations that call them."""
        kernels = {n: f for n, f in vars(cpu).items() if callable(f) and n not in NO_KERNELS}
        with ExitStack() as stack:
            stack.enter_context(watch(model, self._enter, self._leave))
            for name, kernel in kernels.items():
                stack.enter_context(patch.object(cpu, name, self._timed(name, kernel)))
            for function in _subclasses(Function):
                for direction in ("forward", "backward"):
                    if direction in vars(function):
                        booked = self._booked(vars(function)[direction], direction)
                        stack.enter_context(patch.object(function, direction, booked))
            yield

    def _enter(self, path: str, *_: Any) -> None:
        self.layer = path

    def _leave(self, *_: Any) -> None:
        self.layer = ""

    def _booked(self, method: Callable[..., Any], direction: str) -> Callable[..., Any]:
        @wraps(method)
        def call(op: Function, *args: Any, **options: Any) -> Any:
            layer = self.layers.setdefault(op, self.layer)
            before, self.work = self.work, (layer, op.name(), direction)
            try:
                return method(op, *args, **options)
            finally:
                self.work = before

        return call

    def _timed(self, name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(kernel)
        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = kernel(*args, **options)
            seconds = time.perf_counter() - began
            flops = 2 * PRODUCTS[name](args, result) if name in PRODUCTS else 0
            results = result if isinstance(result, tuple) else (result,)
            arrays = (x for x in (*args, *results) if isinstance(x, np.ndarray))
            nbytes = sum(x.nbytes for x in arrays)
            self.calls.append(Call((*self.work, name), seconds, flops, nbytes))
            return result

        return call


def _subclasses(base: type[Function]) -> Iterator[type[Function]]:
    for derived in base.__subclasses__():
        yield derived
        yield from _subclasses(derived)


def measure(network: Network, steps: int | None) -> list[str]:
    """The lines of the table of one network's training step: medians of `steps`."""
    images, labels = network.images(network.batch), network.labels(network.batch)
    side = minigrad_side(network.build(), images)
    work = training_step(side, labels, {DEFAULT: optimizers(side)[DEFAULT]})
    recorded, totals = [], []
    for i in range(WARM_UPS + (steps or STEPS)):
        recorder = Recorder()
        began = time.perf_counter()
        with recorder.recording(side.module):
            work.once()
        if i >= WARM_UPS:
            totals.append(time.perf_counter() - began)
            recorded.append(recorder.calls)
    return table(recorded, totals, *peaks())


def peaks() -> tuple[float, float]:
    """What these cores reach: FLOP/s in a large matrix product, bytes/s in a large copy."""
    a, x = cpu.empty((SIDE, SIDE), np.float32), cpu.empty(COPIED, np.float32)
    a.fill(1)
    x.fill(1)
    best = []
    for kernel, args in ((cpu.matmul, (a, a)), (cpu.copy, (x,))):
        times = []
        for _ in range(STEPS):
            began = time.perf_counter()
            kernel(*args)
            times.append(time.perf_counter() - began)
        best.append(min(times))
    return 2 * SIDE**3 / best[0], 2 * x.nbytes / best[1]


def table(
    recorded: list[list[Call]], totals: list[float], flops_peak: float, copy_peak: float
) -> list[str]:
    """The kernels by their time, the longest first, and what is left outside of them."""
    whole = median(totals)
    seconds: dict[Any, list[float]] = defaultdict(lambda: [0.0] * len(recorded))
    flops: dict[Any, int] = defaultdict(int)
    nbytes: dict[Any, int] = defaultdict(int)
    for step, calls in enumerate(recorded):
        for call in calls:
            seconds[call.key][step] += call.seconds
            flops[call.key] += call.flops
            nbytes[call.key] += call.nbytes
    rows = []
    for key, times in sorted(seconds.items(), key=lambda item: -median(item[1])):
        typical = median(times)
        speeds = (_giga(total[key] / len(recorded) / typical) for total in (flops, nbytes))
        rows.append((*key, *_time(typical, whole), *speeds))
    outside = [t - sum(c.seconds for c in calls) for t, calls in zip(totals, recorded, strict=True)]
    header = ("layer", "op", "", "kernel", "ms", "share", "GFLOP/s", "GB/s")
    ends = [
        ("outside kernels", "", "", "", *_time(median(outside), whole), "", ""),
        ("a step", "", "", "", *_time(whole, whole), "", ""),
        ("at best", "", "", "matmul, copy", "", "", _giga(flops_peak), _giga(copy_peak)),
    ]
    return align([header, *rows, *ends], "<<<<>>>>")


def _giga(speed: float) -> str:
    return f"{speed / 1e9:.1f}" if speed else ""


def _time(seconds: float, whole: float) -> tuple[str, str]:
    return f"{1000 * seconds:.2f}", f"{seconds / whole:.1%}"
