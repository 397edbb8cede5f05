"""Kernels on several cores: `parallel(fn, n)` splits range(n) over a few processes.

Each takes one contiguous range (of rows, channels or pixels) and works through it block by block,
with BLAS held to one thread: its own threads would look for more work on the cores that ours need.
The split depends only on n and the number of processes, so the same seed and number give the same
bits. The number is called that of threads, as in PyTorch; why they are none is in `workers.py`.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory, workers
from minigrad.kernels.cpu.workers import Error, Mailbox, Range, Worker

# Nanoseconds: a range that a core ends sooner is not worth a process of its own, as to pack a
# kernel, to send it and to hear from it takes 100 to 300 us.
ENOUGH_WORK = 300_000

# Numbers: NumPy's ufuncs copy rows that lie apart into one line of up to so many. Unless told
# otherwise they do so for 8192, even with rows of 2000, which takes two to three times as long.
LINE = 1024


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


class _Inside(threading.local):
    busy = False  # whether this thread runs a range


_inside = _Inside()


def get_num_threads() -> int:
    """How many cores the CPU kernels use."""
    return _num_threads


def set_num_threads(n: int) -> None:
    """Use `n` cores in the CPU kernels.

    The default is MINIGRAD_NUM_THREADS, else the cores that this process may use.

    Raises:
        ValueError: n is not a positive integer.
    """
    global _num_threads
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"set_num_threads expects a positive integer, got {n!r}")
    _num_threads = n


def parallel(
    fn: Callable[[int, int], Any], n: int, work: float = math.inf, blas: bool = False
) -> None:
    """Call `fn(start, stop)` on contiguous ranges that cover range(n), as many as there are cores.

    What `fn` computes it must write into arrays of `memory.empty`: other processes see nothing
    else. Runs inline, as `fn(0, n)`, where there is nothing to split, when it is called from inside
    another range, or for too little `work`. An error in any range is raised here, after all ended.

    Args:
        work: the nanoseconds that one core would need; a rough guess will do.
        blas: hold BLAS to one thread, which a `fn` that multiplies matrices needs.
    """
    if n <= 0:
        return
    if _inside.busy:
        fn(0, n)
        return
    parts = shares(n, work)
    with one_blas_thread() if blas else nullcontext():
        if len(parts) > 1:
            errors = _team.run(fn, parts)
        else:
            errors = [_run(fn, 0, n, LINE if work > ENOUGH_WORK else None)]
    for error in errors:
        if error is not None:
            raise error


def shares(n: int, work: float = math.inf) -> list[Range]:
    """0..n-1 as `parallel` shares it out."""
    return ranges(n, int(min(_num_threads, n, max(1, work / ENOUGH_WORK))))


def ranges(n: int, parts: int) -> list[Range]:
    """0..n-1 in contiguous (start, stop), as even as can be."""
    return [(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


@np.errstate(all="ignore")  # NaN and infinity are values, as in PyTorch, not warnings
def _run(
    fn: Callable[[int, int], Any], start: int, stop: int, line: int | None = LINE
) -> Error:
    """Call fn(start, stop), NumPy's buffers holding `line` numbers; returns the error it raised."""
    if line:
        np.setbufsize(line)  # until `errstate` ends
    _inside.busy = True
    try:
        fn(start, stop)
    except BaseException as error:  # Ctrl-C too: it is raised when all ranges have ended
        return error
    finally:
        _inside.busy = False
    return None


class _Team:
    """This process and its workers, which serve one caller at a time."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.mailbox: Any = None  # theirs, if there are any
        self.lock = threading.Lock()
        frozen = getattr(sys, "frozen", False)  # a program that is its own interpreter
        self.works = memory.arena().size > 0 and bool(sys.executable) and not frozen

    def run(self, fn: Callable[[int, int], Any], parts: list[Range]) -> list[Error]:
        """Call `fn` on the ranges: side by side, or one after the other while workers are still
        starting or somebody else has them. The bits are the same."""
        travels = fn.__module__ != "__main__"  # which a worker has not
        if self.works and travels and self.lock.acquire(blocking=False):
            try:
                if self._ready(len(parts) - 1):
                    return self._side_by_side(fn, parts)
            finally:
                self.lock.release()
        return [_run(fn, *part) for part in parts]

    def _ready(self, count: int) -> bool:
        try:
            self.mailbox = self.mailbox or Mailbox()
            # Those that have died since they started are replaced.
            self.workers = [w for w in self.workers if not w.started or w.process.poll() is None]
            while len(self.workers) < count:
                self.workers.append(Worker(self.mailbox))
            while len(self.workers) >= _num_threads:  # more than are wanted now
                self.workers.pop().end()
            return all(worker.is_ready() for worker in self.workers)
        except BaseException as error:
            self.end()
            if not isinstance(error, (OSError, EOFError)):
                raise
            self.works = False
            problem = f"minigrad computes on one core: no worker process starts ({error!r})"
            warnings.warn(problem, RuntimeWarning, stacklevel=4)
            return False

    def _side_by_side(self, fn: Callable[[int, int], Any], parts: list[Range]) -> list[Error]:
        job, _copies = workers.packed(fn)
        own, *others = parts
        try:
            for part in others:
                self.mailbox.put(part, job)
            errors = [_run(fn, *own)]
            while (part := self.mailbox.take()) is not None:
                errors.append(_run(fn, *part))
            while len(errors) < len(parts):
                errors += workers.answers(self.workers)
        except BaseException as error:
            self.end()  # whatever they compute, nobody waits for it any more
            if isinstance(error, (EOFError, ConnectionError)):
                raise RuntimeError(
                    "a worker process of minigrad was killed, perhaps for want of memory: try a "
                    "smaller batch, or MINIGRAD_NUM_THREADS=1 to do without workers"
                ) from error
            raise
        return errors

    def end(self) -> None:
        """End the workers: without a mailbox they do nothing more, should this be interrupted."""
        workers, self.workers, mailbox, self.mailbox = self.workers, [], self.mailbox, None
        if mailbox:
            mailbox.close()
        for worker in workers:
            worker.end()


_team = _Team()
atexit.register(lambda: _team.end())


def _after_fork() -> None:
    """A forked child has no workers yet, and no locks that nobody would ever release."""
    global _team, _one_blas_thread
    for worker in _team.workers:
        worker.forget()
    if _team.mailbox:
        _team.mailbox.close()
    _team, _one_blas_thread = _Team(), _OneBlasThread()


os.register_at_fork(after_in_child=_after_fork)


def serve(mailbox: int, answers: int, arena: int) -> None:
    """What a worker process runs, from its start to its end: alone, without workers of its own."""
    set_num_threads(1)
    with one_blas_thread():
        workers.serve(_run, mailbox, answers, arena)


@cache
def _blas_libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


class _OneBlasThread:
    """What `one_blas_thread` returns: counts who is inside."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.before: list[tuple[Any, int]] = []  # libraries that had more threads, and how many

    def __enter__(self) -> None:
        with self.lock:
            if self.users == 0:
                counts = ((library, library.get_num_threads()) for library in _blas_libraries())
                self.before = [(library, count) for library, count in counts if count != 1]
                for library, _ in self.before:
                    library.set_num_threads(1)
            self.users += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                for library, count in self.before:
                    library.set_num_threads(count)


_one_blas_thread = _OneBlasThread()


def one_blas_thread() -> AbstractContextManager[None]:
    """Hold BLAS to one thread inside the block; the setting outside comes back, errors or not.

    OpenBLAS heeds this from the main thread only: kernels that are called from another thread
    of the user's are right to rounding, but not to the same bits.
    """
    return _one_blas_thread
