"""Matrix products on the GPU: whatever `matmul` is given becomes calls of `cublas.gemm`.

A transposed or sliced operand is multiplied where it lies, and so is one that a broadcast repeats.
float16 is multiplied in tensor cores and summed in float32; float32 is float32, unless TF32 is
allowed (`precision.py`). Integers, of which cuBLAS knows nothing, go to CuPy, and so do complex
numbers, which only the gradient checker has. Next: `im2col.py`.
"""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from minigrad.kernels import precision
from minigrad.kernels.cuda import cublas
from minigrad.kernels.cuda.module import contiguous


def matmul(a: Any, b: Any) -> Any:
    """a @ b for 1-D to N-D arrays, with NumPy's broadcasting of the batch axes."""
    if a.dtype.kind in "biuc":
        return cupy.matmul(a, b)
    row, column = a.ndim == 1, b.ndim == 1
    a, b = a[None] if row else a, b[:, None] if column else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = cupy.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    if out.size:
        a, b = (x if cublas.fits(x) else contiguous(x) for x in (a, b))
        _multiply(a, b, out)
    rows, columns = () if row else out.shape[-2:-1], () if column else out.shape[-1:]
    return out.reshape((*batch, *rows, *columns))


def linear(x: Any, w: Any, b: Any | None) -> Any:
    """x (..., K) with w (O, K) and b (O,) or None -> x @ w.T + b, (..., O)."""
    y = matmul(x, w.T)
    if b is not None:
        y += b
    return y


def _multiply(a: Any, b: Any, out: Any) -> None:
    """out = a b, in one call where the batch can be one axis, or rows of a."""
    *batch, m, p = out.shape
    if math.prod(b.shape[:-2]) == 1 and _is_one_axis(a, a.ndim - 1) and a.ndim == out.ndim:
        a, b = _with_one_axis(a, a.ndim - 1), b[(0,) * (b.ndim - 2)]
        out = _with_one_axis(out, out.ndim - 1)
    elif batch:
        a = cupy.broadcast_to(a, (*batch, *a.shape[-2:]))
        b = cupy.broadcast_to(b, (*batch, *b.shape[-2:]))
        if not all(_is_one_axis(x, len(batch)) for x in (a, b, out)):
            shortest = batch.index(min(batch))
            for views in zip(*(cupy.moveaxis(x, shortest, 0) for x in (a, b, out)), strict=True):
                _multiply(*views)
            return
        a, b, out = (_with_one_axis(x, len(batch)) for x in (a, b, out))
    cublas.gemm(a, b, out, tf32=precision.matmul.allow_tf32)


def _is_one_axis(x: Any, axes: int) -> bool:
    """Whether the first `axes` axes are evenly spaced in memory, and so could be one."""
    spaced = [(n, stride) for n, stride in zip(x.shape[:axes], x.strides, strict=False) if n > 1]
    return all(spaced[i][1] == n * stride for i, (n, stride) in enumerate(spaced[1:]))


def _with_one_axis(x: Any, axes: int) -> Any:
    return x.reshape((math.prod(x.shape[:axes]), *x.shape[axes:]))
