"""Borders around an image: of one value, a mirror image, the edge repeated, or the other side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import ops
from minigrad.kernels.geometry import ShapeError
from minigrad.tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """A border around the last dimensions.

    Args:
        pad: (before, after) of the last dimension, then of the one before it, and so on:
            (left, right, top, bottom) for images. Negative widths cut.
        mode: "constant", "reflect" (the edge itself is not repeated), "replicate" (nothing else
            is) or "circular". The last three pad all dimensions but the first one or two.
        value: what a constant border is filled with, 0 by default.

    Raises:
        NotImplementedError: an unknown mode, or one that does not pad so many dimensions.
        RuntimeError: widths that do not pair up, or that the input is too small for.

    Source: PyTorch, `torch.nn.functional.pad`.
    """
    if mode == "constant":
        return ops.pad(input, pad, value or 0.0)
    if value:
        raise ValueError(f"[pad] mode {mode!r} fills the border from the input and takes no value")
    if mode not in MODES or len(pad) % 2 or input.ndim - len(pad) // 2 not in (1, 2):
        raise NotImplementedError(
            f"[pad] mode {mode!r} with widths {list(pad)} for an input {tuple(input.shape)}: there "
            f"are {', '.join(MODES)}; all but the first pad all dimensions but one or two"
        )
    if not all(input.shape[1:]):
        raise ShapeError(f"[pad] mode {mode!r} has nothing to fill from: {tuple(input.shape)}")
    for i in range(len(pad) // 2):
        input = _along(input, input.ndim - 1 - i, int(pad[2 * i]), int(pad[2 * i + 1]), mode)
    return input


def _along(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """Pad one dimension: what comes before, what is kept, what comes after."""
    n = x.shape[axis]
    reach = {"reflect": n - 1, "circular": n}.get(mode, max(before, after))
    if max(before, after) > reach:
        raise ShapeError(
            f"[pad] mode {mode!r} can pad a dimension of size {n} by at most {reach}, got "
            f"{(before, after)}"
        )
    if n + before + after < 1:
        raise ShapeError(f"[pad] widths {(before, after)} leave nothing of a dimension of size {n}")
    kept = slice(max(-before, 0), n - max(-after, 0))
    borders: list[Any] = [
        [_source(p, n, kept, mode) for p in positions]
        for positions in (range(-before, 0), range(n, n + after))
    ]
    every = (slice(None),) * axis
    pieces = [x[(*every, part)] for part in (borders[0], kept, borders[1]) if part]
    return ops.cat(pieces, axis) if len(pieces) > 1 else pieces[0]


def _source(p: int, n: int, kept: slice, mode: str) -> int:
    """The position in 0..n-1 that stands at position p beyond it; a circle is of what is kept."""
    if mode == "circular":
        return kept.start + (p - kept.start) % (kept.stop - kept.start)
    return min(max(p, 0), n - 1) if mode == "replicate" else n - 1 - abs(n - 1 - abs(p))
