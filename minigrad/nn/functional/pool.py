"""Pools that are composed: adaptive windows of different sizes, made equal by repetition."""

from __future__ import annotations

from typing import Any

from minigrad import backend, ops
from minigrad.autograd import no_grad
from minigrad.kernels import geometry
from minigrad.ops.pool import _adaptive_size
from minigrad.tensor import Tensor


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each window, the windows chosen so that the result has `output_size`.

    Shapes: input (N, C, H, W) or (C, H, W), result (N, C, *output_size). The windows are those of
    `adaptive_avg_pool2d`. With return_indices also where in H*W each maximum lies (int64).

    Windows that differ in size are brought to the largest: a smaller one sees its last row (column)
    again, which changes no maximum, and the first of equals is found before it.

    Source: PyTorch, `torch.nn.functional.adaptive_max_pool2d`.
    """
    if input.ndim == 3:
        result = adaptive_max_pool2d(ops.unsqueeze(input, 0), output_size, return_indices)
        return tuple(x[0] for x in result) if return_indices else result[0]
    size = _adaptive_size("adaptive_max_pool2d", input, output_size)
    h, w = input.shape[2:]
    if h % size[0] == w % size[1] == 0:
        kernel = h // size[0], w // size[1]
        return ops.max_pool2d(input, kernel, return_indices=return_indices)
    xp = backend.array_module(input.array)
    rows, columns = (xp.asarray(_taps(n, out)) for n, out in zip((h, w), size, strict=True))
    kernel = rows.shape[1], columns.shape[1]  # rows (OH, KH), columns (OW, KW)
    rows, columns = rows.ravel(), columns.ravel()
    with no_grad():
        seen = input[:, :, rows[:, None], columns]  # (N, C, OH*KH, OW*KW)
        _, where = ops.max_pool2d(seen, kernel, return_indices=True)
    row, column = divmod(where.array, len(columns))
    flat = rows[row] * w + columns[column]  # (N, C, OH, OW)
    planes = input.reshape(flat.shape[0] * flat.shape[1], h * w)
    places = flat.reshape(len(planes), size[0] * size[1])
    y = planes[xp.arange(len(planes))[:, None], places].reshape(flat.shape)
    return (y, Tensor(flat)) if return_indices else y


def _taps(size: int, out: int) -> list[list[int]]:
    """The positions that each window sees, the last repeated until all see equally many."""
    windows = list(geometry.adaptive_windows(size, out))
    longest = max(stop - start for start, stop in windows)
    return [[min(start + k, stop - 1) for k in range(longest)] for start, stop in windows]
