"""Threads take images: `parallel(fn, n)` splits range(n) over a few Python threads.

NumPy lets go of the interpreter lock inside its loops and inside BLAS, so plain threads do run at
the same time. Each takes one contiguous range of images and works through it in blocks that fit
its core's second-level cache, with BLAS held to one thread: two threads that each multiply a small
matrix in cache beat one multiplication that is split in two. The split depends only on n and the
number of threads, so the same seed and thread count give the same bits.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

L2_BYTES = 1 << 20  # per core on today's servers (1 to 2 MiB); blocks are sized by it

# Two threads hand the interpreter lock to each other at every NumPy call. Waking the other one took
# 50 to 100 us on the virtual machine this was measured on, more than a call on a small array takes:
# kernels over fewer elements than this were slower on two threads than on one.
ENOUGH_WORK = 1 << 21


def _available_cores() -> int:
    """Cores that this process may use: its affinity, cut by a cgroup's quota where one is set."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            return max(1, min(cores or 1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass  # no cgroup v2 here: the affinity is all there is to know
    return cores or 1


def _initial_threads() -> int:
    text = os.environ.get("MINIGRAD_NUM_THREADS", "")
    if not text:
        return _available_cores()
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"MINIGRAD_NUM_THREADS must be a positive integer, got {text!r}")
    return int(text)


_num_threads = _initial_threads()
_inside = threading.local()  # .busy is set while this thread runs a range
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def get_num_threads() -> int:
    """How many threads the CPU kernels use."""
    return _num_threads


def set_num_threads(n: int) -> None:
    """Use `n` threads in the CPU kernels.

    The default is MINIGRAD_NUM_THREADS, else the cores that this process may use.

    Raises:
        ValueError: n is not a positive integer.
    """
    global _num_threads
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads expects a positive integer, got {n!r}")
    _num_threads = n
    _forget_pool()


def _forget_pool() -> None:
    """Start anew: other threads are wanted, or this is a forked child that inherited none."""
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_pool)


def _workers() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, _num_threads - 1), thread_name_prefix="minigrad")
        return _pool


def parallel(fn: Callable[[int, int], Any], n: int, work: float = math.inf) -> None:
    """Call `fn(start, stop)` on contiguous ranges that cover range(n), one range a thread.

    Runs inline, as `fn(0, n)`, where there is nothing to split, when it is called from inside
    another range, or where all its `work`, in elements passed over, is less than ENOUGH_WORK.
    An error in any range is raised here, after all ranges have ended.
    """
    if n <= 0:
        return
    parts = min(_num_threads, n) if work >= ENOUGH_WORK else 1
    if getattr(_inside, "busy", False):
        fn(0, n)
        return
    bounds = [n * i // parts for i in range(parts + 1)]
    with one_blas_thread():
        if parts == 1:
            _run(fn, 0, n)
            return
        futures = [
            _workers().submit(_run, fn, bounds[i], bounds[i + 1]) for i in range(1, parts)
        ]
        try:
            _run(fn, bounds[0], bounds[1])
        finally:
            errors = [future.exception() for future in futures]  # waits for every range
    for error in errors:
        if error is not None:
            raise error


def _run(fn: Callable[[int, int], Any], start: int, stop: int) -> None:
    _inside.busy = True
    try:
        with np.errstate(all="ignore"):  # NaN and infinity are values, as in PyTorch, not warnings
            fn(start, stop)
    finally:
        _inside.busy = False


@cache
def _blas_libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


_blas_lock = threading.Lock()
_blas_users = 0
_blas_before: list[int] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread inside the block; the setting outside comes back, errors or not.

    OpenBLAS heeds this from the main thread only: kernels that are called from another thread
    of the user's are right to rounding, but not to the same bits.
    """
    global _blas_users, _blas_before
    with _blas_lock:
        if _blas_users == 0:
            _blas_before = [library.get_num_threads() for library in _blas_libraries()]
            for library in _blas_libraries():
                library.set_num_threads(1)
        _blas_users += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0:
                for library, count in zip(_blas_libraries(), _blas_before, strict=True):
                    library.set_num_threads(count)
