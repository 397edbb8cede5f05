"""A pool of memory that is already mapped, behind `empty` and `zeros`.

A fresh large array costs more than the arithmetic that fills it: the kernel must find, clear and
map each of its pages, and NumPy gives them all back when the array dies. A training step asks for
the same sizes again and again, so this file keeps a dead array's memory for the next array of its
size class. Nothing has to be released by hand: a `_Lease` stands between an array (with all its
views) and its block, and hands the block back when the last view is gone.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from typing import Any

import numpy as np

SMALLEST_BLOCK = 64 * 1024  # bytes; smaller arrays are left to NumPy, whose malloc reuses them
ALIGNMENT = 64  # bytes: a cache line, and a full AVX-512 register


class _Pool:
    """Free blocks by size class, the classes in least-recently-used order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit  # bytes held free at most
        self.lock = threading.RLock()  # re-entrant: the garbage collector may run `give` anywhere
        self.clear()

    def clear(self) -> None:
        self.free: OrderedDict[int, list[np.ndarray]] = OrderedDict()
        self.free_bytes = 0

    def take(self, size: int) -> tuple[np.ndarray, int]:
        """A block of at least `size` bytes, and its size: the smallest free one that fits well."""
        with self.lock:
            fitting = [n for n, blocks in self.free.items() if blocks and size <= n <= 2 * size]
            if fitting:
                size = min(fitting)
                self.free_bytes -= size
                return self.free[size].pop(), size
        return np.empty(size + ALIGNMENT, np.uint8), size

    def give(self, size: int, block: np.ndarray) -> None:
        with self.lock:
            self.free.setdefault(size, []).append(block)
            self.free.move_to_end(size)
            self.free_bytes += size
            while self.free_bytes > self.limit:
                oldest, blocks = next(iter(self.free.items()))
                if not blocks:
                    del self.free[oldest]
                    continue
                blocks.pop()
                self.free_bytes -= oldest


def _limit() -> int:
    """A quarter of the machine's memory may lie free in the pool."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


_pool = _Pool(_limit())


def _new_pool() -> None:
    """A forked child starts with a pool of its own: the parent's lock may be held for ever."""
    global _pool
    _pool = _Pool(_limit())


os.register_at_fork(after_in_child=_new_pool)


class _Lease:
    """The base object of a pooled array: alive as long as any view looks at the block."""

    __slots__ = ("__array_interface__", "block", "size")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, nbytes: int) -> None:
        self.block, self.size = _pool.take(_size_class(nbytes))
        address = self.block.ctypes.data
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address + -address % ALIGNMENT, False),
        }

    def __del__(self) -> None:
        if hasattr(self, "size"):  # not where there was no memory for the block
            _pool.give(self.size, self.block)


def _size_class(nbytes: int) -> int:
    """Round up to one of eight steps an octave, so that at most an eighth is wasted."""
    step = 1 << max(nbytes.bit_length() - 4, 12)
    return -(-nbytes // step) * step


def empty(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised C-contiguous array of `shape`, from the pool where it is large."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SMALLEST_BLOCK:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(shape, dtype, nbytes))


def zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Like `empty`, filled with zeros."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


def empty_cache() -> None:
    """Return the pool's free memory to the operating system."""
    with _pool.lock:
        _pool.clear()


def cached_bytes() -> int:
    """Bytes that lie free in the pool."""
    return _pool.free_bytes
