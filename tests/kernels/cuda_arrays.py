"""Arrays that behave as CuPy's do: on a device of their own, which happens to be NumPy.

They never turn into NumPy arrays by themselves, never mix with them, and an element of one is a 0-d
array. Whatever reads a value back on the host says so to `Device.wait`, which a test can forbid.
Whatever is asked of them goes through `Device.call`; between `begin_capture` and `end_capture` of
the current stream it is recorded, to be done again by `Graph.launch`.
`cuda_double.py` makes a module of this that stands where `cupy` does.
"""

from __future__ import annotations

import mmap
import operator
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

PROPERTIES = {
    "name": b"double", "major": 9, "minor": 0, "totalGlobalMem": 80 << 30,
    "multiProcessorCount": 132,
}  # fmt: skip
MAP_NORESERVE = 0x4000 | mmap.MAP_ANONYMOUS  # Linux's, which Python's module does not name


class Block(np.ndarray):
    """The memory of an allocation: bytes, with guards on either side that must stay as they are."""

    GUARD, HUGE = 64, 1 << 30
    alive: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()

    @staticmethod
    def of(host: np.ndarray) -> Block | None:
        """The block in which an array lies; None for one that the double did not allocate."""
        base: Any = host
        while isinstance(base, np.ndarray) and not isinstance(base, Block):
            base = base.base
        return base if isinstance(base, Block) else None

    def intact(self) -> bool:
        return bool((self[: self.GUARD] == 0xFF).all() and (self[-self.GUARD :] == 0xFF).all())


def allocate(shape: int | tuple[int, ...], dtype: Any = float) -> np.ndarray:
    """Memory full of NaN, between guards that are NaN too."""
    dtype, shape = np.dtype(dtype), (shape,) if np.ndim(shape) == 0 else tuple(shape)
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < Block.HUGE:
        block = np.ndarray.__new__(Block, size + 2 * Block.GUARD, np.uint8)
        block[...] = 0xFF
    else:  # memory that is there once it is touched
        sparse = mmap.mmap(-1, size + 2 * Block.GUARD, mmap.MAP_PRIVATE | MAP_NORESERVE)
        block = np.frombuffer(sparse, np.uint8).view(Block)
        block[: Block.GUARD] = block[-Block.GUARD :] = 0xFF
    Block.alive[id(block)] = block
    return np.ndarray(shape, dtype, buffer=block, offset=Block.GUARD)


class Waits(RuntimeError):
    """A training step read a value back: on a GPU it would wait until everything is done."""


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    """`cupy.ndarray`: `host` is where the numbers are, which no code but the double's may know."""

    __array_priority__ = 100
    __slots__ = ("__weakref__", "host")

    def __init__(self, host: np.ndarray) -> None:
        self.host = host

    # ------------------------------------------------------------------------- what it is

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    itemsize = property(lambda self: self.host.itemsize)
    nbytes = property(lambda self: self.host.nbytes)
    T = property(lambda self: self.transpose())
    mT = property(lambda self: self.swapaxes(-1, -2))
    real = property(lambda self: call(lambda x: x.real, self))
    imag = property(lambda self: call(lambda x: x.imag, self))
    device = property(lambda self: Device(0))

    @property
    def flags(self) -> SimpleNamespace:  # CuPy's know of no "writeable"
        flags = self.host.flags
        return SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata
        )

    @property
    def data(self) -> SimpleNamespace:
        return SimpleNamespace(ptr=self.host.ctypes.data, device_id=0)

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    # ------------------------------------------------------------- what waits for the GPU

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True):
        wait("get()")
        return np.copy(self.host, order="C") if out is None else np.copyto(out, self.host)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def item(self, *index: Any) -> Any:
        wait("item()")
        return self.host.item(*index)

    def tolist(self) -> Any:
        wait("tolist()")
        return self.host.tolist()

    def nonzero(self) -> tuple[ndarray, ...]:
        wait("nonzero()")
        return call(np.nonzero, self)

    __float__, __int__, __bool__, __complex__ = (
        lambda self, to=to: to(self.item()) for to in (float, int, bool, complex)
    )

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get().item() if self.ndim == 0 else self.get(), spec)

    # --------------------------------------------------------------- indices and functions

    def __getitem__(self, index: Any) -> ndarray:
        return call(operator.getitem, self, as_index(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            assert isinstance(index, slice) and index == slice(None), "a NumPy array in a GPU's"
            return self.set(value)
        return call(operator.setitem, self, as_index(index), value)

    def set(self, host: np.ndarray, stream: Any = None) -> None:
        refuse_while_capturing("a copy from the host")
        self.host[...] = host

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if isinstance(options.get("out"), tuple):
            (options["out"],) = options["out"]
        if ufunc is np.matmul:
            refuse_while_capturing("CuPy's call of cuBLAS")
        return call(getattr(ufunc, method), *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return call(function, *args, **options)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: dict) -> ndarray:
        return self.copy()

    def __reduce__(self) -> tuple:
        return from_host, (self.get(),)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0  # CUDA

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> ndarray:
        return call(np.ndarray.astype, self, dtype, order=order, copy=copy)


METHODS = (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "clip", "conj", "copy", "cumprod",
    "cumsum", "diagonal", "dot", "fill", "flatten", "max", "mean", "min", "partition", "prod",
    "ravel", "repeat", "reshape", "round", "searchsorted", "sort", "squeeze", "std", "sum",
    "swapaxes", "take", "trace", "transpose", "var", "view",
)  # fmt: skip


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)
    if name in ("sort", "argsort"):  # CuPy's are stable
        return lambda self, axis=-1: call(function, self, axis, kind="stable")
    return lambda self, *args, **options: call(function, self, *args, **options)


for _name in METHODS:
    setattr(ndarray, _name, _method(_name))


def as_index(index: Any) -> Any:
    """`index`, so that an element is a view; masks are counted on the host, and so they wait."""
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if isinstance(part, (np.ndarray, list)):
            refuse_while_capturing("an index that comes from the host")
        if np.asarray(to_host(part, index=True)).dtype.kind == "b":
            wait("a mask as an index")
    parts = tuple(to_host(part, index=True) for part in parts)
    return Index(parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis))


class Index(tuple):
    """An index whose arrays are the hosts' already."""


# ------------------------------------------------------------------------------- how it is done


def to_host(value: Any, index: bool = False) -> Any:
    """What NumPy gets in place of `value`."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, Index):
        return tuple(value)
    if isinstance(value, np.ndarray) and not index:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if type(value) in (tuple, list):
        return type(value)(to_host(part, index) for part in value)
    return value


def arrays_in(values: Any) -> Iterator[ndarray]:
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from arrays_in(value)


def allocate_copy(host: Any) -> np.ndarray:
    """A result of NumPy's, moved to where there are guards beside it; F-contiguous ones stay."""
    host = np.asarray(host)
    if not host.flags.c_contiguous:
        return host
    out = allocate(host.shape, host.dtype)
    out[...] = host
    return out


def from_host(host: Any) -> ndarray:
    """A copy of what lies on the host."""
    refuse_while_capturing("a copy from the host")
    return ndarray(allocate_copy(np.array(host, order="C")))


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """NumPy's function on the arrays' hosts; what it gives lies on the device."""
    if options.keys() & {"where", "initial", "casting", "subok"}:
        raise TypeError(f"CuPy's functions do not all take {', '.join(options)}")
    inputs = list(arrays_in((*args, *options.values())))
    hosts, named = to_host(args), {name: to_host(value) for name, value in options.items()}

    def compute() -> Any:
        with np.errstate(all="ignore"):  # a GPU warns of nothing
            return function(*hosts, **named)

    capture = Stream.current.capture
    if capture:
        capture.before(inputs)
    result = compute()
    known = {id(x.host): x for x in inputs}
    made: list[tuple[int, np.ndarray]] = []  # results in new memory, with their places

    def to_device(value: Any, i: int) -> Any:
        if not isinstance(value, (np.ndarray, np.generic)):
            return value
        if id(value) in known:
            return known[id(value)]
        host = np.asarray(value)
        if not any(np.may_share_memory(host, x.host) for x in inputs):
            host = allocate_copy(host)
            made.append((i, host))
        return ndarray(host)

    if isinstance(result, (tuple, list)):
        parts = [to_device(value, i) for i, value in enumerate(result)]
        moved = type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    else:
        moved = to_device(result, -1)

    def again() -> None:
        value = compute()  # which did all there is to do, if it works in place
        for i, host in made:
            host[...] = value if i < 0 else value[i]

    if capture:
        capture.add(again, [host for _, host in made])
    return moved


def launch(function: Callable[[], None], arrays: list[ndarray]) -> None:
    """Do what a kernel does, which may write to any of `arrays`; for kernels, and for cuBLAS."""
    capture = Stream.current.capture
    if capture:
        capture.before(arrays)
    function()
    if capture:
        capture.add(function, [])


def wait(what: str) -> None:
    """Called by whatever would wait for the GPU."""
    refuse_while_capturing(what)
    if Device.forbidden:
        raise Waits(f"{what} waits for the GPU")


def refuse_while_capturing(what: str) -> None:
    if Stream.current.capture:
        raise RuntimeError(f"operation not permitted when stream is capturing: {what}")


# ------------------------------------------------------------------------- devices and streams


class Device:
    """`cupy.cuda.Device`, and whether a test forbids to wait for it."""

    forbidden = False
    compute_capability = "90"
    mem_info = (64 << 30, 80 << 30)

    def __init__(self, index: int = 0) -> None:
        self.id = index

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __int__(self) -> int:
        return self.id

    def use(self) -> Device:
        return self

    def synchronize(self) -> None:
        wait("Device.synchronize()")


@contextmanager
def no_waiting(forbidden: bool = True) -> Iterator[None]:
    """Inside, whatever would wait for the GPU raises `Waits`."""
    before, Device.forbidden = Device.forbidden, forbidden
    try:
        yield
    finally:
        Device.forbidden = before


def waiting() -> AbstractContextManager[None]:
    """Inside of `no_waiting`, one may wait again."""
    return no_waiting(forbidden=False)


class Stream:
    """`cupy.cuda.Stream`: everything is done in order, at once; what it is good for is `capture`.

    While it captures, work is done too, so that shapes and errors are as they will be, but
    `end_capture` puts back what was there: a GPU only writes down what it captures.
    """

    null: Stream
    current: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.ptr = 0 if null else id(self)
        self.capture: Graph | None = None
        self.outer: list[Stream] = []

    def __enter__(self) -> Stream:
        self.outer.append(Stream.current)
        return self.use()

    def __exit__(self, *error: object) -> None:
        self.outer.pop().use()

    def use(self) -> Stream:
        Stream.current = self
        return self

    def begin_capture(self, mode: Any = None) -> None:
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.capture = Graph()

    def end_capture(self) -> Graph:
        assert self.capture is not None, "nothing is being captured"
        graph, self.capture = self.capture, None
        graph.undo()
        return graph

    def is_capturing(self) -> bool:
        return self.capture is not None

    def synchronize(self) -> None:
        wait("Stream.synchronize()")

    def wait_event(self, event: Event) -> None:
        pass

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event


Stream.null = Stream.current = Stream(null=True)


class Graph:
    """`cupy.cuda.Graph`: what was done between the beginning and the end of a capture."""

    def __init__(self) -> None:
        self.steps: list[Callable[[], Any]] = []
        self.changed: list[tuple[np.ndarray, Any]] = []

    def before(self, arrays: list[ndarray]) -> None:
        """Remember what is in arrays that something might write to."""
        self.changed += [(x.host, x.host.copy()) for x in arrays if x.host.flags.writeable]

    def add(self, step: Callable[[], Any], made: list[np.ndarray]) -> None:
        self.steps.append(step)
        self.changed += [(host, None) for host in made]

    def undo(self) -> None:
        for host, was in reversed(self.changed):
            nothing = np.frombuffer(b"\xff" * host.itemsize, host.dtype)[0]
            host[...] = nothing if was is None else was
        self.changed.clear()

    def launch(self, stream: Stream | None = None) -> None:
        for step in self.steps:
            step()

    def upload(self, stream: Stream | None = None) -> None:
        pass


class Event:
    """`cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.time, self.done = 0.0, False

    def record(self, stream: Stream | None = None) -> None:
        self.time, self.done = time.perf_counter(), True

    def synchronize(self) -> None:
        wait("Event.synchronize()")


class MemoryPool:
    """`cupy.cuda.MemoryPool`: it counts what is alive, whoever allocated it."""

    def __init__(self, allocator: Callable[[int], Any] | None = None) -> None:
        self.allocator = allocator

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the double allocates by itself")

    def used_bytes(self) -> int:
        return sum(block.nbytes - 2 * Block.GUARD for block in Block.alive.values())

    total_bytes = used_bytes

    def free_all_blocks(self) -> None:
        pass
