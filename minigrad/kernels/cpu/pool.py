"""Pooling on the CPU: maxima and averages in few passes over maps that stay in cache.

A window is separable: first its columns, then what became of them along the rows, KH + KW steps
instead of KH*KW. Each step works on whole maps, one slice of them a tap (see `layout.py`). Columns
come first, as their taps are whole rows of a map, one long run each. Cores take channels.
`reference/pool.py` has the obvious loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cpu import layout, memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import Block, channel_blocks, empty_maps, images_last, region
from minigrad.kernels.geometry import Pad, Pair

Array = np.ndarray


class _Windows:
    """The windows of one pool: which rows and columns of what they see belong to which tap."""

    def __init__(
        self, x_shape: tuple[int, ...], out: Pair, kernel_size: Pair, stride: Pair, pad: Pad,
        dilation: Pair = (1, 1),
    ) -> None:
        self.N, self.C, self.H, self.W = x_shape
        self.OH, self.OW = out
        (self.KH, self.KW), (self.SH, self.SW), (self.DH, self.DW) = kernel_size, stride, dilation
        self.top, self.left = pad[0], pad[2]
        self.height = (self.OH - 1) * self.SH + geometry.span(self.KH, self.DH)  # padding included
        self.width = (self.OW - 1) * self.SW + geometry.span(self.KW, self.DW)

    def seen(self, x: Array, fill: float) -> Array:
        """What the windows see of x (C, H, W, B): (C, height, width, B)."""
        return region(x, self.top, self.left, self.height, self.width, fill)

    def taps(self, x: Array, axis: int) -> list[Array]:
        """Tap k of every window down the columns (axis 1) or along the rows (2) of x (C, H, W, B).

        Where that would be short runs of numbers, tap k of windows at all of x, as one line: more
        windows than are wanted, of which `pick` takes those that are, but in a single run.
        """
        count, stride, dilation, taps = (
            (self.OH, self.SH, self.DH, self.KH), (self.OW, self.SW, self.DW, self.KW)
        )[axis - 1]
        W, B = x.shape[2:]
        run = B if B > 1 else self.OW  # NumPy walks along single numbers
        if run >= layout.LONG_RUN or (axis == 1 and W * B >= 48):
            where = (geometry.tap_positions(k, count, stride, dilation) for k in range(taps))
            return [x[:, tap] if axis == 1 else x[:, :, tap] for tap in where]
        line, step = x.reshape(-1), dilation * (W * B if axis == 1 else B)
        return [line[k * step : max(0, line.size - (taps - 1 - k) * step)] for k in range(taps)]

    def pick(self, x: Array, out: Array) -> None:
        """out (C, OH, OW, B) = the windows that are wanted of what became of `taps`."""
        if x is not out:
            SH, SW = (self.SH, self.SW) if x.shape[1] > self.OH else (1, self.SW)
            layout.copy_runs(out, x[:, ::SH, ::SW][:, : self.OH, : self.OW])

    def inside(self, kh: int, kw: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """((oh, ow), (h, w)): the windows whose tap (kh, kw) is inside the image, and where."""
        oh, h = geometry.tap_inside(kh, self.H, self.OH, self.SH, self.top, self.DH)
        ow, w = geometry.tap_inside(kw, self.W, self.OW, self.SW, self.left, self.DW)
        return (oh, ow), (h, w)

    def in_blocks(self, run: Callable[[Block], None], bytes_a_position: int) -> None:
        """Call `run` on blocks of (channels, images), on all cores."""
        nbytes = self.height * self.width * bytes_a_position

        def fn(start: int, stop: int) -> None:
            for block in channel_blocks(start, stop, self.N, nbytes):
                run(block)

        parallel(fn, self.C, 5 * self.N * self.C * self.H * self.W)


def _at(x: Array, block: Block) -> Array:
    """The maps (C, H, W, B) of a block of x (N, C, H, W)."""
    return images_last(x)[block[0], ..., block[1]]


def _room(taps: list[Array], x: Array, dtype: Any, out: Array | None = None) -> tuple[Array, Array]:
    """Maps for what becomes of `taps` of x, and the part of them that has the taps' shape: `out`,
    if given, unless the taps are lines."""
    if taps[0].ndim > 1:
        maps = memory.empty(taps[0].shape, dtype) if out is None else out
        return maps, maps
    maps = memory.empty(x.shape, dtype)
    return maps, maps.reshape(-1)[: taps[0].size]


def _combine(op: np.ufunc, taps: Sequence[Array], out: Array) -> None:
    """out = op(op(taps[0], taps[1]), taps[2]) ..."""
    now = taps[0]
    for tap in taps[1:]:
        now = op(now, tap, out=out)
    if len(taps) == 1:
        np.copyto(out, now)


# --------------------------------------------------------------------------------------- maximum


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair, ceil_mode: bool,
    need_code: bool = True,
) -> tuple[Array, Array | None]:
    """(y, code): the largest number of each window, and at which tap kh*KW + kw it stands.

    x (N, C, H, W); y and code (N, C, OH, OW); code is uint8 (uint16 beyond 256 taps), or None
    unless `need_code`: only a gradient needs it. PyTorch's rules: the first of equals wins, padding
    never does, and a NaN beats all (the last one, should there be several).
    """
    out = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation, ceil_mode)
    windows = _Windows(x.shape, out, kernel_size, stride, pad, dilation)
    y = empty_maps((*x.shape[:2], *out), x.dtype)
    taps = kernel_size[0] * kernel_size[1]
    code = empty_maps(y.shape, np.min_scalar_type(taps - 1)) if need_code else None
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    def run(block: Block) -> None:
        seen, y_block = windows.seen(_at(x, block), lowest), _at(y, block)
        taps = windows.taps(seen, 1)
        down, out = _room(taps, seen, x.dtype)
        if code is None:
            _combine(np.maximum, taps, out)
        else:
            kh, kh_out = _room(taps, seen, code.dtype)
            _first_maximum(taps, out, kh_out, windows.KW)
        taps = windows.taps(down, 2)
        best, out = _room(taps, down, x.dtype, y_block)
        _combine(np.maximum, taps, out)
        windows.pick(best, y_block)
        if code is not None:
            code_block = _at(code, block)
            tap, tap_out = _room(taps, down, code.dtype, code_block)
            _first_equal(taps, out, windows.taps(kh, 2), tap_out)
            windows.pick(tap, code_block)
            if np.isnan(y_block.max()):
                _point_at_nan(_at(x, block), code_block, windows)

    if y.size:
        windows.in_blocks(run, 2 * x.itemsize + 2)
    if code is not None and max(pad) > 0:
        np.maximum(code, _first_inside(windows).astype(code.dtype), out=code)
    return y, code


def _first_maximum(taps: list[Array], best: Array, code: Array, step: int) -> None:
    """best = the maximum of taps; code = t*step for the first t that has it.

    A tap that wins has a larger code than all before it, so the last winner's code is the maximum
    of won * code: arithmetic on bytes, much cheaper than a masked copy.
    """
    now = taps[0]
    moved, won = memory.empty(code.shape, code.dtype), memory.empty(code.shape, np.bool_)
    for t, tap in enumerate(taps[1:], 1):
        np.greater(tap, now, out=won)
        now = np.maximum(tap, now, out=best)
        np.multiply(won.view(np.uint8), t * step, out=moved if t > 1 else code, dtype=code.dtype)
        if t > 1:
            np.maximum(code, moved, out=code)
    if len(taps) == 1:
        np.copyto(best, now)
        code.fill(0)


def _first_equal(taps: list[Array], best: Array, codes: list[Array], code: Array) -> None:
    """code = the smallest codes[t] + t of the taps that are equal to best."""
    bits = np.dtype(f"i{code.itemsize}")
    moved, other = memory.empty(code.shape, code.dtype), memory.empty(code.shape, np.bool_)
    for t, tap in enumerate(taps):
        mask = moved if t else code
        np.not_equal(tap, best, out=other)
        np.negative(other.view(np.int8), out=mask.view(bits), dtype=bits)  # no bits or all
        np.bitwise_or(mask, codes[t] + t if t else codes[t], out=mask)
        if t:
            np.minimum(code, mask, out=code)


def _point_at_nan(x: Array, code: Array, windows: _Windows) -> None:
    """Let windows with a NaN point at the last one: a comparison with NaN says nothing."""
    for kh, kw in np.ndindex(windows.KH, windows.KW):
        (oh, ow), (h, w) = windows.inside(kh, kw)
        code[:, oh, ow][np.isnan(x[:, h, w])] = kh * windows.KW + kw


def _first_inside(windows: _Windows) -> Array:
    """The first tap of each window inside the image, (OH, OW).

    A window full of -inf is won by its tap 0, which may lie in the padding; every other window has
    a code at least as large as this.
    """
    v = windows
    kh = [max(0, -((oh * v.SH - v.top) // v.DH)) for oh in range(v.OH)]
    kw = [max(0, -((ow * v.SW - v.left) // v.DW)) for ow in range(v.OW)]
    return np.minimum(kh, v.KH - 1)[:, None] * v.KW + np.minimum(kw, v.KW - 1)


def max_pool2d_backward(
    g: Array, code: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> Array:
    """gx (N, C, H, W): each window's gradient goes to the pixel that won. Deterministic.

    g and code (N, C, OH, OW), code as `max_pool2d` gave it.
    """
    N, _, H, W = x_shape
    v = windows = _Windows(x_shape, (g.shape[2], g.shape[3]), kernel_size, stride, pad, dilation)
    gx = empty_maps(x_shape, g.dtype)
    flat = images_last(gx).reshape(-1)
    tap = np.add.outer(np.arange(v.KH) * v.DH * W, np.arange(v.KW) * v.DW) * N  # from the first one

    def run(block: Block) -> None:
        grads, codes = (np.ascontiguousarray(_at(a, block)).reshape(-1) for a in (g, code))
        _at(gx, block).fill(0)
        where = memory.empty(grads.shape, np.intp)
        np.take(tap, codes, out=where, mode="clip")
        c, oh, ow, n = np.ogrid[block[0], : v.OH, : v.OW, block[1]]
        first = ((c * H + oh * v.SH - v.top) * W + ow * v.SW - v.left) * N
        there = where.reshape(len(c), v.OH, v.OW, -1)
        there += first
        there += n
        np.add.at(flat, where, grads)  # NumPy is fast at this with one index into a line

    if gx.size:
        windows.in_blocks(run, 2 * g.itemsize + 1)
    return gx


# --------------------------------------------------------------------------------------- average


def avg_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, pad: Pad, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """y (N, C, OH, OW) = the sum of each window / the number of its positions.

    Padding counts as positions with `count_include_pad`; `divisor_override` replaces the number.
    """
    out = geometry.output_shape(x.shape, kernel_size, stride, pad, ceil_mode=ceil_mode)
    windows = _Windows(x.shape, out, kernel_size, stride, pad)
    factor = _factor(windows, pad, count_include_pad, divisor_override, x.dtype)
    y = empty_maps((*x.shape[:2], *out), x.dtype)

    def run(block: Block) -> None:
        maps, y_block = windows.seen(_at(x, block), 0), _at(y, block)
        for axis, target in ((1, None), (2, y_block)):
            taps = windows.taps(maps, axis)
            maps, out = _room(taps, maps, x.dtype, target)
            _combine(np.add, taps, out)
        windows.pick(maps, y_block)
        np.multiply(y_block, factor, out=y_block)

    if y.size:
        windows.in_blocks(run, 2 * x.itemsize)
    return y


def avg_pool2d_backward(
    g: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Array:
    """gx (N, C, H, W): every position of a window gets g / divisor. g is (N, C, OH, OW)."""
    out = geometry.output_shape(x_shape, kernel_size, stride, pad, ceil_mode=ceil_mode)
    windows = _Windows(x_shape, out, kernel_size, stride, pad)
    factor = _factor(windows, pad, count_include_pad, divisor_override, g.dtype)
    gx = empty_maps(x_shape, g.dtype)

    def run(block: Block) -> None:
        share, target = np.multiply(_at(g, block), factor), _at(gx, block)
        C, _, W, B = target.shape
        across = memory.zeros((C, windows.OH, W, B), g.dtype)
        target.fill(0)
        for kw in range(windows.KW):
            (_, ow), (_, w) = windows.inside(0, kw)
            across[:, :, w] += share[:, :, ow]
        for kh in range(windows.KH):
            (oh, _), (h, _) = windows.inside(kh, 0)
            target[:, h] += across[:, oh]

    if gx.size:
        windows.in_blocks(run, 3 * g.itemsize)
    return gx


def _factor(
    windows: _Windows, pad: Pad, count_include_pad: bool, divisor_override: int | None,
    dtype: np.dtype,
) -> Array:
    """1 / divisor of each window, (OH, OW, 1), in the real type of `dtype`."""
    v = windows
    if divisor_override:
        counts = np.full((v.OH, v.OW), divisor_override)
    else:
        rows = geometry.window_counts(v.H, v.KH, v.SH, *pad[:2], v.OH, count_include_pad)
        columns = geometry.window_counts(v.W, v.KW, v.SW, *pad[2:], v.OW, count_include_pad)
        counts = np.outer(rows, columns)
    return (1 / counts).astype(np.finfo(dtype).dtype)[..., None]


# ------------------------------------------------------------------------------ adaptive average


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """y (N, C, OH, OW): averages over OH x OW windows that cover the image, whatever its size."""
    (h, w), (oh, ow) = x.shape[2:], output_size
    if h % oh == 0 and w % ow == 0:
        return avg_pool2d(x, *_even_windows(x.shape, output_size))
    y = empty_maps((*x.shape[:2], oh, ow), x.dtype)
    for i, (top, bottom) in enumerate(geometry.adaptive_windows(h, oh)):
        for j, (left, right) in enumerate(geometry.adaptive_windows(w, ow)):
            y[:, :, i, j] = x[:, :, top:bottom, left:right].mean((2, 3))
    return y


def adaptive_avg_pool2d_backward(g: Array, x_shape: tuple[int, ...]) -> Array:
    """gx (N, C, H, W): each window deals its gradient out evenly. g is (N, C, OH, OW)."""
    (h, w), (oh, ow) = x_shape[2:], g.shape[2:]
    if h % oh == 0 and w % ow == 0 and (oh, ow) != (1, 1):
        return avg_pool2d_backward(g, x_shape, *_even_windows(x_shape, (oh, ow)))
    gx = empty_maps(x_shape, g.dtype)
    gx.fill(0)
    for i, (top, bottom) in enumerate(geometry.adaptive_windows(h, oh)):
        for j, (left, right) in enumerate(geometry.adaptive_windows(w, ow)):
            share = g[:, :, i : i + 1, j : j + 1] / ((bottom - top) * (right - left))
            gx[:, :, top:bottom, left:right] += share
    return gx


def _even_windows(shape: tuple[int, ...], output_size: Pair) -> tuple:
    """The options of `avg_pool2d` where the windows lie side by side."""
    kernel = shape[2] // output_size[0], shape[3] // output_size[1]
    return kernel, kernel, (0, 0, 0, 0), False, True, None
