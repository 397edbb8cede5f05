"""New tensors: from data, filled with a number, counted, or drawn at random."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import backend, dtypes, kernels
from minigrad.backend import Device
from minigrad.tensor import Tensor, array_from

Float = builtins.float
Int = builtins.int
Bool = builtins.bool


def _place(array: Any, dtype: Any, device: Any, requires_grad: Bool) -> Tensor:
    array = array_from(array, dtype)
    if device is not None:
        array = backend.to_device(array, Device(device))
    return Tensor(array, requires_grad)


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """A copy of `data`: Python floats become float32, integers int64; arrays keep their dtype.

    Raises:
        ValueError: rows of data differ in length.
        TypeError: its dtype is not supported.
    """
    array = array_from(data, dtype)
    return _place(kernels.of(array).copy(array), None, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where that is possible."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    return _place(data, dtype, device, False)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return Tensor(array)


def from_dlpack(other: Any) -> Tensor:
    """A tensor that shares the memory of an object of another library, through DLPack."""
    kind, _ = other.__dlpack_device__()
    if Int(kind) == 1:  # kDLCPU
        return Tensor(np.from_dlpack(other))
    return Tensor(backend.cupy().from_dlpack(other))


def _size(sizes: tuple[Any, ...], size: Any = ()) -> tuple[Int, ...]:
    """`zeros(2, 3)`, `zeros((2, 3))` and `zeros(size=(2, 3))` mean the same."""
    size = sizes or (size,)
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        return tuple(size[0])
    return tuple(Int(n) for n in size)


def _filled(how: str, size: Any, value: Any, dtype: Any, device: Any, grad: Bool) -> Tensor:
    """Made on the device where it is to lie: a copy from the host could not be captured."""
    where = Device(device or "cpu")
    with backend.use_device(where):
        on_cpu = np if how == "full" else kernels.cpu
        module = on_cpu if where.type == "cpu" else backend.cupy()
        values = () if value is None else (value,)
        return Tensor(getattr(module, how)(size, *values, dtype or dtypes.DEFAULT), grad)


def full(
    size: Sequence[Int], fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """`fill_value` everywhere; the dtype follows the value unless given."""
    dtype = dtype or dtypes.of_number(fill_value)
    return _filled("full", _size((size,)), fill_value, dtype, device, requires_grad)


def zeros(
    *sizes: Any, size: Any = (), dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Zeros, float32 unless a dtype is given."""
    return _filled("zeros", _size(sizes, size), None, dtype, device, requires_grad)


def ones(
    *sizes: Any, size: Any = (), dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Ones, float32 unless a dtype is given."""
    return _filled("full", _size(sizes, size), 1, dtype, device, requires_grad)


def empty(
    *sizes: Any, size: Any = (), dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Memory that holds anything, to be written before it is read."""
    return _filled("empty", _size(sizes, size), None, dtype, device, requires_grad)


def eye(
    n: Int, m: Int | None = None, *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """The identity matrix, n by m (n by n)."""
    if n < 0 or (m or 0) < 0:
        raise RuntimeError(f"[eye] sizes must not be negative, got {n} and {m}")
    return _place(np.eye(n, m, dtype=dtype or dtypes.DEFAULT), None, device, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """start, start + step, ... below end; `arange(n)` counts from 0. int64 if all are integers.

    Raises:
        RuntimeError: a bound is not finite, step is 0, or leads away from end.
    """
    if end is None:
        start, end = 0, start
    whole = builtins.all(isinstance(x, Int) for x in (start, end, step))
    dtype = np.dtype(dtype or (dtypes.int64 if whole else dtypes.DEFAULT))
    if dtype.kind in "iu":
        start, end, step = Int(start), Int(end), Int(step)
    if not (math.isfinite(start) and math.isfinite(end)) or not step or (end - start) / step < 0:
        raise RuntimeError(f"[arange] no step of {step} leads from {start} to {end}")
    return _place(np.arange(start, end, step).astype(dtype), None, device, requires_grad)


def linspace(
    start: Float, end: Float, steps: Int, *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    if steps < 0:
        raise RuntimeError(f"[linspace] steps must not be negative, got {steps}")
    dtype = np.dtype(dtype or dtypes.DEFAULT)
    first, last = (Int(x) if dtype.kind in "iu" else Float(x) for x in (start, end))
    step, i = (last - first) / builtins.max(steps - 1, 1), np.arange(steps)
    array = np.where(i < steps // 2, first + step * i, last - step * (steps - 1 - i))  # symmetric
    array = array if steps > 1 else np.full(steps, first)
    return _place(array.astype(dtype), None, device, requires_grad)


def _drawn(draw: str, size: tuple[Any, ...], dtype: Any, device: Any, grad: Bool) -> Tensor:
    where = Device(device or "cpu")
    dtype = np.dtype(dtype or dtypes.DEFAULT)
    wide = dtypes.float64 if dtype == dtypes.float64 else dtypes.float32
    array = getattr(backend.generator(where), draw)(_size(size), dtype=wide)
    return Tensor(array.astype(dtype, copy=False), grad)


def rand(
    *sizes: Any, size: Any = (), dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Uniform in [0, 1)."""
    return _drawn("random", _size(sizes, size), dtype, device, requires_grad)


def randn(
    *sizes: Any, size: Any = (), dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Normal, mean 0, variance 1."""
    return _drawn("standard_normal", _size(sizes, size), dtype, device, requires_grad)


def normal(
    mean: Float, std: Float, size: Sequence[Int], *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """Normal, with this mean and standard deviation."""
    drawn = randn(size=size, dtype=dtype, device=device).mul_(std).add_(mean)
    return drawn.requires_grad_(requires_grad)


def randint(
    low: Int, high: Any, size: Any = None, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """Integers from low up to, not including, high; `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    where = Device(device or "cpu")
    array = backend.generator(where).integers(low, high, _size((size,)))
    return Tensor(array.astype(dtype or dtypes.int64, copy=False))


def randperm(n: Int, *, device: Any = None) -> Tensor:
    """The integers 0..n-1 in random order, int64."""
    where = Device(device or "cpu")
    order = backend.generator("cpu").permutation(n)
    return Tensor(backend.to_device(order.astype(dtypes.int64), where))


def zeros_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Zeros of the input's shape, dtype and device, or of those given."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Ones of the input's shape, dtype and device, or of those given."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: Bool = False,
) -> Tensor:
    """`fill_value` in the input's shape, dtype and device, or in those given."""
    with backend.use_device_of(input.array):
        like = backend.array_module(input.array).full_like
        return _place(like(input.array, fill_value, dtype=dtype), None, device, requires_grad)


def randn_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Normal numbers in the input's shape, dtype and device, or in those given."""
    return _drawn_like("standard_normal", input, dtype, device, requires_grad)


def rand_like(
    input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: Bool = False
) -> Tensor:
    """Uniform numbers in [0, 1) in the input's shape, dtype and device, or in those given."""
    return _drawn_like("random", input, dtype, device, requires_grad)


def _drawn_like(draw: str, x: Tensor, dtype: Any, device: Any, grad: Bool) -> Tensor:
    return _drawn(draw, x.shape, dtype or x.dtype, device or x.device, grad)
