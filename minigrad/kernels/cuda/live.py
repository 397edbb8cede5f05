"""Numbers that the host may change from step to step, where a captured kernel can read them.

A graph repeats its launches with the arguments they had; what changes later has to lie in device
memory. `Live` holds such numbers (an optimizer's learning rates) and writes them anew where they
differ. Read `capture.py` first, and `optim.py` next.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda import capture
from minigrad.kernels.cuda.module import kernel

NUMBERS = 64  # in one launch; optim.cu says the same
STRUCT = np.dtype([("count", np.int64), ("value", np.float64, NUMBERS)])


class Live:
    """`live()` is an array (rows, columns) in float64 that holds what `read` returns, row by row.

    The array stays the same one as long as the number of rows does.
    """

    def __init__(self, read: Callable[[], Sequence[Sequence[float]]]) -> None:
        self.read = read
        self.array: Any = None
        self.written: list[float] = []

    def __call__(self) -> Any:
        if not capture.is_capturing():
            self.write()
        elif self.array is None:
            raise RuntimeError("a step can be captured when it has run once, not before")
        else:
            capture.before_launch(_again(weakref.ref(self), self.array))
        return self.array

    def write(self) -> None:
        """Write the numbers, if they are others than the last time."""
        rows = self.read()
        numbers = [float(number) for row in rows for number in row]
        if numbers == self.written:
            return
        if self.array is None or self.array.shape[0] != len(rows):
            self.array = cupy.empty((len(rows), len(rows[0])), np.float64)
        flat = self.array.reshape(-1)
        for start in range(0, len(numbers), NUMBERS):
            part = numbers[start : start + NUMBERS]
            struct = np.zeros((), STRUCT)
            struct["count"], struct["value"][: len(part)] = len(part), part
            kernel("write_numbers")((1,), (NUMBERS,), (flat[start:], struct))
        self.written = numbers


def _again(live: weakref.ref[Live], array: Any) -> Callable[[], None]:
    """Write the numbers before a launch of a graph, which reads `array`."""

    def action() -> None:
        self = live()
        if self is not None:
            self.write()
        if self is None or self.array is not array:
            raise capture.Outdated

    return action
