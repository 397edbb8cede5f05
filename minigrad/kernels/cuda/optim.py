"""One step of an optimizer over all parameters, and the scale of a loss. The kernels, with the
formulas, stand in `optim.cu` and `amp.cu`.

The options of the groups and Adam's counts of steps lie in device memory (`live.py`), so that a
captured graph follows a schedule and counts on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.live import Live
from minigrad.kernels.cuda.module import MAX_GRID_X, THREADS, address, contiguous, kernel

Arrays = Sequence[Any]

TENSORS, CHUNK = 64, 8192  # optim.cu says the same
STRUCT = np.dtype([
    ("count", np.int64), ("size", np.int64, TENSORS), ("arrays", np.uint64, (4, TENSORS)),
    ("step", np.uint64, TENSORS), ("group", np.int32, TENSORS),
])  # fmt: skip


def live(read: Callable[[], Sequence[Sequence[float]]]) -> Callable[[], Any]:
    """A function that returns what `read` returns, as an array in which a kernel can look it up."""
    return Live(read)


def counter() -> Any:
    """A count of steps that kernels raise: 0, of shape ()."""
    return cupy.zeros((), np.int64)


def sgd_step(
    ps: Arrays, gs: Arrays, bufs: Arrays, steps: Arrays, groups: Sequence[int], options: Any,
    skip: Any | None = None,
) -> None:
    """Update each parameter `p` and its momentum `buf` (None without momentum), all of one shape.

    A `buf` is 0 at first. Where there is a count of steps (not None) and it is 0, the momentum
    becomes the gradient itself, undampened; counts are raised.
    `options[groups[i]]` is (lr, momentum, dampening, weight_decay, nesterov) of parameter i.
    Nothing changes where the number `skip` (float32) is not 0.
    """
    for all_, blocks, dtype in _launches(ps, gs, bufs, groups=groups, steps=steps):
        kernel("sgd_step", dtype)((blocks,), (THREADS,), (all_, options, skip))
        if all_["step"].any():
            kernel("count_steps")((1,), (TENSORS,), (all_, skip))


def adam_step(
    ps: Arrays, gs: Arrays, ms: Arrays, vs: Arrays, steps: Arrays, groups: Sequence[int],
    options: Any, skip: Any | None = None,
) -> None:
    """Update each parameter `p` and its moments `m` and `v`, all of one shape; count its `step`.

    `options[groups[i]]` is (lr, beta1, beta2, eps, weight_decay, decoupled) of parameter i.
    Nothing changes where the number `skip` (float32) is not 0.
    """
    for all_, blocks, dtype in _launches(ps, gs, ms, vs, steps=steps, groups=groups):
        rates = cupy.empty((TENSORS, 6), np.float64)
        kernel("adam_rates")((1,), (TENSORS,), (all_, options, rates, skip))
        kernel("adam_step", dtype)((blocks,), (THREADS,), (all_, rates, skip))


def unscale(gs: Arrays, scale: Any, found: Any) -> None:
    """Divide each gradient by `scale`; `found` becomes 1 where one is not finite (float32, ())."""
    for all_, blocks, dtype in _launches(gs, [None] * len(gs), groups=[0] * len(gs)):
        kernel("unscale", dtype)((blocks,), (THREADS,), (all_, scale, found))


def update_scale(
    scale: Any, count: Any, found: Any, growth: float, backoff: float, interval: int
) -> None:
    """The next scale: times `backoff` if `found`; times `growth`, if that is finite, after
    `interval` steps without; `count` of them (int64). All are of shape () and change in place."""
    args = (scale, count, found, growth, backoff, interval)
    kernel("update_scale")((1,), (1,), args)


def _launches(
    *arrays: Arrays, groups: Sequence[int], steps: Arrays = (),
) -> Iterator[tuple[np.ndarray, int, np.dtype]]:
    """`struct Tensors`, the number of blocks and the dtype of each launch: one a dtype, and one a
    64 parameters. What is not contiguous is worked on as a copy and written back."""
    dtypes = [p.dtype for p in arrays[0]]
    for dtype in dict.fromkeys(dtypes):
        indices = [i for i, p in enumerate(arrays[0]) if p.dtype == dtype]
        for start in range(0, len(indices), TENSORS):
            part = indices[start : start + TENSORS]
            struct, worked_on, count = np.zeros((), STRUCT), [], len(part)
            struct["count"] = count
            struct["size"][:count] = [arrays[0][i].size for i in part]
            struct["group"][:count] = [groups[i] for i in part]
            for place, i in enumerate(part) if steps else ():
                struct["step"][place] = 0 if steps[i] is None else address(steps[i])
            for row, kind in enumerate(arrays):
                here = [None if kind[i] is None else contiguous(kind[i]) for i in part]
                struct["arrays"][row, :count] = [0 if a is None else address(a) for a in here]
                worked_on.append(here)
            chunks = int((-(-struct["size"] // CHUNK)).sum())
            yield struct, min(max(chunks, 1), MAX_GRID_X), dtype
            for kind, here in zip(arrays, worked_on, strict=True):
                for i, array in zip(part, here, strict=True):
                    if kind is not arrays[1] and array is not kind[i]:
                        kind[i][...] = array
