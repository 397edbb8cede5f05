"""Pooling on the CPU: maxima and averages in few long passes over memory.

NumPy pays for every row of a strided operation, and an image's rows are short. So a block of planes
(one channel of one image each) is laid out as a single line of numbers, its rows padded to a
multiple of the stride. Tap kw of every window in the block is then one strided slice of that line,
and tap kh is a shift by whole rows. Windows that run across the end of a row are computed as well
and cut away at the end. Windows are separable: first along the rows, then down the columns.
`reference/pool.py` has the obvious loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cpu import memory, threads
from minigrad.kernels.geometry import Pad, Pair


def _planes(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as contiguous planes (N*C, H, W)."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x).reshape(n * c, h, w)


def _blocks(start: int, stop: int, step: int) -> Iterator[slice]:
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


class _Line:
    """Planes (B, H, W) as one line: `rows` a plane, `columns` window positions a row."""

    def __init__(
        self,
        x_shape: Sequence[int],
        out: Pair,
        kernel_size: Pair,
        stride: Pair,
        pad: Pad,
        dilation: Pair = (1, 1),
    ) -> None:
        self.height, self.width = x_shape[-2:]
        (self.kh, self.kw), (self.sh, self.sw), (self.dh, self.dw) = kernel_size, stride, dilation
        self.oh, self.ow = out
        self.top, self.left = pad[0], pad[2]
        rows = (self.oh - 1) * self.sh + geometry.span(self.kh, self.dh)
        width = (self.ow - 1) * self.sw + geometry.span(self.kw, self.dw)
        self.is_image = (  # the image itself is such a line: nothing to pad
            (self.top, self.left) == (0, 0)
            and self.height >= rows
            and self.width >= width
            and self.width % self.sw == 0
        )
        self.rows = self.height if self.is_image else rows
        self.columns = (self.width if self.is_image else width + self.sw - 1) // self.sw

    def planes_a_block(self, bytes_a_position: int) -> int:
        """As many planes as fit the second-level cache with their scratch arrays."""
        return max(1, threads.L2_BYTES // (self.rows * self.columns * bytes_a_position))

    def layout(self, planes: int, dtype: np.dtype, fill: float) -> Callable[[np.ndarray], Any]:
        """A function that lays up to `planes` planes out as a line of `dtype`."""
        if self.is_image:
            return lambda x: x.reshape(-1).astype(dtype, copy=False)
        padded = memory.empty((planes, self.rows, self.columns * self.sw), dtype)
        padded.fill(fill)
        inside = padded[:, self.top : self.top + self.height, self.left : self.left + self.width]
        _, h, w = inside.shape  # a stride may leave the last rows and columns unseen

        def lay(x: np.ndarray) -> np.ndarray:
            np.copyto(inside[: len(x)], x[:, :h, :w])
            return padded[: len(x)].reshape(-1)

        return lay

    def along_rows(self, line: np.ndarray) -> list[np.ndarray]:
        """Tap kw of every window: strided slices of the line."""
        n = geometry.conv_output_size(line.size, self.kw, self.sw, 0, 0, self.dw)
        return [line[geometry.tap_positions(k, n, self.sw, self.dw)] for k in range(self.kw)]

    def along_rows_apart(self, line: np.ndarray, phases: np.ndarray) -> list[np.ndarray]:
        """As `along_rows`, but contiguous: numbers that are `sw` apart are brought together."""
        if self.sw == 1:
            return self.along_rows(line)
        n = geometry.conv_output_size(line.size, self.kw, self.sw, 0, 0, self.dw)
        places = [divmod(k * self.dw, self.sw) for k in range(self.kw)]  # (shift, phase)
        for phase in {phase for _, phase in places}:
            np.copyto(phases[phase, : line.size // self.sw], line[phase :: self.sw])
        return [phases[phase, shift : shift + n] for shift, phase in places]

    def down_columns(self, across: np.ndarray) -> list[np.ndarray]:
        """Tap kh of every window, where `across` has what became of its rows."""
        step = self.dh * self.columns
        n = across.size - (self.kh - 1) * step
        return [across[k * step : k * step + n] for k in range(self.kh)]

    def crop(self, line: np.ndarray, planes: int) -> np.ndarray:
        """(B, OH, OW): the windows that are windows of the images."""
        grid = line[: planes * self.rows * self.columns].reshape(planes, self.rows, self.columns)
        return grid[:, geometry.tap_positions(0, self.oh, self.sh), : self.ow]


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
    line = _Line(x.shape, out, kernel_size, stride, pad, dilation)
    planes = _planes(x)
    y = memory.empty((len(planes), *out), x.dtype)
    code = memory.empty(y.shape, _code_dtype(kernel_size)) if need_code else None
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    def run(start: int, stop: int) -> None:
        step = line.planes_a_block(x.itemsize * (2 * line.sw + 2) + 4)
        lay = line.layout(step, x.dtype, lowest)
        size = step * line.rows * line.columns
        if code is None:
            across, best = memory.empty((2, size), x.dtype)
            for block in _blocks(start, stop, step):
                n = _combine(np.maximum, line.along_rows(lay(planes[block])), across)
                _combine(np.maximum, line.down_columns(across[:n]), best)
                np.copyto(y[block], line.crop(best, len(y[block])))
            return
        search = _Search(line, size, x.dtype, code.dtype)
        for block in _blocks(start, stop, step):
            search(lay(planes[block]), y[block], code[block])
            if np.isnan(y[block].max()):
                _point_at_nan(planes[block], code[block], line)

    threads.parallel(run, len(planes))
    if code is not None and (line.top or line.left):
        np.maximum(code, _first_inside(line, code.dtype), out=code)
    shape = (*x.shape[:2], *out)
    return y.reshape(shape), None if code is None else code.reshape(shape)


def _code_dtype(kernel_size: Pair) -> np.dtype:
    return np.min_scalar_type(kernel_size[0] * kernel_size[1] - 1)


class _Search:
    """Finds the maxima of a line and their codes; holds the scratch arrays."""

    def __init__(self, line: _Line, size: int, dtype: np.dtype, code_dtype: np.dtype) -> None:
        self.line = line
        self.phases = memory.empty((line.sw if line.sw > 1 else 0, size), dtype)
        self.across, self.best = memory.empty((2, size), dtype)
        self.code_across, self.code, self.moved = memory.empty((3, size), code_dtype)
        self.won = memory.empty(size, np.bool_)

    def __call__(self, x: np.ndarray, y: np.ndarray, code: np.ndarray) -> None:
        taps = self.line.along_rows_apart(x, self.phases)
        n = self._first_maximum(taps, None, 1, self.across, self.code_across)
        rows = self.line.down_columns(self.across[:n])
        codes = self.line.down_columns(self.code_across[:n])
        self._first_maximum(rows, codes, self.line.kw, self.best, self.code)
        np.copyto(y, self.line.crop(self.best, len(y)))
        np.copyto(code, self.line.crop(self.code, len(y)))

    def _first_maximum(
        self, taps: list[np.ndarray], codes: list, step: int, best: np.ndarray, code: np.ndarray
    ) -> int:
        """best = the maximum of taps, code = codes[t] + step*t for the first tap t that has it.

        A tap that wins has a larger code than all before it, so the last winner's code is the
        maximum of won * code: arithmetic on bytes, much cheaper than a masked copy.
        """
        n = taps[0].size
        if len(taps) == 1:
            np.copyto(best[:n], taps[0])
        code, moved, won = code[:n], self.moved[:n], self.won[:n]
        np.copyto(code, 0 if codes is None else codes[0])
        now = taps[0]
        for t in range(1, len(taps)):
            np.greater(taps[t], now, out=won)
            now = np.maximum(taps[t], now, out=best[:n])
            if codes is None:
                np.multiply(won.view(np.uint8), step * t, out=moved)
            else:
                np.add(codes[t], step * t, out=moved)
                np.multiply(moved, won.view(np.uint8), out=moved)
            np.maximum(code, moved, out=code)
        return n


def _point_at_nan(x: np.ndarray, code: np.ndarray, line: _Line) -> None:
    """Let windows with a NaN point at the last one: a comparison with NaN says nothing."""
    for kh, kw in np.ndindex(line.kh, line.kw):
        oh, h = geometry.tap_inside(kh, line.height, line.oh, line.sh, line.top, line.dh)
        ow, w = geometry.tap_inside(kw, line.width, line.ow, line.sw, line.left, line.dw)
        code[:, oh, ow][np.isnan(x[:, h, w])] = kh * line.kw + kw


def _first_inside(line: _Line, dtype: np.dtype) -> np.ndarray:
    """The first tap of each window inside the image, (OH, OW).

    A window full of -inf is won by its tap 0, which may lie in the padding; all others have a
    larger code than this already.
    """
    kh = [max(0, -((oh * line.sh - line.top) // line.dh)) for oh in range(line.oh)]
    kw = [max(0, -((ow * line.sw - line.left) // line.dw)) for ow in range(line.ow)]
    taps = np.minimum(kh, line.kh - 1)[:, None] * line.kw + np.minimum(kw, line.kw - 1)
    return taps.astype(dtype)


def max_pool2d_backward(
    g: np.ndarray,
    code: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
) -> np.ndarray:
    """gx (N, C, H, W): each window's gradient goes to the pixel that won; deterministic.

    g and code (N, C, OH, OW), code as `max_pool2d` gave it.
    """
    grid = _Grid(x_shape, g.shape[2:], kernel_size, stride, pad, dilation)
    g_planes, code_planes = _planes(g), _planes(code)
    gx = memory.empty((len(g_planes), *x_shape[2:]), g.dtype)
    bits = np.dtype(f"i{g.itemsize}")  # times 0 or 1 as integers: exact, be it inf or NaN

    def run(start: int, stop: int) -> None:
        step = grid.planes_a_block(4 * g.itemsize + 2 + g.itemsize * grid.sh * grid.sw)
        lay_g, lay_code = grid.layout(step, g.dtype), grid.layout(step, code.dtype)
        size = step * grid.rows * grid.columns
        total, kept, mask = memory.empty((3, size), bits)
        hit = memory.empty(size, np.bool_)
        for block in _blocks(start, stop, step):
            grads, codes = lay_g(g_planes[block]).view(bits), lay_code(code_planes[block])
            for p, q in grid.phases():
                first = True
                for kh, kw, shift in grid.taps(p, q):
                    n = grads.size - shift
                    np.equal(codes[:n], kh * grid.kw + kw, out=hit[:n])
                    np.copyto(mask[:n], hit[:n])
                    if first:
                        total[:shift] = 0
                        np.multiply(grads[:n], mask[:n], out=total[shift : shift + n])
                    else:
                        np.multiply(grads[:n], mask[:n], out=kept[:n])
                        floats = total[shift : shift + n].view(g.dtype)
                        np.add(floats, kept[:n].view(g.dtype), out=floats)
                    first = False
                grid.write(gx[block], p, q, None if first else total.view(g.dtype))

    threads.parallel(run, len(gx))
    return gx.reshape(x_shape)


class _Grid:
    """The way back. Gradients (B, OH, OW) lie on a line of `rows * columns` positions a plane.

    The pixels h = p, w = q modulo the stride form phase (p, q): an image with a pixel for every
    position of the grid. A tap belongs to one phase, and is a shift of the line in it.
    """

    def __init__(
        self,
        x_shape: Sequence[int],
        out: Sequence[int],
        kernel_size: Pair,
        stride: Pair,
        pad: Pad,
        dilation: Pair = (1, 1),
    ) -> None:
        self.height, self.width = x_shape[-2:]
        (self.kh, self.kw), (self.sh, self.sw), (self.dh, self.dw) = kernel_size, stride, dilation
        self.oh, self.ow = out
        self.top, self.left = pad[0], pad[2]
        rows = (self.oh - 1) * self.sh + geometry.span(self.kh, self.dh)
        width = (self.ow - 1) * self.sw + geometry.span(self.kw, self.dw)
        self.rows = -(-max(rows, self.top + self.height) // self.sh)
        self.columns = -(-max(width, self.left + self.width) // self.sw)

    def planes_a_block(self, bytes_a_position: int) -> int:
        return max(1, threads.L2_BYTES // (self.rows * self.columns * bytes_a_position))

    def layout(self, planes: int, dtype: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
        """A function that lays up to `planes` planes (OH, OW) on the grid, zeros around them."""
        grid = memory.zeros((planes, self.rows, self.columns), dtype)

        def lay(g: np.ndarray) -> np.ndarray:
            np.copyto(grid[: len(g), : self.oh, : self.ow], g)
            return grid[: len(g)].reshape(-1)

        return lay

    def phases(self) -> Iterator[tuple[int, ...]]:
        return np.ndindex(self.sh, self.sw)

    def taps(self, p: int, q: int) -> Iterator[tuple[int, int, int]]:
        """(kh, kw, shift) of the taps that see phase (p, q)."""
        for kh, kw in np.ndindex(self.kh, self.kw):
            (down, phase_h), (right, phase_w) = (
                divmod(kh * self.dh, self.sh),
                divmod(kw * self.dw, self.sw),
            )
            if (phase_h, phase_w) == (p, q):
                yield kh, kw, down * self.columns + right

    def write(self, gx: np.ndarray, p: int, q: int, line: np.ndarray | None) -> None:
        """Put a phase into gx (B, H, W)."""
        oh, h = geometry.tap_inside(p, self.height, self.rows, self.sh, self.top)
        ow, w = geometry.tap_inside(q, self.width, self.columns, self.sw, self.left)
        if line is None:
            gx[:, h, w] = 0
        else:
            size = len(gx) * self.rows * self.columns
            gx[:, h, w] = line[:size].reshape(len(gx), self.rows, self.columns)[:, oh, ow]
