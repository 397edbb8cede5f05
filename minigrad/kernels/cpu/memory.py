"""Memory that is mapped once and that every core's process sees, behind `empty` and `zeros`.

A fresh large array costs more than the arithmetic that fills it: the kernel must find, clear and
map each of its pages, and NumPy gives them all back when the array dies. A training step asks for
the same sizes again and again, so this file keeps a dead array's memory for the next array of its
size class. Nothing has to be released by hand: a `_Lease` stands between an array (with all its
views) and its block, and hands the block back when the last view is gone.

The blocks lie in an `Arena`, a file without a name that is mapped whole, so that the processes of
`workers.py` work on the very same arrays.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import numpy as np

PHYSICAL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ADDRESSES = 16 * PHYSICAL_MEMORY  # for an arena to give out; they take memory once written to
MAP_FIXED, MAP_NORESERVE = 0x10, 0x4000  # Linux's
LARGE = 64 * 1024  # bytes; blocks from here on are whole pages
ALIGNMENT = 64  # bytes: a cache line, and a full AVX-512 register
Block = memoryview  # of bytes; not an array: NumPy would skip the `_Lease` and keep only its base


class Arena:
    """Addresses that several processes can map. Where the system has none to give, `size` is 0.

    Args:
        file: the descriptor of another process's arena, to see what lies there. Without one this is
            a new arena, which gives out its addresses by `take`.
    """

    def __init__(self, file: int | None = None) -> None:
        self.map: Any = b""
        self.released: dict[int, list[Block]] = {}  # by size: addresses without memory
        self.taken = 0 if file is None else ADDRESSES
        try:
            self.file = _nameless_file() if file is None else file
            self.map = mmap.mmap(self.file, ADDRESSES)
        except (OSError, ValueError, OverflowError):  # a limit on addresses: see `_Pool.take`
            if file is not None:
                raise
        self.size = len(self.map)
        self.bytes = np.frombuffer(self.map, np.uint8)
        self.address = self.bytes.ctypes.data

    def take(self, size: int) -> Block | None:
        """`size` bytes that nobody uses; None without an arena, MemoryError beyond its end."""
        if self.released.get(size):
            return self.released[size].pop()
        if not self.size:
            return None
        start = self.taken + (-self.taken % mmap.PAGESIZE if size >= LARGE else 0)
        if start + size > self.size or size > PHYSICAL_MEMORY:
            raise MemoryError(f"Unable to allocate {size:,} bytes; there are {PHYSICAL_MEMORY:,}")
        self.taken = start + size + (-size % mmap.PAGESIZE if size >= LARGE else 0)
        return memoryview(self.map)[start : start + size]

    def release(self, block: Block) -> None:
        """Give the memory of `block` back to the system, and keep its addresses."""
        offset = self.offset(np.frombuffer(block, np.uint8))
        if offset is None:
            return  # NumPy's, which frees it
        if len(block) >= LARGE and hasattr(mmap, "MADV_REMOVE"):
            self.map.madvise(mmap.MADV_REMOVE, offset, len(block))
        self.released.setdefault(len(block), []).append(block)

    def offset(self, array: np.ndarray) -> int | None:
        """Where in the arena `array` begins; None where it lies elsewhere."""
        offset = array.__array_interface__["data"][0] - self.address
        return offset if 0 <= offset < self.size else None

    def make_private(self) -> None:
        """In a forked child: keep the arrays that lie here as they are now, whatever the parent
        does to its own. A fork shares a shared mapping, where other memory would be copied."""
        libc, void = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p
        libc.mmap.argtypes = [void, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.mmap.restype = void
        access, how = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE
        if libc.mmap(self.address, self.size, access, how, self.file, 0) != self.address:
            raise OSError(ctypes.get_errno(), "cannot keep the arrays of the parent process")
        end = 0
        with suppress(OSError):  # there is no more data
            while True:
                start = os.lseek(self.file, end, os.SEEK_DATA)
                end = os.lseek(self.file, start, os.SEEK_HOLE)
                pages = self.bytes[start : end : mmap.PAGESIZE]
                np.bitwise_or(pages, 0, out=pages)  # a write makes a page this process's own
        os.close(self.file)


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("minigrad")
    else:
        import tempfile

        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    os.truncate(file, ADDRESSES)
    return file


class _Pool:
    """Free blocks by size class, the classes in least-recently-used order."""

    def __init__(self, arena: Arena, limit: int) -> None:
        self.arena = arena
        self.limit = limit  # bytes held free at most
        self.lock = threading.RLock()  # re-entrant: the garbage collector may run `give` anywhere
        self.free: OrderedDict[int, list[Block]] = OrderedDict()
        self.free_bytes = self.used_bytes = 0

    def take(self, size: int) -> Block:
        """A block of at least `size` bytes: the smallest free one that fits well, or a new one."""
        with self.lock:
            if not self.free.get(size) and size >= LARGE:
                sizes = list(self.free)  # a copy: `give` may come in between
                larger = [n for n in sizes if size < n <= 2 * size and self.free.get(n)]
                size = min(larger, default=size)
            if self.free.get(size):
                self.free_bytes -= size
                block = self.free[size].pop()
            else:
                block = self.arena.take(size) or _numpys(size)
            self.used_bytes += size
        return block

    def give(self, block: Block) -> None:
        with self.lock:
            size = len(block)
            self.free.setdefault(size, []).append(block)
            self.free.move_to_end(size)
            self.free_bytes += size
            self.used_bytes -= size
            self.shrink(self.limit)

    def shrink(self, limit: int) -> None:
        """Hold at most `limit` bytes free; the sizes used longest ago go first."""
        while self.free_bytes > limit:
            oldest, blocks = next(iter(self.free.items()))
            if not blocks:
                del self.free[oldest]
                continue
            self.free_bytes -= oldest
            self.arena.release(blocks.pop())


def _numpys(size: int) -> Block:
    """Aligned bytes that this process alone sees."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return memoryview(block.data)[start : start + size]


MOST_FREE = PHYSICAL_MEMORY // 4
_pool = _Pool(Arena(), MOST_FREE)


def arena() -> Arena:
    """Where this process's arrays lie."""
    return _pool.arena


class _Lease(np.ndarray):
    """The base of a pooled array: bytes on a block, alive as long as any view looks at them."""

    block: Block
    pool: _Pool | None = None

    def __del__(self) -> None:
        if self.pool is _pool:  # else this is a fork, and the block one of its parent's
            _pool.give(self.block)


def _size_class(nbytes: int) -> int:
    """Round up to one of eight steps an octave, so that at most an eighth is wasted."""
    step = 1 << max(nbytes.bit_length() - 4, ALIGNMENT.bit_length() - 1)
    return max(1, -(-nbytes // step)) * step


def empty(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised C-contiguous array of `shape`, which all processes see."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    block = _pool.take(_size_class(math.prod(shape) * dtype.itemsize))
    lease = _Lease(len(block), np.uint8, block)
    lease.block, lease.pool = block, _pool
    return np.ndarray(shape, dtype, lease)


def zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Like `empty`, filled with zeros."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


def is_shared(array: np.ndarray) -> bool:
    """Whether the workers' processes see this very array, and not a copy."""
    return _pool.arena.offset(array) is not None


def empty_cache() -> None:
    """Return the pool's free memory to the operating system."""
    with _pool.lock:
        _pool.shrink(0)


def cached_bytes() -> int:
    """Bytes that lie free in the pool."""
    return _pool.free_bytes


def used_bytes() -> int:
    """Bytes of the pool that living arrays hold."""
    return _pool.used_bytes


# ------------------------------------------------------------------------------------------ forks
# The parent waits until its child has copied what it inherits: then the pipe's other end closes.

_forking = threading.Lock()
_copied: tuple[int, ...] = ()


def _before_fork() -> None:
    global _copied
    _forking.acquire()
    _copied = ()
    empty_cache()
    _copied = os.pipe()


def _after_in_parent() -> None:
    try:
        if _copied:
            os.close(_copied[1])
            os.read(_copied[0], 1)
            os.close(_copied[0])
    finally:
        _forking.release()


def _after_in_child() -> None:
    global _pool
    try:
        if _pool.arena.taken:
            _pool.arena.make_private()
    except OSError as error:  # to go on would be to share what is not meant to be shared
        os.write(2, f"minigrad, in a forked process: {error}\n".encode())
        os._exit(1)
    for end in _copied:
        os.close(end)
    _pool = _Pool(Arena(), MOST_FREE)  # the lock of the old one may be held for ever
    _forking.release()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
