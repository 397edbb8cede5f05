"""One step of an optimizer on the CPU, in place and in one pass over the memory.

Written as array expressions, Adam walks over a large parameter some twenty times, and memory is
slower than arithmetic. Here each core takes a share of all parameters together, block by block,
and finishes with a block before it goes on. The formulas stand in `minigrad/optim/sgd.py` and
`minigrad/optim/adam.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import blocks

Arrays = Sequence[np.ndarray]
Options = Sequence[Sequence[float]]  # a row a group of parameters

BLOCK = 64 * 1024  # elements: p, g, buf and two scratch arrays in float32 are 1.25 MiB


def live(read: Callable[[], Options]) -> Callable[[], Options]:
    """A function that returns what `read` returns, as kernels take it: here, `read` itself."""
    return read


def counter() -> np.ndarray:
    """A count of steps that kernels raise: 0, of shape ()."""
    return np.zeros((), np.int64)


def sgd_step(
    ps: Arrays, gs: Arrays, bufs: Sequence[np.ndarray | None],
    steps: Sequence[np.ndarray | None], groups: Sequence[int], options: Options,
    skip: Any | None = None,
) -> None:
    """Update each parameter `p` and its momentum `buf` (None without momentum), all of one shape.

    A `buf` is 0 at first. Where there is a count of steps and it is 0, the momentum becomes the
    gradient itself, undampened; counts are raised.
    `options[groups[i]]` is (lr, momentum, dampening, weight_decay, nesterov) of parameter i.
    Nothing changes where the number `skip` is not 0.
    """
    if not skip:
        arrays = [[x for x in one if x is not None] for one in zip(gs, ps, bufs, strict=True)]
        first = [step is not None and not step for step in steps]
        numbers = [(fresh, *options[i]) for fresh, i in zip(first, groups, strict=True)]
        _in_blocks(_sgd, arrays, numbers)
        for step in steps:
            if step is not None:
                step += 1


def _sgd(
    s: np.ndarray, t: np.ndarray, arrays: Arrays, first: bool, lr: float, momentum: float,
    dampening: float, weight_decay: float, nesterov: float,
) -> None:
    g, p, *bufs = arrays
    d = g
    if weight_decay:
        d = np.multiply(p, weight_decay, out=s)
        d += g
    if momentum:
        (buf,) = bufs
        if first:
            buf[...] = d
        else:
            buf *= momentum
            buf += np.multiply(d, 1 - dampening, out=t) if dampening else d
        if nesterov:
            np.multiply(buf, momentum, out=t)
            t += d
        d = t if nesterov else buf
    p -= np.multiply(d, lr, out=t)


def adam_step(
    ps: Arrays, gs: Arrays, ms: Arrays, vs: Arrays, steps: Arrays, groups: Sequence[int],
    options: Options, skip: Any | None = None,
) -> None:
    """Update each parameter `p` and its moments `m` and `v`, all of one shape; count its `step`.

    `options[groups[i]]` is (lr, beta1, beta2, eps, weight_decay, decoupled) of parameter i.
    Nothing changes where the number `skip` is not 0.
    """
    if not skip:
        for step in steps:
            step += 1
        numbers = [(int(step), *options[i]) for step, i in zip(steps, groups, strict=True)]
        _in_blocks(_adam, list(zip(gs, ps, ms, vs, strict=True)), numbers)


def _adam(
    s: np.ndarray, t: np.ndarray, arrays: Arrays, step: int, lr: float, beta1: float, beta2: float,
    eps: float, weight_decay: float, decoupled: float,
) -> None:
    """The bias corrections c1 and c2 are numbers, so they can leave the array expression:
    lr * (m/c1) / (sqrt(v/c2) + eps) = (lr * sqrt(c2) / c1) * m / (sqrt(v) + eps * sqrt(c2)).
    """
    g, p, m, v = arrays
    root2 = math.sqrt(1 - beta2**step)
    rate = lr * root2 / (1 - beta1**step)
    if weight_decay and decoupled:
        p *= 1 - lr * weight_decay
    elif weight_decay:
        np.multiply(p, weight_decay, out=s)
        g = np.add(g, s, out=s)
    m *= beta1
    m += np.multiply(g, 1 - beta1, out=t)
    v *= beta2
    np.multiply(g, g, out=t)
    t *= 1 - beta2
    v += t
    np.sqrt(v, out=t)
    t += eps * root2
    np.divide(m, t, out=t)
    t *= rate
    p -= t


def unscale(gs: Arrays, scale: np.ndarray, found: np.ndarray) -> None:
    """Divide each gradient by `scale`; `found` becomes 1 where one is not finite (both ())."""
    for g in gs:
        g *= np.divide(1, scale, dtype=np.float32).astype(g.dtype)
        if not np.isfinite(g).all():
            found[...] = 1


def update_scale(
    scale: np.ndarray, count: np.ndarray, found: np.ndarray, growth: float, backoff: float,
    interval: int,
) -> None:
    """The next scale: times `backoff` if `found`; times `growth`, if that is finite, after
    `interval` steps without; `count` of them. All are of shape () and change in place."""
    count += 1
    if found or count >= interval:
        grown = float(scale) * (backoff if found else growth)
        count[...], scale[...] = 0, grown if grown < 2.0**128 else scale


def _in_blocks(
    update: Callable[..., None], arrays: Sequence[Arrays], numbers: Sequence[tuple]
) -> None:
    """Call `update(scratch, scratch, (g, *changed), *numbers)` for each parameter, on blocks of its
    flattened arrays; cores share the elements of all.

    An array that is not contiguous has no flat view: it is worked on as a copy and, where it is
    `changed`, written back.
    """
    flat = [[array.reshape(-1) for array in one] for one in arrays]
    ends = list(accumulate(one[0].size for one in flat))

    def run(first: int, last: int) -> None:
        size = min(BLOCK, max(one[0].size for one in flat))
        work = {dtype: memory.empty((2, size), dtype) for dtype in {one[1].dtype for one in flat}}
        for one, options, end in zip(flat, numbers, ends, strict=True):
            start = end - one[0].size
            for block in blocks(max(first, start) - start, min(last, end) - start, BLOCK):
                s, t = work[one[1].dtype][:, : block.stop - block.start]
                update(s, t, [array[block] for array in one], *options)

    # No other process could write elsewhere, and none may to what is here twice.
    ours = all(memory.is_shared(array) for one in flat for array in one[1:])
    alone = len({id(one[1]) for one in arrays}) == len(arrays)
    parallel(run, ends[-1], ends[-1] if ours and alone else 0)
    for changed, copies in zip(arrays, flat, strict=True):
        for array, copy in zip(changed[1:], copies[1:], strict=True):
            if not array.flags.c_contiguous:
                array[...] = copy.reshape(array.shape)
