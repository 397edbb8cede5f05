"""Worker processes: they run ranges of a kernel on the very arrays of the process that asks.

Python threads cannot do that well. NumPy lets go of the interpreter lock inside its loops, but
between two calls a thread has to have it, and one that has to wait goes to sleep; to be woken takes
as long as many a call. Processes have a lock each. What they need instead:

- memory that both see: the arena of `memory.py`. An array travels as its place in there; one that
  lies elsewhere is copied, and read-only for the worker, so that no result is lost silently;
- functions that travel: a kernel's closure is sent as its code, its defaults and what it closes
  over (keyword-only defaults and closures that call themselves are not);
- company: a worker listens without sleeping for a while after each range, and so does the caller.

A worker starts as a fresh interpreter, once, in about a quarter of a second, in which the caller
goes on alone. It ends when the connection does, however that comes about.
"""

from __future__ import annotations

import io
import marshal
import os
import pickle
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory

_PACKAGE = str(Path(__file__).parents[3])  # the folder from which `import minigrad` works
Range = tuple[int, int]
Error = BaseException | None
WORKERS_FREE = 1 << 28  # bytes that a worker may hold free
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
        return _array, (offset, array.shape, strides, array.dtype, writeable)


_callers_arena: memory.Arena  # in a worker


def _array(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype, writeable: bool
) -> np.ndarray:
    array: np.ndarray = np.ndarray(shape, dtype, _callers_arena.map, offset, strides)
    array.flags.writeable = writeable
    return array


def _function(code: bytes, module: str, defaults: Any, cells: tuple[Any, ...]) -> FunctionType:
    names, closure = import_module(module).__dict__, tuple(map(CellType, cells))
    return FunctionType(_code(code), names, argdefs=defaults, closure=closure)


# ------------------------------------------------------------------------------------ both ends


class _End:
    """One end of a connection, which listens eagerly before it falls asleep."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.poller = select.poll()
        self.poller.register(connection, select.POLLIN)

    def has_heard(self) -> bool:
        return bool(self.poller.poll(0))

    def receive(self) -> bytes:
        """The next message. Raises EOFError where the other end has gone."""
        sleepy = time.monotonic() + AWAKE
        while not self.has_heard():
            if time.monotonic() > sleepy:
                self.poller.poll()
            os.sched_yield()
        return self.connection.recv_bytes()


class Worker(_End):
    """A worker process, seen from the process that asks."""

    def __init__(self) -> None:
        ours, theirs = Pipe()
        super().__init__(ours)
        files = theirs.fileno(), memory.arena().file
        path = os.pathsep.join(filter(None, [*sys.path, _PACKAGE]))
        code = f"from minigrad.kernels.cpu import cores; cores.serve{files}"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules of the current folder are not ours
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=files,
            start_new_session=True,  # Ctrl-C is for the caller
        )
        theirs.close()
        self.started = False

    def is_ready(self) -> bool:
        """Whether the worker has started; its first message is empty."""
        if not self.started and self.has_heard():
            self.started = not self.receive()
        return self.started

    def send(self, job: bytes, part: Range) -> None:
        """Let it call the function that was packed as `job` on a range."""
        self.connection.send_bytes(pickle.dumps(part) + job)

    def error(self) -> Error:
        """Wait for the end of the range: what it raised, or None."""
        return pickle.loads(self.receive())

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """In a forked child: it is the parent's worker."""
        self.connection.close()
        self.process.returncode = 0


def packed(fn: Callable[[int, int], Any]) -> tuple[bytes, list[np.ndarray]]:
    """`fn` for `Worker.send`, and the arrays that must live until the workers have ended."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(fn)
    return file.getvalue(), pickler.copies


def serve(run: Callable[..., Error], connection: int, arena: int) -> None:
    """The life of a worker: `run` what comes, and answer with the error or None."""
    global _callers_arena
    _callers_arena = memory.Arena(arena)
    memory._pool.limit = WORKERS_FREE
    end = _End(Connection(connection))
    with suppress(EOFError, ConnectionError):  # the caller has gone
        end.connection.send_bytes(b"")
        while True:
            end.connection.send_bytes(_packed_error(_run_job(run, end.receive())))


def _run_job(run: Callable[..., Error], message: bytes) -> Error:
    file = io.BytesIO(message)
    try:
        part = pickle.load(file)
        return run(pickle.load(file), *part)
    except Exception as error:  # it could not be unpacked
        return error


def _packed_error(error: Error) -> bytes:
    if error is None:
        return pickle.dumps(None)
    note = "in a worker process:\n" + "".join(traceback.format_exception(error))
    try:
        error.add_note(note)
        data = pickle.dumps(error)
        pickle.loads(data)  # some are packed but cannot be unpacked
        return data
    except Exception:  # it cannot travel, but what it says can
        return pickle.dumps(RuntimeError(f"{type(error).__name__} {note}"))
