"""What only a GPU has: operations that follow each other, as one pass over memory.

On the CPU what one leaves is in cache when the next begins. The kernels, with the formulas, stand
in `loss.cu`; what calls them in `minigrad/nn/functional/fused.py`.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import MAX_GRID_X, THREADS, WARP, contiguous, kernel, launch


def cross_entropy(
    x: Any, target: Any, ignore_index: int, mean: bool, need_gradient: bool
) -> tuple[Any, Any, Any, Any]:
    """Scores x (N, C) and classes (N,) -> (loss, hits, unit, count).

    loss: the mean or the sum, of shape (). hits: how many rows have their highest score at their
    target, int64, of shape (). unit and count are for the backward; unit (N, C) is None without
    `need_gradient`.
    """
    n, classes = x.shape
    wide = np.result_type(x.dtype, np.float32)
    unit = cupy.empty(x.shape, x.dtype) if need_gradient else None
    rows, count, loss = cupy.empty((3, n), wide), cupy.empty((), wide), cupy.empty((), x.dtype)
    hits, rows_a_block = cupy.empty((), np.int64), THREADS // WARP
    if n:
        target = contiguous(target.astype(np.int64, copy=False))
        grid = min(-(-n // rows_a_block), MAX_GRID_X)
        kernel("cross_entropy", x.dtype)(
            (grid,), (WARP, rows_a_block),
            (contiguous(x), target, unit, rows, n, classes, ignore_index),
        )  # fmt: skip
    kernel("cross_entropy_sums", x.dtype)(
        (1,), (THREADS,), (rows, loss, count, hits, n, int(mean))
    )  # fmt: skip
    return loss, hits, unit, count


def cross_entropy_backward(g: Any, unit: Any, count: Any) -> Any:
    """gx (N, C) from g of shape () and what the forward returned."""
    gx = cupy.empty(unit.shape, unit.dtype)
    arrays = unit, contiguous(g), count, gx
    launch(kernel("cross_entropy_backward", unit.dtype), gx.size, *arrays, gx.size)
    return gx
