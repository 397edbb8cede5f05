"""New arrays. CuPy's pool does for the GPU what `kernels/cpu/memory.py` does for the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy

as_strided = cupy.lib.stride_tricks.as_strided
WORK_BYTES = 256 << 20  # the most that a convolution lays out in another order at a time


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised C-contiguous array of `shape`."""
    return cupy.empty(shape, dtype)


def zeros(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Like `empty`, filled with zeros."""
    return cupy.zeros(shape, dtype)


def chunks(images: int, image_bytes: int) -> Iterator[slice]:
    """Slices of images for which WORK_BYTES suffice, each of one image at least."""
    step = max(1, WORK_BYTES // max(1, image_bytes))
    return (slice(start, min(start + step, images)) for start in range(0, images, step))
