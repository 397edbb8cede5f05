"""Matrix products, by cuBLAS through CuPy.

CuPy multiplies matrices well (no copy of a transposed operand, float32 sums and tensor cores in
float16, TF32 where that is switched on) and batches of matrices less well (it makes every operand
contiguous and casts float16 to float32). So whatever is one product of two matrices is made one.
"""

from __future__ import annotations

import math
from typing import Any

import cupy


def matmul(a: Any, b: Any) -> Any:
    """a @ b for 1-D to N-D arrays, with NumPy's broadcasting of the batch axes."""
    if a.ndim > 2 and b.ndim <= 2:
        rows = math.prod(a.shape[:-1])
        product = cupy.matmul(a.reshape(rows, a.shape[-1]), b)
        return product.reshape(*a.shape[:-1], *b.shape[1:])
    return cupy.matmul(a, b)


def linear(x: Any, w: Any, b: Any | None) -> Any:
    """x (..., K) with w (O, K) and b (O,) or None -> x @ w.T + b, (..., O)."""
    y = matmul(x, w.T)
    if b is not None:
        y += b
    return y
