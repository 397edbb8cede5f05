"""Windows as shifts of one long line of numbers: what makes pooling fast in NumPy.

NumPy pays for every row of a strided operation, and an image's rows are short. So a block of planes
(one channel of one image each) is laid end to end as a single line. Going forward, `Line` pads the
rows to a multiple of the stride: tap kw of every window in the block is then one strided slice of
the line, and tap kh a shift by whole rows. Going back, `Grid` has a position for each window, and
each tap is a shift of it. Windows that run across the end of a row are computed as well and cut
away at the end. `pool.py` uses both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cpu import memory, threads
from minigrad.kernels.geometry import Pad, Pair


def planes_of(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as contiguous planes (N*C, H, W)."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x).reshape(n * c, h, w)


def blocks(start: int, stop: int, step: int) -> Iterator[slice]:
    """The planes start..stop-1 in blocks of `step`."""
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


class Windows:
    """The windows of one pool, and the size of what they see, padding included."""

    rows: int  # of a plane in the line or the grid
    columns: int  # window positions in such a row

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
        self.oh, self.ow = out
        (self.kh, self.kw), (self.sh, self.sw), (self.dh, self.dw) = kernel_size, stride, dilation
        self.top, self.left = pad[0], pad[2]
        self.seen_height = (self.oh - 1) * self.sh + geometry.span(self.kh, self.dh)
        self.seen_width = (self.ow - 1) * self.sw + geometry.span(self.kw, self.dw)

    def planes_a_block(self, planes: int, bytes_a_position: int) -> int:
        """As many of `planes` as fit the second-level cache, with all their scratch arrays."""
        fit = threads.L2_BYTES // (self.rows * self.columns * bytes_a_position)
        return max(1, min(planes, fit))

    def inside(self, kh: int, kw: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """((oh, ow), (h, w)): the windows whose tap (kh, kw) is inside the image, and where."""
        oh, h = geometry.tap_inside(kh, self.height, self.oh, self.sh, self.top, self.dh)
        ow, w = geometry.tap_inside(kw, self.width, self.ow, self.sw, self.left, self.dw)
        return (oh, ow), (h, w)


class Line(Windows):
    """Forward: planes (B, H, W) as a line, `rows` rows of `columns * SW` numbers a plane."""

    def __init__(
        self,
        x_shape: Sequence[int],
        out: Sequence[int],
        kernel_size: Pair,
        stride: Pair,
        pad: Pad,
        dilation: Pair = (1, 1),
    ) -> None:
        super().__init__(x_shape, out, kernel_size, stride, pad, dilation)
        self.is_image = (  # the image itself is such a line: nothing to pad
            self.top == 0
            and self.left == 0
            and self.height >= self.seen_height
            and self.width >= self.seen_width
            and self.width % self.sw == 0
        )
        self.rows = self.height if self.is_image else self.seen_height
        self.columns = -(-(self.width if self.is_image else self.seen_width) // self.sw)

    def layout(
        self, planes: int, dtype: np.dtype, fill: float
    ) -> Callable[[np.ndarray], np.ndarray]:
        """A function that lays up to `planes` planes out as a line of `dtype`."""
        if self.is_image:
            return lambda x: x.reshape(-1).astype(dtype, copy=False)
        padded = memory.empty((planes, self.rows, self.columns * self.sw), dtype)
        padded.fill(fill)
        image = padded[:, self.top : self.top + self.height, self.left : self.left + self.width]
        _, h, w = image.shape  # a stride may leave the last rows and columns unseen

        def lay(x: np.ndarray) -> np.ndarray:
            np.copyto(image[: len(x)], x[:, :h, :w])
            return padded[: len(x)].reshape(-1)

        return lay

    def along_rows(self, line: np.ndarray) -> list[np.ndarray]:
        """Tap kw of every window: strided slices of the line."""
        n = geometry.conv_output_size(line.size, self.kw, self.sw, 0, 0, self.dw)
        return [line[geometry.tap_positions(k, n, self.sw, self.dw)] for k in range(self.kw)]

    def along_rows_apart(self, line: np.ndarray, phases: np.ndarray) -> list[np.ndarray]:
        """As `along_rows`, but contiguous: numbers that are SW apart are brought together.

        `phases` is (SW, length of the line / SW) of scratch. It pays where a tap is read twice.
        """
        if self.sw == 1:
            return self.along_rows(line)
        n = geometry.conv_output_size(line.size, self.kw, self.sw, 0, 0, self.dw)
        places = [divmod(k * self.dw, self.sw) for k in range(self.kw)]  # (shift, phase)
        for phase in {phase for _, phase in places}:
            np.copyto(phases[phase, : line.size // self.sw], line[phase :: self.sw])
        return [phases[phase, shift : shift + n] for shift, phase in places]

    def down_columns(self, across: np.ndarray) -> list[np.ndarray]:
        """Tap kh of every window; `across` has what became of the windows' rows."""
        step = self.dh * self.columns
        n = across.size - (self.kh - 1) * step
        return [across[k * step : k * step + n] for k in range(self.kh)]

    def crop(self, line: np.ndarray, planes: int) -> np.ndarray:
        """(B, OH, OW): the positions at which windows of the images start."""
        grid = line[: planes * self.rows * self.columns].reshape(planes, self.rows, self.columns)
        return grid[:, geometry.tap_positions(0, self.oh, self.sh), : self.ow]


class Grid(Windows):
    """Back: one position for each window (B, OH, OW), and room for its taps to be shifted.

    The pixels whose coordinates are p and q modulo the stride make up phase (p, q), an image as
    large as the grid. Tap (kh, kw) belongs to one phase and is a shift of the whole line in it.
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
        super().__init__(x_shape, out, kernel_size, stride, pad, dilation)
        self.rows = -(-max(self.seen_height, self.top + self.height) // self.sh)
        self.columns = -(-max(self.seen_width, self.left + self.width) // self.sw)

    def empty(self, planes: int, dtype: np.dtype) -> np.ndarray:
        """Zeros (B, rows, columns); whatever fills `[:, :OH, :OW]`, the rest must stay zero."""
        return memory.zeros((planes, self.rows, self.columns), dtype)

    def phases(self) -> Iterator[tuple[int, ...]]:
        return np.ndindex(self.sh, self.sw)

    def taps(self, p: int, q: int) -> list[tuple[int, int, int]]:
        """(kh, kw, shift) of the taps in phase (p, q), in the order of the window."""
        return [
            (kh, kw, kh * self.dh // self.sh * self.columns + kw * self.dw // self.sw)
            for kh, kw in np.ndindex(self.kh, self.kw)
            if (kh * self.dh % self.sh, kw * self.dw % self.sw) == (p, q)
        ]

    def write(self, gx: np.ndarray, p: int, q: int, line: np.ndarray | None) -> None:
        """Put a phase, or zeros, into gx (B, H, W)."""
        rows, h = geometry.tap_inside(p, self.height, self.rows, self.sh, self.top)
        columns, w = geometry.tap_inside(q, self.width, self.columns, self.sw, self.left)
        if line is None:
            gx[:, h, w] = 0
        else:
            grid = line[: len(gx) * self.rows * self.columns]
            gx[:, h, w] = grid.reshape(len(gx), self.rows, self.columns)[:, rows, columns]
