"""One step of an optimizer on the GPU, in place, in one launch a parameter.

The kernels stand in `optim.cu`; the formulas in `minigrad/optim/sgd.py` and `adam.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.cuda.module import contiguous, kernel, launch, struct


def sgd_step(
    p: Any,
    g: Any,
    buf: Any | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
) -> None:
    """Update the parameter `p` and its momentum `buf` (None without momentum), all of one shape.

    On the `first` step of a parameter the momentum is the gradient itself, undampened.
    """
    rates = float(lr), float(momentum), float(dampening), float(weight_decay)
    _update("sgd_step", struct(*rates, nesterov, first), p, g, buf)


def adam_step(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Update the parameter `p` and its moments `m` and `v`, all of one shape; `step` is 1 at first.

    As on the CPU, the bias corrections are moved out of the array expression:
    lr * m/c1 / (sqrt(v/c2) + eps) = (lr * sqrt(c2)/c1) * m / (sqrt(v) + eps*sqrt(c2)).
    """
    root2 = math.sqrt(1 - beta2**step)
    rate, floor = lr * root2 / (1 - beta1**step), eps * root2
    shrink = 1 - lr * weight_decay if decoupled else 1.0
    l2 = 0.0 if decoupled else float(weight_decay)
    options = struct(rate, floor, float(beta1), float(beta2), float(shrink), l2)
    _update("adam_step", options, p, g, m, v)


def _update(name: str, options: np.ndarray, p: Any, g: Any, *state: Any) -> None:
    """Run an in-place kernel; what is not contiguous is worked on as a copy and written back."""
    arrays = [None if array is None else contiguous(array) for array in (p, g, *state)]
    launch(kernel(name, p.dtype), p.size, *arrays, p.size, options)
    for array, worked_on in zip((p, *state), (arrays[0], *arrays[2:]), strict=True):
        if array is not worked_on:
            array[...] = worked_on
