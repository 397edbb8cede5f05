"""Recording and reversing: `Function`, and the walk that `Tensor.backward` takes.

An operation is a subclass of `Function`; its instance is the node on the tape. `forward` gets raw
arrays and keeps what `backward` will need; `backward` gets the gradient of the loss with respect
to the output and returns one for each input. The walk visits a node once all its consumers have
delivered, so every node runs once, and drops what it held as it passes.
Next: `tensor.py` (what users hold), then `ops/` (the calculus).
"""

from __future__ import annotations

import functools
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from minigrad import backend, dtypes, kernels
from minigrad.backend import Array
from minigrad.tensor import Tensor


class _Mode(threading.local):
    """What is switched on and off, in each thread for itself."""

    grad_enabled = True
    detect_anomaly = False
    casts: Any = None
    watcher: Callable[..., None] | None = None


_mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    return _mode.grad_enabled


class set_grad_enabled:
    """Switch recording on or off: as a call, a `with` block or a decorator."""

    def __init__(self, mode: bool) -> None:
        self.mode, self.previous = mode, is_grad_enabled()
        _mode.grad_enabled = mode

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        _mode.grad_enabled = self.previous  # as a decorator, nothing changes until the call
        mode = self.mode

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(mode):
                return function(*args, **kwargs)

        return wrapped

    def __enter__(self) -> None:
        _mode.grad_enabled = self.mode

    def __exit__(self, *error: object) -> None:
        _mode.grad_enabled = self.previous


class no_grad(set_grad_enabled):
    """Record nothing inside: `with no_grad():` or `@no_grad()`."""

    def __init__(self) -> None:
        self.mode, self.previous = False, is_grad_enabled()

    def __enter__(self) -> None:
        self.previous = is_grad_enabled()
        super().__enter__()


class enable_grad(no_grad):
    """Record again inside, for instance within `no_grad`."""

    def __init__(self) -> None:
        self.mode, self.previous = True, is_grad_enabled()


@contextmanager
def _switched(name: str, value: Any) -> Iterator[None]:
    previous = getattr(_mode, name)
    setattr(_mode, name, value)
    try:
        yield
    finally:
        setattr(_mode, name, previous)


def detect_anomaly() -> AbstractContextManager[None]:
    """Check every gradient for NaN, and name the line of the forward pass where one came from.

    Slow: each operation records the stack. Source: PyTorch, `torch.autograd.detect_anomaly`.
    """
    return _switched("detect_anomaly", True)


def casts() -> Any:
    """What `amp.autocast` has switched on: casts an operation's inputs; None outside of it."""
    return _mode.casts


def set_casts(value: Any) -> None:
    _mode.casts = value


def watch_calls(watcher: Callable[..., None]) -> AbstractContextManager[None]:
    """Inside the block, call `watcher(function, inputs, options, output)` after each operation of
    this thread: with what `apply` was given, which the tape does not keep."""
    return _switched("watcher", watcher)


class Function:
    """An operation and its derivative. Subclass it, and call it with `apply`.

        class Square(Function):
            def forward(self, x):                 # arrays in, array out
                self.save_for_backward(x)
                return x * x
            def backward(self, g):                # dL/dy in, dL/dx out
                (x,) = self.saved_tensors
                return 2 * x * g

        y = Square.apply(x)                       # Tensor in, Tensor out

    `forward` takes the inputs by position and options by keyword. It may return a tuple; then the
    first element is the output and the others are by-products without a gradient (the indices of
    a maximum). `backward` returns a gradient for each input, in order (a single one may stand by
    itself), and may return None where `self.needs_input_grad` is False.

    Class attributes: `broadcasts` says that NumPy broadcasts the inputs, so that the engine sums
    their gradients back to the inputs' shapes; `is_view` says that the output may share the
    memory of the first input; `widens` that arrays of 16-bit floats reach `forward` and `backward`
    as float32 on the CPU, which has no arithmetic for them, and that what comes back is rounded.
    """

    broadcasts = False
    is_view = False
    widens = True

    needs_input_grad: tuple[bool, ...] = ()
    edges: tuple[Any, ...] = ()  # for each input: its Function, the leaf Tensor itself, or None
    _saved: tuple[Array | None, ...] | None = ()
    _watched: tuple[tuple[Any, int, str], ...] = ()
    _retained: Callable[[], Any] | None = None  # weak reference to an output that keeps its .grad
    _stack: str | None = None

    def forward(self, *arrays: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, g: Array) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    def save_for_backward(self, *arrays: Array | None) -> None:
        """Keep arrays for `backward`, and notice if one of them is changed in between."""
        self._saved = arrays

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given.

        Raises:
            RuntimeError: already freed, or changed in place since.
        """
        if self._saved is None:
            raise RuntimeError(
                f"[{self.name()}] backward through the same graph a second time: its saved arrays "
                "were freed by the first. Call the first backward with retain_graph=True."
            )
        for version, count, what in self._watched:
            if version.count != count:
                raise RuntimeError(
                    f"[{self.name()}] one of the variables needed for gradient computation has "
                    f"been modified by an inplace operation: {what} is at version "
                    f"{version.count}, expected {count}. Work on a copy (`y = y + x` instead of "
                    "`y += x`, or inplace=False) between its use and backward()."
                )
        return self._saved

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run `forward` on the inputs' arrays, and record the operation if a gradient will flow."""
        fn = cls()
        if cast := casts():
            inputs = cast(cls.name(), inputs)
        arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
        placed = [x for x in arrays if hasattr(x, "dtype")]
        if {type(x) for x in placed} != {np.ndarray}:
            backend.same_device(cls.name(), placed)
        recording = is_grad_enabled()
        fn.needs_input_grad = tuple(
            [recording and isinstance(x, Tensor) and x.requires_grad for x in inputs]
        )
        half = 2 in [x.dtype.itemsize for x in placed] and cls.widens and not cls.is_view
        with backend.use_device_of(placed[0] if placed else None):
            result = fn.forward(*map(backend.widened, arrays) if half else arrays, **options)
        first, *rest = result if isinstance(result, tuple) else (result,)
        output = Tensor(backend.narrowed(first, arrays) if half else first)
        if cls.is_view and isinstance(inputs[0], Tensor):
            output._view_of(inputs[0])
        if True in fn.needs_input_grad and dtypes.is_floating_point(output.dtype):
            fn._record(inputs, output)
        if _mode.watcher:
            _mode.watcher(fn, inputs, options, output)
        if not isinstance(result, tuple):
            return output
        return (output, *(None if x is None else Tensor(x) for x in rest))

    def _record(self, inputs: tuple[Any, ...], output: Any) -> None:
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor) and x._recorded != x._version.recorded:
                raise RuntimeError(
                    f"[{self.name()}] input {i} was changed in place through another view of its "
                    "memory, which its own history does not show: use that view from there on, "
                    "or compute out of place"
                )
        self.edges = tuple([
            (x.grad_fn or x) if needed else None
            for x, needed in zip(inputs, self.needs_input_grad, strict=True)
        ])
        self._inputs = [
            (x.array.shape, x.array.dtype) if isinstance(x, Tensor) else None for x in inputs
        ]
        saved = {id(array) for array in self._saved or ()}
        named = [*((f"input {i}", x) for i, x in enumerate(inputs)), ("the output", output)]
        self._watched = tuple([
            (x._version, x._version.count, f"{what} of shape {x.array.shape}")
            for what, x in named if isinstance(x, Tensor) and id(x.array) in saved
        ])
        if _mode.detect_anomaly:
            self._stack = "".join(traceback.format_stack()[:-2])
        output.grad_fn = self
        output.requires_grad = True

    def _gradients(self, g: Array) -> tuple[Any, ...]:
        """`backward`, with what it returns checked against the inputs."""
        try:
            with backend.use_device_of(g):
                result = self.backward(backend.widened(g) if self.widens else g)
                result = result if isinstance(result, tuple) else (result,)
                if len(result) != len(self._inputs):
                    raise RuntimeError(
                        f"[{self.name()}] backward returned {len(result)} gradients for "
                        f"{len(self._inputs)} inputs"
                    )
                return tuple([self._checked(i, gx) for i, gx in enumerate(result)])
        except Exception as error:
            shapes = ", ".join(str(tuple(i[0])) for i in self._inputs if i)
            error.add_note(f"in the backward of {self.name()}, whose inputs have shapes {shapes}")
            if self._stack:
                error.add_note(f"which was called in the forward pass at:\n{self._stack}")
            raise

    def _checked(self, i: int, gx: Any) -> Any:
        if not self.needs_input_grad[i]:
            return None
        shape, dtype = self._inputs[i]  # type: ignore[misc]
        if gx is None:
            raise RuntimeError(f"[{self.name()}] backward returned no gradient for input {i}")
        if self.broadcasts and gx.shape != shape:
            gx = _sum_to(gx, shape)
        if dtypes.is_half(dtype):
            gx = backend.cast(gx, dtype)
        if gx.shape != shape or gx.dtype != dtype:
            raise RuntimeError(
                f"[{self.name()}] backward returned a gradient of shape {gx.shape} and dtype "
                f"{gx.dtype} for input {i}, which has shape {tuple(shape)} and dtype {dtype}"
            )
        if self._stack and bool((gx != gx).any()):
            raise RuntimeError(f"[{self.name()}] backward returned NaN for input {i}")
        return gx

    def _before_overwriting(self, place: Any, written: bool) -> None:
        """This operation's result is about to overwrite its own input: copy what it saved of it,
        unless it has `written` it there itself, and what it saved is the result."""
        if not written:
            saved: tuple[Any, ...] = self._saved or ()
            self._saved = tuple(x.copy() if _may_share([x], place.array) else x for x in saved)
        self._watched = tuple(entry for entry in self._watched if entry[0] is not place._version)

    def _output_moved(self, result: Any, place: Any) -> None:
        """An in-place operation wrote `result` into the memory of `place`: watch that instead."""
        if self._saved:
            self._saved = tuple(place.array if x is result.array else x for x in self._saved)
        self._watched = tuple(
            (place._version, place._version.count, what) if version is result._version
            else (version, count, what)
            for version, count, what in self._watched
        )

    def _release(self) -> None:
        if self._saved:
            self._saved = None


def _sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Undo broadcasting: what was repeated forward is summed backward."""
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, size in enumerate(shape) if size == 1 and g.shape[extra + i] != 1
    )
    total = g.sum(axis=axes, keepdims=True, dtype=dtypes.accumulator(g.dtype))
    return total.astype(g.dtype, copy=False).reshape(shape)


def backward(root: Any, gradient: Array, retain_graph: bool = False) -> None:
    """Add d(root)/d(leaf), weighted by `gradient`, to the `.grad` of every leaf below `root`."""
    if root.grad_fn is None:
        _accumulate(root, gradient.copy())
        return
    waiting = _count_consumers(root.grad_fn)
    arrived: dict[Function, Array] = {root.grad_fn: gradient}
    owned: set[Function] = set()  # whose gradient is a sum made here, not an array of some op
    ready = [root.grad_fn]
    while ready:
        fn = ready.pop()
        g = arrived.pop(fn)
        owned.discard(fn)
        _keep_retained(fn, g)
        edges, saved = fn.edges, fn._saved or ()
        gradients = fn._gradients(g)
        if not retain_graph:
            fn._release()
        for i, (edge, gx) in enumerate(zip(edges, gradients, strict=True)):
            if edge is None:
                continue
            if not isinstance(edge, Function):
                shared = (g, *saved, *gradients[:i], *gradients[i + 1 :])
                _accumulate(edge, gx if _is_own(gx, shared) else gx.copy())
                continue
            if edge not in arrived:
                arrived[edge] = gx
            elif edge in owned:
                arrived[edge] += gx
            else:
                arrived[edge] = kernels.of(gx).add(arrived[edge], gx)
                owned.add(edge)
            waiting[edge] -= 1
            if waiting[edge] == 0:
                ready.append(edge)


def _count_consumers(root: Function) -> dict[Function, int]:
    """How many gradients each node below `root` has to wait for."""
    consumers: dict[Function, int] = {}
    stack = [root]
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Function):
                if edge not in consumers:
                    stack.append(edge)
                consumers[edge] = consumers.get(edge, 0) + 1
    return consumers


def _is_own(array: Array, others: tuple[Any, ...]) -> bool:
    """Whether a leaf may keep `array` as its gradient: plain memory that nobody else looks at."""
    flags = array.flags  # a broadcast view can be contiguous, but not writeable (a NumPy flag)
    if not (flags.c_contiguous and getattr(flags, "writeable", True)):
        return False
    return not _may_share(others, array)


def _may_share(values: Iterable[Any], array: Array) -> bool:
    """Whether one of these, as a Function saves them, may be memory of `array`; numbers and None
    are not."""
    may_share = backend.array_module(array).may_share_memory
    return True in [may_share(x, array) for x in values if type(x) is type(array)]


def _accumulate(leaf: Any, gx: Array) -> None:
    if leaf.grad is None:
        leaf.grad = Tensor(gx)
    else:
        leaf.grad.array[...] += gx
        leaf.grad._version.count += 1


def _keep_retained(fn: Function, g: Array) -> None:
    output = fn._retained() if fn._retained else None
    if output is not None:
        _accumulate(output, g.copy())


def retain_grad(output: Any) -> None:
    """Keep the gradient of a tensor that is not a leaf."""
    output.grad_fn._retained = weakref.ref(output)
