"""The same values with another dtype, on another device, or in memory of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend, kernels
from minigrad.autograd import Function
from minigrad.backend import Array, Device
from minigrad.tensor import Tensor


class Cast(Function):
    """y = x in another dtype;  dL/dx = g in x's."""

    widens = False

    def forward(self, x: Array, *, dtype: np.dtype) -> Array:
        self.dtype = x.dtype
        return backend.cast(x, dtype)

    def backward(self, g: Array) -> Array:
        return backend.cast(g, self.dtype)


class Move(Function):
    """y = x on another device;  dL/dx = g on x's."""

    widens = False

    def forward(self, x: Array, *, device: Device) -> Array:
        self.device = backend.device_of(x)
        return backend.to_device(x, device)

    def backward(self, g: Array) -> Array:
        return backend.to_device(g, self.device)


class Clone(Function):
    """y = x in memory of its own;  dL/dx = g."""

    widens = False

    def forward(self, x: Array) -> Array:
        return kernels.of(x).copy(x)

    def backward(self, g: Array) -> Array:
        return g


def clone(input: Tensor) -> Tensor:
    """A contiguous copy through which gradients flow."""
    return Clone.apply(input)


def to(
    input: Tensor, *where: Any, device: Any = None, dtype: Any = None, copy: bool = False,
    non_blocking: bool = False,
) -> Tensor:
    """`input` with another dtype or on another device; itself if nothing changes (and not copy).

    Args:
        where: a device (`"cuda"`, `Device`), a dtype, both, or another tensor to be like.
        non_blocking: accepted for PyTorch's sake; copies here are ordered by the stream.
    """
    for item in where:
        if isinstance(item, Tensor):
            device, dtype = item.device, item.dtype
        elif isinstance(item, (str, Device)):
            device = item
        elif item is not None:
            dtype = item
    result = input
    if dtype is not None and np.dtype(dtype) != input.dtype:
        result = Cast.apply(result, dtype=np.dtype(dtype))
    if device is not None and Device(device) != input.device:
        result = Move.apply(result, device=Device(device))
    return clone(result) if copy and result is input else result
