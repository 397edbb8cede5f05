"""Threads take shares: `parallel(fn, n)` splits range(n) over a few Python threads.

NumPy lets go of the interpreter lock inside its loops and inside BLAS, so plain threads do run at
the same time, as long as they meet at the lock seldom: calls have to be few and long. Each thread
takes one contiguous range (of rows, channels or pixels) and works through it block by block, with
BLAS held to one thread: its own threads would look for more work on the cores that ours need. The
split depends only on n and the number of threads, so the same seed and thread count give the same
bits.

Whether the ranges had better run side by side or one after the other is a matter of the machine and
the hour: where other programs want the same cores, two threads that wait for each other are slower
than one. So the clock decides, for each kernel and size, and the bits do not change.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import count
from queue import SimpleQueue
from typing import Any

import numpy as np

Range = tuple[int, int]
Error = BaseException | None
# A kernel that one core ends in less time than this, in nanoseconds, runs on one: to wake another
# thread and to hear from it took 17 to 120 us on the virtual machine this was measured on.
ENOUGH_WORK = 300_000


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
_inboxes: list[SimpleQueue] = []  # one for each thread of ours besides the caller's
_inboxes_lock = threading.Lock()


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
    with _inboxes_lock:
        while _inboxes:
            _inboxes.pop().put(None)


def _after_fork() -> None:
    """A forked child inherits no threads, and no locks that anybody would ever release."""
    global _inboxes, _inboxes_lock, _blas_lock, _blas_users
    _inboxes, _inboxes_lock, _blas_lock, _blas_users = [], threading.Lock(), threading.Lock(), 0


os.register_at_fork(after_in_child=_after_fork)


def _serve(inbox: SimpleQueue) -> None:
    """A thread of ours: runs what is put into its inbox, and reports the error or None."""
    while (job := inbox.get()) is not None:
        fn, start, stop, ended = job
        ended.put(_run(fn, start, stop))


def _send(job: tuple[Any, ...], worker: int) -> None:
    """Give a thread something to do. Queues, not futures: those took 75 us longer to wake one."""
    with _inboxes_lock:
        while len(_inboxes) <= worker:
            _inboxes.append(SimpleQueue())
            name = f"minigrad-{len(_inboxes)}"
            threading.Thread(target=_serve, args=_inboxes[-1:], name=name, daemon=True).start()
        _inboxes[worker].put(job)


def parallel(
    fn: Callable[[int, int], Any], n: int, work: float = math.inf, blas: bool = False
) -> None:
    """Call `fn(start, stop)` on contiguous ranges that cover range(n), one range a thread.

    Runs inline, as `fn(0, n)`, where there is nothing to split, when it is called from inside
    another range, or where all its `work` is less than ENOUGH_WORK. An error in any range is raised
    here, after all have ended.

    Args:
        work: the nanoseconds that one core would need; a rough guess will do.
        blas: hold BLAS to one thread, which a `fn` that multiplies matrices needs.
    """
    if n <= 0:
        return
    if getattr(_inside, "busy", False):
        fn(0, n)
        return
    parts = min(_num_threads, n) if work >= ENOUGH_WORK else 1
    with one_blas_thread() if blas else nullcontext():
        if parts == 1:
            errors = [_run(fn, 0, n)]
        else:
            way = _way(fn, n, parts, work)
            began = time.perf_counter()
            errors = way.run(fn, ranges(n, parts))
            way.seconds.append(time.perf_counter() - began)
    for error in errors:
        if error is not None:
            raise error


def ranges(n: int, parts: int) -> list[Range]:
    """0..n-1 in contiguous (start, stop), as even as can be."""
    return [(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


class _Way:
    """A way to run the ranges of one kernel and size, and how long it took of late."""

    def __init__(self, run: Callable[..., list[Error]]) -> None:
        self.run = run
        self.seconds: deque[float] = deque(maxlen=5)

    def usually(self) -> float:
        """The median, in seconds; a second core has to win clearly to be worth its while."""
        median = sorted(self.seconds)[len(self.seconds) // 2]
        return median * WORTH_A_CORE if self.run is _side_by_side else median


def _side_by_side(fn: Callable[[int, int], Any], parts: list[Range]) -> list[Error]:
    ended: SimpleQueue = SimpleQueue()
    own, *others = parts
    for worker, part in enumerate(others):
        _send((fn, *part, ended), worker)
    return [_run(fn, *own), *(ended.get() for _ in others)]


def _in_turn(fn: Callable[[int, int], Any], parts: list[Range]) -> list[Error]:
    return [_run(fn, *part) for part in parts]


WORTH_A_CORE = 1.2  # two threads make other programs wait, and are waited for by each other
TRY_AGAIN = 20  # every so many runs the slower way has another chance
_ways: dict[tuple[Any, ...], tuple[_Way, _Way, Iterator[int]]] = {}


def _way(fn: Callable[..., Any], *size: float) -> _Way:
    """The faster way for a kernel, known by its code, and a size; each is tried twice first."""
    if len(_ways) > 10_000:  # many shapes, each seen seldom
        _ways.clear()
    fresh = (_Way(_side_by_side), _Way(_in_turn), count())
    *ways, runs = _ways.setdefault((fn.__code__, *size), fresh)
    for way in ways:
        if len(way.seconds) < 2:
            return way
    slower, faster = sorted(ways, key=_Way.usually, reverse=True)
    return faster if next(runs) % TRY_AGAIN else slower


def _run(fn: Callable[[int, int], Any], start: int, stop: int) -> Error:
    """Call fn(start, stop); returns the error that it raised."""
    _inside.busy = True
    try:
        with np.errstate(all="ignore"):  # NaN and infinity are values, as in PyTorch, not warnings
            fn(start, stop)
    except BaseException as error:  # Ctrl-C too: it is raised when all ranges have ended
        return error
    finally:
        _inside.busy = False
    return None


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
