"""Pooling on the CPU: maxima and averages in few long passes over memory.

A window is separable: first its rows, then what became of them down the columns, 2*K steps instead
of K*K. Threads take planes, and each works through blocks of them that stay in its cache.
`lines.py` explains how a block becomes one long line; `reference/pool.py` has the obvious loops.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cpu import memory, threads
from minigrad.kernels.cpu.half import in_single
from minigrad.kernels.cpu.lines import Grid, Line, blocks, planes_of
from minigrad.kernels.geometry import Pad, Pair


def _combine(op: np.ufunc, taps: list[np.ndarray], out: np.ndarray) -> int:
    """out = op(op(taps[0], taps[1]), taps[2]) ...; returns how many numbers that are."""
    n = taps[0].size
    if len(taps) == 1:
        np.copyto(out[:n], taps[0])
    now = taps[0]
    for tap in taps[1:]:
        now = op(now, tap, out=out[:n])
    return n


# --------------------------------------------------------------------------------------- maximum


def max_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
    ceil_mode: bool,
    need_code: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """(y, code): the largest number of each window, and at which tap kh*KW + kw it stands.

    x (N, C, H, W); y and code (N, C, OH, OW); code is uint8 (uint16 beyond 256 taps), or None
    unless `need_code`: only a gradient needs it. PyTorch's rules: the first of equals wins, padding
    never does, and a NaN beats all (the last one, should there be several).
    """
    out = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation, ceil_mode)
    line = Line(x.shape, out, kernel_size, stride, pad, dilation)
    planes = planes_of(x)
    y = memory.empty((len(planes), *out), x.dtype)
    taps = kernel_size[0] * kernel_size[1]
    code = memory.empty(y.shape, np.min_scalar_type(taps - 1)) if need_code else None
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    def run(start: int, stop: int) -> None:
        step = line.planes_a_block(stop - start, x.itemsize * (2 * line.sw + 2) + 4)
        lay = line.layout(step, x.dtype, lowest)
        size = step * line.rows * line.columns
        if code is None:
            across, best = memory.empty((2, size), x.dtype)
            for block in blocks(start, stop, step):
                n = _combine(np.maximum, line.along_rows(lay(planes[block])), across)
                _combine(np.maximum, line.down_columns(across[:n]), best)
                np.copyto(y[block], line.crop(best, len(y[block])))
            return
        search = _Search(line, size, x.dtype, code.dtype)
        for block in blocks(start, stop, step):
            search(lay(planes[block]), y[block], code[block])
            if np.isnan(y[block].max()):
                _point_at_nan(planes[block], code[block], line)

    threads.parallel(run, len(planes), planes.size)
    if code is not None and (line.top or line.left):
        np.maximum(code, _first_inside(line).astype(code.dtype), out=code)
    shape = (*x.shape[:2], *out)
    return y.reshape(shape), None if code is None else code.reshape(shape)


class _Search:
    """Finds the maxima of a line and their codes; holds the scratch arrays of one thread."""

    def __init__(self, line: Line, size: int, dtype: np.dtype, code_dtype: np.dtype) -> None:
        self.line = line
        self.phases = memory.empty((line.sw if line.sw > 1 else 0, size), dtype)
        self.across, self.best = memory.empty((2, size), dtype)
        self.code_across, self.code, self.moved = memory.empty((3, size), code_dtype)
        self.won = memory.empty(size, np.bool_)

    def __call__(self, x: np.ndarray, y: np.ndarray, code: np.ndarray) -> None:
        taps = self.line.along_rows_apart(x, self.phases)
        n = self._first_maximum(taps, None, self.across, self.code_across)
        rows = self.line.down_columns(self.across[:n])
        codes = self.line.down_columns(self.code_across[:n])
        self._first_maximum(rows, codes, self.best, self.code)
        np.copyto(y, self.line.crop(self.best, len(y)))
        np.copyto(code, self.line.crop(self.code, len(y)))

    def _first_maximum(
        self,
        taps: list[np.ndarray],
        codes: list[np.ndarray] | None,
        best: np.ndarray,
        code: np.ndarray,
    ) -> int:
        """best = the maximum of taps; code = t, or codes[t] + t*KW, for the first t that has it.

        A tap that wins has a larger code than all before it, so the last winner's code is the
        maximum of won * code: arithmetic on bytes, much cheaper than a masked copy.
        """
        n = taps[0].size
        now, code = taps[0], code[:n]
        moved, won = self.moved[:n], self.won[:n]
        np.copyto(code, 0 if codes is None else codes[0])
        for t in range(1, len(taps)):
            np.greater(taps[t], now, out=won)
            now = np.maximum(taps[t], now, out=best[:n])
            if codes is None:
                np.multiply(won.view(np.uint8), t, out=moved, dtype=moved.dtype)
            else:
                np.add(codes[t], t * self.line.kw, out=moved)
                np.multiply(moved, won.view(np.uint8), out=moved)
            np.maximum(code, moved, out=code)
        if len(taps) == 1:
            np.copyto(best[:n], now)
        return n


def _point_at_nan(x: np.ndarray, code: np.ndarray, line: Line) -> None:
    """Let windows with a NaN point at the last one: a comparison with NaN says nothing."""
    for kh, kw in np.ndindex(line.kh, line.kw):
        (oh, ow), (h, w) = line.inside(kh, kw)
        code[:, oh, ow][np.isnan(x[:, h, w])] = kh * line.kw + kw


def _first_inside(line: Line) -> np.ndarray:
    """The first tap of each window inside the image, (OH, OW).

    A window full of -inf is won by its tap 0, which may lie in the padding; every other window has
    a code at least as large as this.
    """
    kh = [max(0, -((oh * line.sh - line.top) // line.dh)) for oh in range(line.oh)]
    kw = [max(0, -((ow * line.sw - line.left) // line.dw)) for ow in range(line.ow)]
    return np.minimum(kh, line.kh - 1)[:, None] * line.kw + np.minimum(kw, line.kw - 1)


def max_pool2d_backward(
    g: np.ndarray,
    code: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
) -> np.ndarray:
    """gx (N, C, H, W): each window's gradient goes to the pixel that won. Deterministic.

    g and code (N, C, OH, OW), code as `max_pool2d` gave it.
    """
    grid = Grid(x_shape, g.shape[2:], kernel_size, stride, pad, dilation)
    g_planes, code_planes = planes_of(g), planes_of(code)
    gx = memory.empty((len(g_planes), *x_shape[2:]), g.dtype)
    bits = np.dtype(f"i{g.itemsize}")  # a mask times bits is exact, should g be inf or NaN

    def run(start: int, stop: int) -> None:
        step = grid.planes_a_block(stop - start, g.itemsize * (4 + grid.sh * grid.sw) + 2)
        grads, codes = grid.empty(step, bits), grid.empty(step, code.dtype)
        total, kept, mask = memory.empty((3, grads.size), bits)
        hit = memory.empty(grads.size, np.bool_)

        def keep(size: int, tap: int, out: np.ndarray) -> None:
            """out = the first `size` gradients, zero where another tap won."""
            np.equal(codes.reshape(-1)[:size], tap, out=hit[:size])
            np.copyto(mask[:size], hit[:size])
            np.multiply(grads.reshape(-1)[:size], mask[:size], out=out)

        for block in blocks(start, stop, step):
            count = block.stop - block.start
            np.copyto(grads[:count, : grid.oh, : grid.ow], g_planes[block].view(bits))
            np.copyto(codes[:count, : grid.oh, : grid.ow], code_planes[block])
            size = count * grid.rows * grid.columns
            for p, q in grid.phases():
                taps = grid.taps(p, q)
                for i, (kh, kw, shift) in enumerate(taps):
                    there = total[shift:size]
                    if i == 0:
                        total[:shift] = 0
                        keep(size - shift, kh * grid.kw + kw, there)
                    else:
                        more = kept[: size - shift]
                        keep(size - shift, kh * grid.kw + kw, more)
                        floats = there.view(g.dtype)
                        np.add(floats, more.view(g.dtype), out=floats)
                grid.write(gx[block], p, q, total.view(g.dtype) if taps else None)

    threads.parallel(run, len(gx), gx.size)
    return gx.reshape(x_shape)


# --------------------------------------------------------------------------------------- average


@in_single
def avg_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """y (N, C, OH, OW) = the sum of each window / the number of its positions.

    Padding counts as positions with `count_include_pad`; `divisor_override` replaces the number.
    """
    out = geometry.output_shape(x.shape, kernel_size, stride, pad, ceil_mode=ceil_mode)
    line = Line(x.shape, out, kernel_size, stride, pad)
    factor = _factor(line, pad, count_include_pad, divisor_override, x.dtype)
    planes = planes_of(x)
    y = memory.empty((len(planes), *out), x.dtype)

    def run(start: int, stop: int) -> None:
        step = line.planes_a_block(stop - start, x.itemsize * (line.sw + 2))
        lay = line.layout(step, x.dtype, 0)
        across, total = memory.empty((2, step * line.rows * line.columns), x.dtype)
        for block in blocks(start, stop, step):
            n = _combine(np.add, line.along_rows(lay(planes[block])), across)
            _combine(np.add, line.down_columns(across[:n]), total)
            np.multiply(line.crop(total, len(y[block])), factor, out=y[block])

    threads.parallel(run, len(planes), planes.size)
    return y.reshape(*x.shape[:2], *out)


@in_single
def avg_pool2d_backward(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """gx (N, C, H, W): every position of a window gets g / divisor. g is (N, C, OH, OW)."""
    out = geometry.output_shape(x_shape, kernel_size, stride, pad, ceil_mode=ceil_mode)
    grid = Grid(x_shape, out, kernel_size, stride, pad)
    factor = _factor(grid, pad, count_include_pad, divisor_override, g.dtype)
    planes = planes_of(g)
    gx = memory.empty((len(planes), *x_shape[2:]), g.dtype)

    def run(start: int, stop: int) -> None:
        step = grid.planes_a_block(stop - start, g.itemsize * (3 + grid.sh * grid.sw))
        shares = grid.empty(step, g.dtype)
        across, total = memory.empty((2, shares.size), g.dtype)
        for block in blocks(start, stop, step):
            count = block.stop - block.start
            np.multiply(planes[block], factor, out=shares[:count, : grid.oh, : grid.ow])
            line = shares[:count].reshape(-1)
            for q in range(grid.sw):
                columns = _sum_of_shifts(line, len(range(q, grid.kw, grid.sw)), 1, across)
                for p in range(grid.sh):
                    rows = len(range(p, grid.kh, grid.sh))
                    phase = _sum_of_shifts(columns, rows, grid.columns, total)
                    grid.write(gx[block], p, q, phase)

    threads.parallel(run, len(planes), planes.size)
    return gx.reshape(x_shape)


def _sum_of_shifts(
    line: np.ndarray | None, count: int, step: int, out: np.ndarray
) -> np.ndarray | None:
    """line + line shifted by step + ... + line shifted by (count - 1) * step; None for nothing."""
    if line is None or count == 0:
        return None
    if count == 1:
        return line
    out = out[: line.size]
    np.copyto(out, line)
    for i in range(1, count):
        shifted = out[i * step :]
        np.add(shifted, line[: shifted.size], out=shifted)
    return out


def _factor(
    windows: Line | Grid,
    pad: Pad,
    count_include_pad: bool,
    divisor_override: int | None,
    dtype: np.dtype,
) -> np.ndarray:
    """1 / divisor of each window, (OH, OW), in the real type of `dtype`."""
    w = windows
    if divisor_override:
        counts = np.full((w.oh, w.ow), divisor_override)
    else:
        rows = geometry.window_counts(w.height, w.kh, w.sh, *pad[:2], w.oh, count_include_pad)
        columns = geometry.window_counts(w.width, w.kw, w.sw, *pad[2:], w.ow, count_include_pad)
        counts = np.outer(rows, columns)
    return (1 / counts).astype(np.finfo(dtype).dtype)


# ------------------------------------------------------------------------------ adaptive average


@in_single
def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    """y (N, C, OH, OW): averages over OH x OW windows that cover the image, whatever its size."""
    (h, w), (oh, ow) = x.shape[2:], output_size
    if h % oh == 0 and w % ow == 0:
        return avg_pool2d(x, *_even_windows(x.shape, output_size))
    y = memory.empty((*x.shape[:2], oh, ow), x.dtype)
    for i, (top, bottom) in enumerate(geometry.adaptive_windows(h, oh)):
        for j, (left, right) in enumerate(geometry.adaptive_windows(w, ow)):
            y[:, :, i, j] = x[:, :, top:bottom, left:right].mean((2, 3))
    return y


@in_single
def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    """gx (N, C, H, W): each window deals its gradient out evenly. g is (N, C, OH, OW)."""
    (h, w), (oh, ow) = x_shape[2:], g.shape[2:]
    if h % oh == 0 and w % ow == 0 and (oh, ow) != (1, 1):
        return avg_pool2d_backward(g, x_shape, *_even_windows(x_shape, (oh, ow)))
    gx = memory.zeros(x_shape, g.dtype)
    for i, (top, bottom) in enumerate(geometry.adaptive_windows(h, oh)):
        for j, (left, right) in enumerate(geometry.adaptive_windows(w, ow)):
            share = g[:, :, i : i + 1, j : j + 1] / ((bottom - top) * (right - left))
            gx[:, :, top:bottom, left:right] += share
    return gx


def _even_windows(shape: tuple[int, ...], output_size: Pair) -> tuple:
    """The options of `avg_pool2d` where the windows lie side by side."""
    kernel = shape[2] // output_size[0], shape[3] // output_size[1]
    return kernel, kernel, (0, 0, 0, 0), False, True, None
