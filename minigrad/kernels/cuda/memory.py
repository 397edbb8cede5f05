"""New arrays. CuPy's pool does for the GPU what `kernels/cpu/memory.py` does for the CPU."""

from __future__ import annotations

from typing import Any

import cupy


def empty(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised C-contiguous array of `shape`."""
    return cupy.empty(shape, dtype)


def zeros(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Like `empty`, filled with zeros."""
    return cupy.zeros(shape, dtype)
