"""Local response normalisation on the CPU: the channels of a pixel hold each other down.

Both directions are a handful of cheap passes over the same numbers, so everything is done block by
block of pixels that stays in the second-level cache. The sum over neighbouring channels is one pass
too: a band of ones times the block, 8 channels at a time. `reference/norm.py` has the obvious
loops.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import blocks, by_channel, empty_maps, fitting

CHANNELS = 8  # whose sums are one product: with more it is of more zeros, with fewer too small


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
        work = _Work(lines, size, alpha, beta, k, 6)
        for pixels in work.blocks(start, stop):
            _, power = work.denominator(lines[:, pixels])
            np.divide(lines[:, pixels], power, out=y_lines[:, pixels])

    parallel(run, lines.shape[1], 4 * x.size, blas=True)
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
        work = _Work(x_lines, size, alpha, beta, k, 7)
        for pixels in work.blocks(start, stop):
            x_block = x_lines[:, pixels]
            s, power = work.denominator(x_block)
            own = np.divide(g_lines[:, pixels], power, out=power)
            through = work.padded((size - 1) // 2)
            np.multiply(own, x_block, out=through)
            np.divide(through, s, out=through)
            others = work.window_sum(-2 * alpha * beta / size)
            np.multiply(others, x_block, out=others)
            np.add(own, others, out=gx_lines[:, pixels])

    parallel(run, x_lines.shape[1], 7 * x.size, blas=True)
    return gx


class _Work:
    """One core's scratch arrays, and the steps that forward and backward share."""

    def __init__(
        self, lines: np.ndarray, size: int, alpha: float, beta: float, k: float, arrays: int
    ) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.channels = len(lines)
        self.rows = -(-self.channels // CHANNELS) * CHANNELS
        most = fitting(lines.shape[1], arrays * self.rows * lines.itemsize)
        self.most_pixels = -(-most // 16) * 16  # rows begin with a cache line: others are slower
        count = (self.rows + size - 1) * self.most_pixels
        self.buffers = memory.empty((3, count), lines.dtype)
        distance = np.arange(CHANNELS + size - 1) - np.arange(CHANNELS)[:, None]
        self.band = ((distance >= 0) & (distance < size)).astype(lines.dtype)

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        """The pixels start..stop-1, so many at a time that all their arrays stay in cache."""
        pixels = 0
        for block in blocks(start, stop, self.most_pixels):
            if pixels != block.stop - block.start:
                pixels = block.stop - block.start
                self._shape(pixels)
            yield block

    def _shape(self, pixels: int) -> None:
        """The scratch arrays for so many pixels; of the padded rows, those of every 8 sums too."""
        heights = self.rows + self.size - 1, self.rows, self.channels
        self.rows_around, self.sums, self.power = (
            buffer[: height * pixels].reshape(height, pixels)
            for buffer, height in zip(self.buffers, heights, strict=True)
        )
        self.root = self.rows_around[: self.channels]
        self.sums_by_8 = self.sums.reshape(-1, CHANNELS, pixels)
        down, along = self.sums.strides
        self.windows = np.lib.stride_tricks.as_strided(
            self.rows_around, (len(self.sums_by_8), self.band.shape[1], pixels),
            (CHANNELS * down, down, along),
        )

    def padded(self, before: int) -> np.ndarray:
        """Room for (C, P), with `before` rows of zeros above and size-1 or more in all."""
        end = before + self.channels
        self.rows_around[:before] = 0
        self.rows_around[end:] = 0
        return self.rows_around[before:end]

    def window_sum(self, factor: float) -> np.ndarray:
        """sum[c] = factor * the sum of the padded rows c ... c+size-1, (C, P)."""
        np.matmul(self.band * factor, self.windows, out=self.sums_by_8)
        if not np.isfinite(self.sums[::CHANNELS].sum()):  # 0 * inf in sums without an inf, perhaps
            each = (self.rows_around[i : i + self.rows] for i in range(self.size))
            np.multiply(sum(each), factor, out=self.sums)
        return self.sums[: self.channels]

    def denominator(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(s, s**beta) of a block x (C, P)."""
        np.multiply(x, x, out=self.padded(self.size // 2))
        s, power = self.window_sum(self.alpha / self.size), self.power
        np.add(s, self.k, out=s)
        if self.beta == 0.75:  # two square roots are four times faster than a power
            np.sqrt(s, out=power)
            np.multiply(power, np.sqrt(power, out=self.root), out=power)
        elif self.beta == 0.5:
            np.sqrt(s, out=power)
        elif self.beta == 1:
            np.copyto(power, s)
        else:
            np.power(s, self.beta, out=power)
        return s, power
