"""Images innermost: how maps lie in memory, whatever the order of their axes says.

A tensor's axes are PyTorch's, (N, C, H, W). In memory the kernels here keep them as (C, H, W, N),
as Krizhevsky's cuda-convnet did for the first AlexNet. NumPy pays for every run of numbers it has
to start, and this order makes runs long: a row of a window is W*N numbers in one piece, a stride
skips whole groups of N, all that belongs to a channel is one line, and a block of columns times the
weights is already the output. A kernel takes its input in any order and gives its result in this
one; elementwise kernels keep the order that they are given, so a network pays for the change once,
on its first image. With one image the two orders are the same.

Next: `im2col.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel

Array = np.ndarray
Block = tuple[slice, slice]  # channels and images, or rows and part of them
L2_BYTES = 2 << 20  # a core's second-level cache on today's servers; blocks are sized by it
LONG_RUN = 16  # images: a share of fewer makes runs too short


def images_last(x: Array) -> Array:
    """The view (C, ..., N) of x (N, C, ...)."""
    return x.transpose(*range(1, x.ndim), 0)


def images_first(x: Array) -> Array:
    """The view (N, C, ...) of x (C, ..., N)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def by_channel(x: Array) -> Array:
    """x (N, C, ...) as one line a channel, contiguous (C, P): copied where it lies otherwise."""
    lines = images_last(x)
    shape = (x.shape[1], math.prod(lines.shape[1:]))
    if not lines.flags.c_contiguous:
        copy = memory.empty(lines.shape, x.dtype)
        parallel(lambda i, j: np.copyto(copy[i:j], lines[i:j]), len(lines), x.size)
        lines = copy
    return lines.reshape(shape)


def copy_runs(target: Array, source: Array) -> None:
    """np.copyto for arrays (..., B), but each run of B numbers as one element, which is faster."""
    if source.shape[-1] == 1 or source.strides[-1] == source.itemsize:
        run = f"V{source.shape[-1] * source.itemsize}"
        target, source = target.view(run), source.view(run)
    np.copyto(target, source)


def empty_maps(shape: Sequence[int], dtype: Any) -> Array:
    """Uninitialised maps of `shape` (N, C, ...), images innermost."""
    return images_first(memory.empty((*shape[1:], shape[0]), dtype))


def blocks(start: int, stop: int, step: int) -> Iterator[slice]:
    """start..stop-1 in slices of `step`, the last one shorter."""
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


def fitting(count: int, nbytes: float, room: int | None = None) -> int:
    """How many things of `nbytes` fit `room` (L2_BYTES), of at most `count` and at least one."""
    return max(1, min(count, int((room or L2_BYTES) // max(1, nbytes))))


def channel_blocks(start: int, stop: int, N: int, nbytes: float) -> Iterator[Block]:
    """The (channels, images) of start..stop-1 and N, so many at a time that they stay in cache.

    `nbytes` is what one channel of one image takes, scratch arrays included.
    """
    images = max(fitting(N, nbytes), min(N, LONG_RUN))
    for channels in blocks(start, stop, fitting(stop - start, nbytes * images)):
        for some in blocks(0, N, images):
            yield channels, some


def region(x: Array, top: int, left: int, height: int, width: int, fill: float = 0) -> Array:
    """The (C, height, width, B) of x (C, H, W, B) that begin `top` rows above it and `left` columns
    beside it; what lies outside of x is `fill`. A view where nothing does and runs are whole."""
    C, H, W, B = x.shape
    (h, i), (w, j) = (
        (slice(max(-before, 0), max(0, min(size, count - before))), max(before, 0))
        for before, size, count in ((top, H, height), (left, W, width))
    )
    inside = x[:, h, w]
    if inside.shape[1:3] == (height, width) and (B == 1 or x.strides[3] == x.itemsize):
        return inside
    whole = memory.empty((C, height, width, B), x.dtype)
    below, beside = i + inside.shape[1], j + inside.shape[2]
    for outside in (slice(0, i), slice(below, height)):
        whole[:, outside] = fill
    for outside in (slice(0, j), slice(beside, width)):
        whole[:, i:below, outside] = fill
    np.copyto(whole[:, i:below, j:beside], inside)
    return whole
