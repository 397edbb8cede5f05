"""Batches of images out of a data set that lies on the GPU as bytes. The kernel stands in
`images.cu`. The CPU has no twin of it: there, `alexnet/batches.py` makes batches of NumPy arrays.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import kernel, launch_planes, struct


def image_batch(
    images: Any, labels: Any, choices: Any, position: Any, count: int, side: int, rows: Any,
    columns: Any, mean: Any, std: Any, light: Any | None = None, dtype: Any = np.float32,
) -> tuple[Any, Any]:
    """The batch (count, C, S, S) that begins at `position` of `choices`, and its labels (count,).

    Args:
        images: uint8 (N, C, H, W), contiguous, as are all others; labels: int64 (N,).
        choices: int32 (M, 4): image, mirrored or not, top and left of the window in the whole.
        position: int64 (1,); `position + count` may not exceed M.
        side: S, of the window.
        rows, columns: int32 (R, 1 + taps), for each row (column) of the whole the first pixel of
            the image that it is a mixture of, and their weights in units of 2^-22.
        mean: float32 (), (C,) or (R, R); std: float32 () or (C,).
        light: float32 (M, C), added at the end.
    """
    n, c, h, w = images.shape
    out = cupy.empty((count, c, side, side), dtype)
    targets = cupy.empty((count,), np.int64)
    options = struct(
        c, h, w, len(rows), side, rows.shape[1] - 1, columns.shape[1] - 1,
        int(mean.ndim == 1), int(mean.ndim == 2), std.ndim,
    )  # fmt: skip
    launch_planes(
        kernel("image_batch", out.dtype), count * c, side * side, out, targets, images, labels,
        choices, position, rows, columns, mean, std, light, count * c, options,
    )  # fmt: skip
    return out, targets


def count_batch(position: Any | None, count: int, sums: Any, loss: Any, hits: Any) -> None:
    """Add to `sums`, float64 (3,), loss * count, hits (both of shape ()), and 1 if the first sum is
    finite still; move `position`, if there is one, on by `count`."""
    kernel("count_batch", loss.dtype)((1,), (1,), (position, count, sums, loss, hits))
