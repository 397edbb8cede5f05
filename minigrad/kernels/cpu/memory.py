"""Memory that is mapped once and that every core's process sees, behind `empty` and `zeros`.

A fresh large array costs more than the arithmetic that fills it: the kernel must find, clear and
map each of its pages, and NumPy gives them all back when the array dies. A training step asks for
the same sizes again and again, so this file keeps a dead array's memory for the next ones. Nothing
has to be released by hand: a `_Lease` stands between an array (with all its views) and its bytes,
and hands them back when the last view is gone.

The bytes lie in an `Arena`, a file without a name that is mapped whole, so that the processes of
`workers.py` work on the very same arrays.
"""

from __future__ import annotations

import bisect
import ctypes
import math
import mmap
import os
import threading
from contextlib import suppress
from typing import Any

import numpy as np

PHYSICAL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
ADDRESSES = 16 * PHYSICAL_MEMORY  # for an arena to give out; they take memory once written to
MAP_FIXED, MAP_NORESERVE = 0x10, 0x4000  # Linux's
LARGE = 64 * 1024  # bytes; blocks from here on are whole pages
ALIGNMENT = 64  # bytes: a cache line, and a full AVX-512 register


class Ranges:
    """Free addresses, neighbours joined, of which `take` gives the best fit away."""

    def __init__(self) -> None:
        self.by_size: list[tuple[int, int]] = []  # (size, start), in order
        self.size_at: dict[int, int] = {}  # by start
        self.start_of: dict[int, int] = {}  # by end
        self.total = 0  # bytes

    def take(self, size: int) -> int | None:
        """The start of `size` bytes out of the smallest range that holds them."""
        i = bisect.bisect_left(self.by_size, (size, 0))
        if i == len(self.by_size):
            return None
        found, start = self._remove(i)
        if found > size:
            self._add(found - size, start + size)
        return start

    def give(self, start: int, size: int) -> None:
        """Add a range."""
        before, after = self.start_of.get(start), self.size_at.get(start + size)
        if after is not None:
            size += self._find_and_remove(after, start + size)
        if before is not None:
            size += self._find_and_remove(start - before, before)
            start = before
        self._add(size, start)

    def take_last(self, end: int) -> int:
        """The start of the range that ends at `end`, or `end` itself."""
        start = self.start_of.get(end, end)
        if start < end:
            self._find_and_remove(end - start, start)
        return start

    def _add(self, size: int, start: int) -> None:
        bisect.insort(self.by_size, (size, start))
        self.size_at[start], self.start_of[start + size] = size, start
        self.total += size

    def _find_and_remove(self, size: int, start: int) -> int:
        return self._remove(bisect.bisect_left(self.by_size, (size, start)))[0]

    def _remove(self, i: int) -> tuple[int, int]:
        size, start = self.by_size.pop(i)
        del self.size_at[start], self.start_of[start + size]
        self.total -= size
        return size, start


class Arena:
    """Addresses that several processes can map. Where the system has none to give, `size` is 0.

    Args:
        file: the descriptor of another process's arena, to see what lies there. Without one this is
            a new arena, whose addresses a `_Pool` gives out.
    """

    def __init__(self, file: int | None = None) -> None:
        self.map: Any = b""
        self.top = 0  # no address from here on was ever given out
        try:
            self.file = _nameless_file() if file is None else file
            self.map = mmap.mmap(self.file, ADDRESSES)
        except (OSError, ValueError, OverflowError):  # a limit on addresses: see `_Pool.take`
            if file is not None:
                raise
        self.size = len(self.map)
        self.bytes = np.frombuffer(self.map, np.uint8)
        self.address = self.bytes.ctypes.data

    def release(self, start: int, size: int) -> None:
        """Give the memory of these addresses back to the system."""
        if hasattr(mmap, "MADV_REMOVE"):
            self.map.madvise(mmap.MADV_REMOVE, start, size)

    def offset(self, array: np.ndarray) -> int | None:
        """Where in the arena `array` begins; None where it lies elsewhere."""
        offset = array.ctypes.data - self.address
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
    """Which addresses of an arena are free, with their memory (`free`) or without (`released`).

    Small blocks are cut from large ones, all of one size; they are few, and stay small blocks. To
    take or give one is a single step on a list, which nothing can come between, and needs no lock.
    """

    def __init__(self, arena: Arena, limit: int) -> None:
        self.arena = arena
        self.limit = limit  # bytes held free at most
        self.lock = threading.Lock()
        self.given: list[tuple[int, int]] = []  # back, by whoever did not have to wait for the lock
        self.free, self.released = Ranges(), Ranges()
        self.small: dict[int, list[int]] = {}  # the starts of those that are free, by size
        self.offcuts = 0  # bytes that cutting small blocks left over

    @property
    def used_bytes(self) -> int:
        """Bytes that are neither free nor released."""
        with self.lock:
            self._sort_in()
            small = sum(size * len(starts) for size, starts in self.small.items())
            free = self.free.total + self.released.total + small + self.offcuts
            return self.arena.top - free

    def take(self, size: int) -> int:
        """The start of `size` bytes that nobody uses, used before if possible.

        Raises:
            MemoryError: there are not so many.
        """
        if size >= LARGE:
            with self.lock:
                return self._large(size)
        starts = self.small.setdefault(size, [])
        while True:
            try:
                return starts.pop()
            except IndexError:
                with self.lock:
                    start = self._large(LARGE)
                    starts.extend(range(start, start + LARGE - size + 1, size))
                    self.offcuts += LARGE % size

    def _large(self, size: int) -> int:
        self._sort_in()
        start = self.free.take(size)
        if start is None:
            start = self.released.take(size)
        if start is None:
            top = self.free.start_of.get(self.arena.top, self.arena.top) + size
            if top > self.arena.size or size > PHYSICAL_MEMORY:
                there_are = f"{PHYSICAL_MEMORY:,} in this machine"
                raise MemoryError(f"Unable to allocate {size:,} bytes of {there_are}")
            start, self.arena.top = self.free.take_last(self.arena.top), top
        return start

    def give(self, start: int, size: int) -> None:
        """Take bytes back. The garbage collector may call this anywhere, in the midst of `take`
        too, so it never waits: whoever holds the lock sees to it, or the next who does."""
        if size < LARGE:
            self.small[size].append(start)
            return
        self.given.append((start, size))
        if self.lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self.lock.release()

    def empty(self) -> None:
        """Hold no large block free."""
        with self.lock:
            self._sort_in()
            self._shrink(0)

    def _sort_in(self) -> None:
        while self.given:
            self.free.give(*self.given.pop())
        if self.free.total > self.limit:
            self._shrink(self.limit)

    def _shrink(self, limit: int) -> None:
        """Hold at most `limit` bytes free: the largest ranges lose their ends."""
        while (excess := self.free.total - limit) > 0:
            size, start = self.free.by_size[-1]
            end, keep = start + size, max(0, size - excess) // mmap.PAGESIZE * mmap.PAGESIZE
            self.free.take_last(end)
            if keep:
                self.free.give(start, keep)
            self.arena.release(start + keep, size - keep)
            self.released.give(start + keep, size - keep)


def _numpys(size: int) -> memoryview:
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
    """The base of a pooled array: bytes of the arena, alive as long as any view looks at them."""

    block: tuple[_Pool | None, int, int] = None, 0, 0  # its pool, start and size

    def __del__(self) -> None:
        pool, start, size = self.block
        if pool is _pool:  # else this is a fork, and the bytes some of its parent's
            pool.give(start, size)


def _size_class(nbytes: int) -> int:
    """Round up to one of eight steps an octave: an eighth is wasted at most, and sizes recur."""
    step = max(1 << nbytes.bit_length() >> 4, mmap.PAGESIZE if nbytes > LARGE else ALIGNMENT)
    return -(-nbytes // step) * step or step


def empty(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised C-contiguous array of `shape`, which all processes see."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    size = _size_class(math.prod(shape) * dtype.itemsize)
    if not _pool.arena.size:  # memory that is shared cannot be had
        return np.ndarray(shape, dtype, _numpys(size))
    start = _pool.take(size)
    lease = _Lease(shape, dtype, _pool.arena.map, start)
    lease.block = _pool, start, size
    return lease.view(np.ndarray)


def zeros(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Like `empty`, filled with zeros."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


def is_shared(array: np.ndarray) -> bool:
    """Whether the workers' processes see this very array, and not a copy."""
    owner: Any = array
    while owner is not None and type(owner) is not _Lease:
        owner = getattr(owner, "base", None)
    return owner is not None and owner.block[0] is _pool


def empty_cache() -> None:
    """Return the pool's free memory to the operating system."""
    _pool.empty()


def cached_bytes() -> int:
    """Bytes that lie free in the pool."""
    return _pool.free.total


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
        if _pool.arena.top:
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
