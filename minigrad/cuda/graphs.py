"""`graph(step)`: a training step that is captured once, and then repeated by a single launch.

A small network's step is a hundred launches of a few microseconds each, and Python takes longer to
ask for them than the GPU to run them. A CUDA graph is the list of these launches with their
arguments. To repeat them is right only if everything they read and write stays where it is, and if
nothing that the host decides has changed; what this file does is to see to both.
Next: `kernels/cuda/capture.py`, how numbers such as the learning rate get into a graph.
"""

from __future__ import annotations

import functools
import gc
import os
import traceback
import warnings
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad import autograd, backend
from minigrad.backend import Array, Device
from minigrad.tensor import Tensor

WARM_UP = 2  # the first call makes gradients and the optimizer's state, the second finds them
MOST = 8  # graphs of one step; each keeps its inputs, outputs and gradients
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def graph(step: Callable[..., Any], device: Any = "cuda") -> Graphed:
    """`step` as a function that costs one launch a call, once it has been called a few times.

        @minigrad.cuda.graph
        def step(x, y):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        for x, y in batches:
            loss = step(x, y)       # loss.item() every now and then, outside the step

    The first two calls run the step as it is; the third captures it and launches the graph, and so
    do all others. Inputs are tensors, arrays and hashable values. Tensors and arrays, wherever they
    are, are copied into the graph's own; they get no gradient. What is called with other shapes,
    dtypes or values runs as it is at first, with a warning, and then gets another graph: the last
    batch of an epoch is often a short one. There are at most 8; what comes then runs as it is.

    What the step returns, tensors in tuples, lists or dicts, has no history, and belongs to the
    graph: the next call overwrites it. So it is with each parameter's `.grad`. The learning rate,
    the optimizer's count of steps and the random numbers of dropout go on from call to call as they
    would without a graph. Everything else that the host decides is decided once, when the step is
    captured: whether the network is in training mode, autocast, an `if`, a Python number. After
    changing such a thing call `step.reset()`. Parameters may be changed in place between calls.

    Args:
        device: where the step computes. On the CPU it is called as it is.

    Raises:
        RuntimeError: there is no GPU; or the step does what a graph cannot, such as waiting for the
            GPU by `.item()`. The message names the operation and the line.
        TypeError: an input is neither tensor, array nor hashable.

    PyTorch's relatives are `torch.cuda.CUDAGraph` and `torch.compile(mode="reduce-overhead")`.
    """
    return Graphed(step, device)


class Graphed:
    """What `graph` returns. `recordings` are the graphs so far, by what they were captured for."""

    def __init__(self, step: Callable[..., Any], device: Any = "cuda") -> None:
        self.step, self.device = step, Device(device)
        if self.device.type == "cuda":
            backend.cupy()
        self.name = getattr(step, "__name__", type(step).__name__)
        functools.update_wrapper(self, step)
        self.reset()

    def reset(self) -> None:
        """Forget all graphs, and begin anew with calls that run the step as it is."""
        self.calls: Counter[Any] = Counter()  # that ran the step as it is, by signature
        self.recordings: dict[Any, Recording] = {}
        self.leaves: dict[int, weakref.ref[Tensor]] = {}  # parameters, and what else goes in
        self.pool: Any = None
        self.stream: Any = None
        self.blocks: list[Any] = []  # all memory of the pool

    def __call__(self, *inputs: Any) -> Any:
        if self.device.type == "cpu":
            return self.step(*inputs)
        with backend.cupy().cuda.Device(self.device.index):
            from minigrad.kernels.cuda import capture

            placed = [self._placed(x) for x in inputs]
            signature = (autograd.is_grad_enabled(), *map(_kind, placed))
            if self.calls[signature] < WARM_UP:
                if self.recordings and not self.calls[signature]:
                    warnings.warn(
                        f"[cuda.graph] {self.name} was captured for inputs of other shapes, dtypes "
                        f"or values: for these it runs as it is {WARM_UP} times, and then gets "
                        "another graph", stacklevel=2,
                    )  # fmt: skip
                self.calls[signature] += 1
                return self._as_it_is(placed)
            key = signature, tuple(leaf.grad is None for leaf in self._parameters())
            recording = self.recordings.get(key)
            if recording is None and len(self.recordings) >= MOST:
                warnings.warn(
                    f"[cuda.graph] {self.name} has {MOST} graphs for inputs of other shapes or "
                    "values: for this one it runs as it is. reset() forgets them", stacklevel=2,
                )  # fmt: skip
                return self._as_it_is(placed)
            if recording is None:
                recording = self.recordings[key] = self._captured(placed)
            if recording.holds():
                with suppress(capture.Outdated):
                    return recording.launch(placed)
            del self.recordings[key]  # what was put in another's place may have to warm up, too
            return self._as_it_is(placed)

    def _placed(self, x: Any) -> Any:
        """An input as the step gets it: a tensor on the device, without history, or a value."""
        x = x.array if isinstance(x, Tensor) else x
        if not (isinstance(x, np.ndarray) or backend.is_cupy(x)):
            return x
        return Tensor(backend.to_device(x, self.device))

    def _as_it_is(self, inputs: list[Any]) -> Any:
        with autograd.watch_calls(self._notice):
            outputs = _detached(self.step(*inputs))
        self.leaves = {i: ref for i, ref in self.leaves.items() if ref() is not None}
        return outputs

    def _notice(self, function: Any, inputs: tuple[Any, ...], *rest: Any) -> None:
        for x in inputs:
            if isinstance(x, Tensor) and x.is_leaf:
                self.leaves[id(x)] = weakref.ref(x)

    def _alive(self) -> list[Tensor]:
        return [leaf for ref in self.leaves.values() if (leaf := ref()) is not None]

    def _parameters(self) -> list[Tensor]:
        return [leaf for leaf in self._alive() if leaf.requires_grad]

    def _captured(self, inputs: list[Any]) -> Recording:
        """The step as a graph, which has not run yet.

        All memory that it takes comes from a pool of its own, in which nobody but the next capture
        looks for memory: what it gives back is still its own at the next launch.

        Raises:
            RuntimeError: the step cannot be captured.
        """
        from minigrad.kernels.cuda import capture

        gc.collect()
        backend.cupy().get_default_memory_pool().free_all_blocks()  # the warm-up's, most of it
        cuda = backend.cupy().cuda
        self.pool = self.pool or cuda.MemoryPool(self._block)
        self.stream = stream = self.stream or cuda.Stream(non_blocking=True)
        before = [(leaf, leaf.grad, leaf._version.count) for leaf in self._alive()]
        with stream, cuda.using_allocator(self.pool.malloc):
            own = [_like(x) for x in inputs]
            stream.begin_capture()
            try:
                with capture.recorded() as actions, autograd.watch_calls(self._notice):
                    outputs = _detached(self.step(*own))
                work = stream.end_capture()
            except BaseException as error:
                with suppress(Exception):
                    stream.end_capture()
                self.stream = None
                for leaf, grad, count in before:
                    leaf.grad, leaf._version.count = grad, count
                if isinstance(error, Exception):
                    raise RuntimeError(_explained(self.name, error)) from error
                raise
        work.upload()
        return Recording(work, own, outputs, actions, before, self._alive())

    def _block(self, size: int) -> Any:
        """Memory for the pool, which cannot give it back to the driver when it looks for more."""
        cuda = backend.cupy().cuda
        self.blocks.append(cuda.Memory(size))
        return cuda.MemoryPointer(self.blocks[-1], 0)


class Recording:
    """A captured step: the graph, and everything in whose memory it works."""

    def __init__(
        self, work: Any, inputs: list[Any], outputs: Any, actions: list[Callable[[], None]],
        before: list[tuple[Tensor, Tensor | None, int]], leaves: list[Tensor],
    ) -> None:  # fmt: skip
        self.work, self.inputs, self.outputs, self.actions = work, inputs, outputs, actions
        self.arrays: list[tuple[Tensor, Array]] = [(leaf, leaf.array) for leaf in leaves]
        self.grads = [(leaf, leaf.grad) for leaf in leaves if leaf.requires_grad]
        # Gradients that were there before and still are: the step adds to them, or sets them to 0.
        self.added_to = [
            (leaf, grad) for leaf, grad, _ in before if grad is not None and leaf.grad is grad
        ]
        changes = {leaf._version: leaf._version.count - count for leaf, _, count in before}
        self.changes = [(version, change) for version, change in changes.items() if change]
        for version, change in self.changes:
            version.count -= change  # nothing has run yet

    def holds(self) -> bool:
        """Whether everything is where it was when the step was captured."""
        return all(leaf.array is array for leaf, array in self.arrays) and all(
            leaf.grad is grad for leaf, grad in self.added_to
        )

    def launch(self, inputs: list[Any]) -> Any:
        for action in self.actions:
            action()
        for own, x in zip(self.inputs, inputs, strict=True):
            if isinstance(own, Tensor):
                own.array[...] = x.array
        self.work.launch()
        for version, change in self.changes:
            version.count += change
        for leaf, grad in self.grads:
            leaf.grad = grad
        return self.outputs


def _kind(x: Any) -> Any:
    """What of an input decides about the graph: a tensor's shape and dtype, any other value."""
    if isinstance(x, Tensor):
        return Tensor, tuple(x.shape), x.dtype
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"[cuda.graph] an input is a {type(x).__name__}: tensors, arrays and hashable values "
            "can be inputs; pass the tensors in it one by one"
        ) from None
    return x


def _like(x: Any) -> Any:
    """Memory for an input of this shape and dtype; other values as they are."""
    if not isinstance(x, Tensor):
        return x
    return Tensor(backend.array_module(x.array).empty(tuple(x.shape), x.dtype))


def _detached(outputs: Any) -> Any:
    """The tensors in nested tuples, lists and dicts without their history."""
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, dict):
        return {key: _detached(value) for key, value in outputs.items()}
    if isinstance(outputs, (tuple, list)):
        parts = [_detached(value) for value in outputs]
        return type(outputs)(*parts) if hasattr(outputs, "_fields") else type(outputs)(parts)
    return outputs


def _explained(name: str, error: Exception) -> str:
    """What could not be captured, where, and what to do."""
    frames = list(traceback.walk_tb(error.__traceback__))  # the first is the capture's own
    ours = [os.path.abspath(f.f_code.co_filename).startswith(PACKAGE + os.sep) for f, _ in frames]
    last = len(ours) - 1 - ours[::-1].index(True)
    theirs = [frame for frame, mine in zip(frames[:last], ours, strict=False) if not mine]
    what, where = "its end", ""
    for frame, line in theirs[-1:] or frames[1:2]:
        what, file = frame.f_code.co_name, os.path.basename(frame.f_code.co_filename)
        where = f" ({file}, line {line})"
    owners = [(frame.f_locals.get("self"), frame.f_code.co_name) for frame, _ in frames]
    for owner, method in owners[last::-1]:
        if isinstance(owner, autograd.Function):
            back = "the backward of " * (method in ("_gradients", "backward"))
            what = back + owner.name()
            break
        if isinstance(owner, Tensor):
            what = f"Tensor.{method}"
    return (
        f"[cuda.graph] the step {name} cannot be captured: {what}{where} raised "
        f"{type(error).__name__}: {error}. A graph repeats what the GPU does and nothing else: in "
        "the step there can be no .item(), float(), print or `if` that looks into a tensor, and no "
        "copy from the CPU. Return the tensor and look at it after the step, or leave out graph()"
    )
