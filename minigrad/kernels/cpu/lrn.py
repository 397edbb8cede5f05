"""Local response normalisation on the CPU: the channels of a pixel hold each other down.

Both directions are a handful of cheap passes over the same numbers, so everything is done block by
block of pixels that stays in the second-level cache. The sum over neighbouring channels is a sum of
shifted copies; sums of 2, 4, 8 ... channels are made by doubling. `reference/norm.py` has the
obvious loops.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import blocks, by_channel, empty_maps, fitting


def local_response_norm(
    x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """y = x / s**beta, s[c] = k + alpha/size * sum of x[i]**2 over the channels i around c.

    x and y (N, C, ...). The window reaches from c - size//2 to c + (size-1)//2: PyTorch's choice
    for an even size, and so is the division of alpha by size, which the 2012 paper does not do.
    """
    y, lines = empty_maps(x.shape, x.dtype), by_channel(x)  # (C, P)
    y_lines = by_channel(y)

    def run(start: int, stop: int) -> None:
        work = _Work(lines, size, alpha, beta, k)
        for pixels in work.blocks(start, stop):
            _, power = work.denominator(lines[:, pixels])
            np.divide(lines[:, pixels], power, out=y_lines[:, pixels])

    parallel(run, lines.shape[1], 5 * x.size)
    return y


def local_response_norm_backward(
    g: np.ndarray, x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """gx: x[i] is the numerator of y[i], and in the denominator of every y[c] around it.

    gx[i] = g[i] * s[i]**-beta
            - 2*alpha*beta/size * x[i] * sum of g[c] * x[c] * s[c]**(-beta-1) over the c near i

    g, x and gx (N, C, ...). Those c have i in their window: for an even size the mirror image of
    the forward window. s is computed again, which costs less than reading it back.
    """
    gx, g_lines, x_lines = empty_maps(x.shape, x.dtype), by_channel(g), by_channel(x)  # (C, P)
    gx_lines = by_channel(gx)

    def run(start: int, stop: int) -> None:
        work = _Work(x_lines, size, alpha, beta, k)
        for pixels in work.blocks(start, stop):
            x_block = x_lines[:, pixels]
            s, power = work.denominator(x_block)
            own = np.divide(g_lines[:, pixels], power, out=power)
            through = work.padded((size - 1) // 2)
            np.multiply(own, x_block, out=through)
            np.divide(through, s, out=through)
            np.multiply(work.window_sum(), x_block, out=s)
            np.multiply(s, 2 * alpha * beta / size, out=s)
            np.subtract(own, s, out=gx_lines[:, pixels])

    parallel(run, x_lines.shape[1], 9 * x.size)
    return gx


class _Work:
    """One core's scratch arrays, and the steps that forward and backward share."""

    def __init__(self, lines: np.ndarray, size: int, alpha: float, beta: float, k: float) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.channels = len(lines)
        rows = self.channels + size - 1
        self.most_pixels = fitting(lines.shape[1], 7 * rows * lines.itemsize)
        self.buffers = memory.empty((5, rows * self.most_pixels), lines.dtype)

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        """The pixels start..stop-1, so many at a time that all their arrays stay in cache."""
        for pixels in blocks(start, stop, self.most_pixels):
            self.pixels = pixels.stop - pixels.start
            yield pixels

    def _buffer(self, index: int, rows: int) -> np.ndarray:
        return self.buffers[index, : rows * self.pixels].reshape(rows, self.pixels)

    def padded(self, before: int) -> np.ndarray:
        """Room for (C, P), with `before` rows of zeros above and size-1-before below it."""
        rows = self._buffer(0, self.channels + self.size - 1)
        rows[:before] = 0
        rows[before + self.channels :] = 0
        return rows[before : before + self.channels]

    def window_sum(self) -> np.ndarray:
        """sum[c] = the padded rows c ... c+size-1, (C, P): 5 rows are 4 rows and 1 row."""
        sums, width = self._buffer(0, self.channels + self.size - 1), 1  # each of `width` rows
        total, done = sums[:0], 0  # of the first `done` rows of each window
        for bit in range(self.size.bit_length()):
            if bit:
                longer = self._buffer(2 + bit % 2, len(sums) - width)
                np.add(sums[:-width], sums[width:], out=longer)
                sums, width = longer, 2 * width
            if self.size & width:
                part = sums[done : done + self.channels]
                total = np.add(total, part, out=self._buffer(1, len(part))) if done else part
                done += width
        return total

    def denominator(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(s, s**beta) of a block x (C, P)."""
        np.multiply(x, x, out=self.padded(self.size // 2))
        s, power = self._buffer(1, self.channels), self._buffer(4, self.channels)
        np.multiply(self.window_sum(), self.alpha / self.size, out=s)
        np.add(s, self.k, out=s)
        if self.beta == 0.75:  # two square roots are four times faster than a power
            np.sqrt(s, out=power)
            root = np.sqrt(power, out=self._buffer(2, self.channels))
            np.multiply(power, root, out=power)
        elif self.beta == 0.5:
            np.sqrt(s, out=power)
        elif self.beta == 1:
            np.copyto(power, s)
        else:
            np.power(s, self.beta, out=power)
        return s, power
