"""Worker processes: they run ranges of a kernel on the very arrays of the process that asks.

Python threads cannot do that well. NumPy lets go of the interpreter lock inside its loops, but
between two calls a thread has to have it, and one that has to wait goes to sleep; to be woken takes
as long as many a call. Processes have a lock each. What they need instead:

- memory that both see: the arena of `memory.py`. An array travels as its place in there; one that
  lies elsewhere is copied, and read-only for the worker, so that no result is lost silently;
- functions that travel: a kernel's closure is sent as its code, its defaults and what it closes
  over (keyword-only defaults and closures that call themselves are not);
- company: a worker listens without sleeping for a while after each letter, as does the caller;
  a range that no worker has begun when the caller has done its own, the caller does as well.

A worker starts as a fresh interpreter, once, in about a quarter of a second, in which the caller
goes on alone. It ends when its mailbox does, or the caller, however that comes about.
"""

from __future__ import annotations

import io
import marshal
import os
import pickle
import select
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache, lru_cache
from importlib import import_module
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory

_PACKAGE = os.path.abspath(f"{__file__}/../../../..")  # from which `import minigrad` works
Range = tuple[int, int]
Error = BaseException | None
WORKERS_FREE = 1 << 28  # bytes that a worker may hold free
LETTER = struct.Struct("4q")  # start and stop of a range; offset and length of the job
LENGTH = struct.Struct("q")  # of an error that follows
AWAKE = 0.005  # seconds to listen before falling asleep: longer than Python takes between kernels

# ----------------------------------------------------------------- how closures and arrays travel

_code_bytes: Callable[[CodeType], bytes] = cache(marshal.dumps)
_code: Callable[[bytes], CodeType] = cache(marshal.loads)


class _Pickler(pickle.Pickler):
    """Pickles arrays by their place in the arena, and closures by what they are made of."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.copies: list[np.ndarray] = []  # to be kept until the workers have ended

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._place(value)
        if type(value) is FunctionType and "<locals>" in value.__qualname__:
            cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
            code = _code_bytes(value.__code__)
            return _function, (code, value.__module__, value.__defaults__, cells)
        return NotImplemented

    def _place(self, array: np.ndarray) -> Any:
        offset, strides = memory.arena().offset(array), array.strides
        writeable = offset is not None and array.flags.writeable
        if offset is None:  # a copy of the same order, as that may decide on the bits
            stored = array[tuple(slice(None if stride else 1) for stride in strides)]
            axes = sorted(range(array.ndim), key=lambda axis: -abs(strides[axis]))
            copy = memory.empty(tuple(stored.shape[axis] for axis in axes), array.dtype)
            self.copies.append(copy)
            copy = copy.transpose(np.argsort(axes))
            np.copyto(copy, stored)
            offset = memory.arena().offset(copy)
            strides = tuple(a if b else 0 for a, b in zip(copy.strides, strides, strict=True))
        # A dtype of NumPy's own is quicker to pack by its letter.
        dtype = array.dtype.char if array.dtype.isbuiltin == 1 else array.dtype
        return _array, (offset, array.shape, strides, dtype, writeable)


_callers_arena: memory.Arena  # in a worker


def _array(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool
) -> np.ndarray:
    array: np.ndarray = np.ndarray(shape, dtype, _callers_arena.map, offset, strides)
    array.flags.writeable = writeable
    return array


def _function(code: bytes, module: str, defaults: Any, cells: tuple[Any, ...]) -> FunctionType:
    names, closure = import_module(module).__dict__, tuple(map(CellType, cells))
    return FunctionType(_code(code), names, argdefs=defaults, closure=closure)


@lru_cache(1024)
def _unpacked(job: bytes) -> Callable[[int, int], Any]:
    """The function that a job holds. The next step of a training has the very same jobs, as the
    arena gives its arrays the same places again. So a kernel may change the arrays that it closes
    over, and nothing else."""
    return pickle.loads(job)


# ------------------------------------------------------------------------------------ both ends


def wait(poller: select.poll) -> list[tuple[int, int]]:
    """The (file, event)s that have come: listens eagerly for a while before it falls asleep."""
    sleepy = time.monotonic() + AWAKE
    while not (heard := poller.poll(0)):
        if time.monotonic() > sleepy:
            return poller.poll()
        os.sched_yield()
    return heard


class Mailbox:
    """Ranges of a job that nobody has begun. Whoever takes one out does it: a worker, or the caller
    itself, when it has done its own and the worker is still asleep, or kept from its core.

    A pipe, from which all read: letters are of one length and short, so that each comes out whole.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.poller = select.poll()
        self.poller.register(self.reader, select.POLLIN)

    def put(self, part: Range, job: np.ndarray) -> None:
        """Offer a range of the job whose bytes lie in the arena."""
        place = memory.arena().offset(job)
        os.write(self.writer, LETTER.pack(*part, place, job.size))

    def take(self) -> Range | None:
        """A range that nobody has begun, now the caller's to do; None where there is none."""
        letter = _take(self.reader) if self.poller.poll(0) else None
        return letter and letter[:2]

    def close(self) -> None:
        os.close(self.writer)
        os.close(self.reader)


def _take(mailbox: int) -> Any:
    """The next letter, opened; None where there is none. Raises EOFError: the caller has gone."""
    try:
        letter = os.read(mailbox, LETTER.size)
    except BlockingIOError:
        return None
    if not letter:
        raise EOFError
    return LETTER.unpack(letter)


class Worker:
    """A worker process, seen from the process that asks."""

    def __init__(self, mailbox: Mailbox) -> None:
        import subprocess  # only here, so that `import minigrad` stays quick

        self.answers, theirs = os.pipe()
        files = mailbox.reader, theirs, memory.arena().file
        path = os.pathsep.join([*(folder or _PACKAGE for folder in sys.path), _PACKAGE])
        code = f"from minigrad.kernels.cpu import cores; cores.serve{files}"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules of the current folder are not ours
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=files,
            start_new_session=True,  # Ctrl-C is for the caller
        )
        os.close(theirs)
        self.poller = select.poll()
        self.poller.register(self.answers, select.POLLIN)
        self.started = False

    def is_ready(self) -> bool:
        """Whether the worker has started, which it says as if it had done a range."""
        if not self.started and self.poller.poll(0):
            self.started = self.answer() is None
        return self.started

    def answer(self) -> Error:
        """What the range raised that it has done, or None."""
        (size,) = LENGTH.unpack(_read(self.answers, LENGTH.size))
        return pickle.loads(_read(self.answers, size)) if size else None

    def end(self) -> None:
        """End the process, whatever it is doing."""
        os.close(self.answers)
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """In a forked child: it is the parent's worker."""
        os.close(self.answers)
        self.process.returncode = 0


def _read(file: int, size: int) -> bytes:
    """Exactly `size` bytes. Raises EOFError: the worker has gone."""
    data = b""
    while len(data) < size:
        part = os.read(file, size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def answers(workers: list[Worker]) -> list[Error]:
    """Wait until any of them has done a range: the answers that are there, at least one."""
    poller, by_file = select.poll(), {worker.answers: worker for worker in workers}
    for file in by_file:
        poller.register(file, select.POLLIN)
    return [by_file[file].answer() for file, _ in wait(poller)]


def packed(fn: Callable[[int, int], Any]) -> tuple[np.ndarray, list[np.ndarray]]:
    """`fn` as bytes in the arena, and the arrays that must live until the workers have ended."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(fn)
    job = memory.empty(file.tell(), np.uint8)
    job[:] = file.getbuffer()
    return job, pickler.copies


def serve(run: Callable[..., Error], mailbox: int, answers: int, arena: int) -> None:
    """The life of a worker: `run` what it takes, and answer with the error or None."""
    global _callers_arena
    _callers_arena = memory.Arena(arena)
    memory._pool.limit = WORKERS_FREE
    poller = select.poll()
    poller.register(mailbox, select.POLLIN)
    with suppress(EOFError, ConnectionError):  # the caller has gone
        os.write(answers, LENGTH.pack(0))
        while True:
            wait(poller)
            letter = _take(mailbox)
            if letter is not None:  # nobody was faster
                os.write(answers, _packed_error(_run_job(run, *letter)))


def _run_job(run: Callable[..., Error], start: int, stop: int, place: int, size: int) -> Error:
    try:
        fn = _unpacked(_callers_arena.bytes[place : place + size].tobytes())
    except Exception as error:  # it could not be unpacked
        return error
    return run(fn, start, stop)


def _packed_error(error: Error) -> bytes:
    """Its length and itself; length 0 for none."""
    data = b"" if error is None else _pickled(error)
    return LENGTH.pack(len(data)) + data


def _pickled(error: BaseException) -> bytes:
    note = "in a worker process:\n" + "".join(traceback.format_exception(error))
    try:
        error.add_note(note)
        data = pickle.dumps(error)
        pickle.loads(data)  # some are packed but cannot be unpacked
        return data
    except Exception:  # it cannot travel, but what it says can
        return pickle.dumps(RuntimeError(f"{type(error).__name__} {note}"))
