"""Moving elements without changing them: new shapes, orders, copies side by side.

Each backward is the inverse movement of g. Operations marked `is_view` return, where NumPy can, a
view of their input's memory. Next: `rearrange.py`.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels.geometry import ShapeError
from minigrad.ops.convert import to
from minigrad.tensor import Tensor


class Reshape(Function):
    """The same elements, in row-major order, in another shape."""

    is_view = True

    def forward(self, x: Array, *, shape: tuple[int, ...]) -> Array:
        self.shape = x.shape
        return x.reshape(shape)

    def backward(self, g: Array) -> Array:
        return g.reshape(self.shape)


class Permute(Function):
    """Axis i of the output is axis dims[i] of the input."""

    is_view = True

    def forward(self, x: Array, *, dims: tuple[int, ...]) -> Array:
        self.dims = dims
        return x.transpose(dims)

    def backward(self, g: Array) -> Array:
        inverse = sorted(range(len(self.dims)), key=self.dims.__getitem__)
        return g.transpose(inverse)


class Expand(Function):
    """Axes of size 1 repeated, new axes in front; backward sums what was repeated."""

    is_view = True
    broadcasts = True

    def forward(self, x: Array, *, shape: tuple[int, ...]) -> Array:
        return backend.array_module(x).broadcast_to(x, shape)

    def backward(self, g: Array) -> Array:
        return g


class Concatenate(Function):
    """Arrays one after the other along an axis; backward cuts g into the same pieces."""

    def forward(self, *arrays: Array, axis: int) -> Array:
        self.axis = axis
        self.sizes = [x.shape[axis] for x in arrays]
        first = arrays[0]
        shape = list(first.shape)
        shape[axis] = builtins.sum(self.sizes)
        y = kernels.of(first).empty(tuple(shape), first.dtype)
        return backend.array_module(first).concatenate(arrays, axis=axis, out=y)

    def backward(self, g: Array) -> tuple[Array, ...]:
        pieces, start = [], 0
        for size in self.sizes:
            pieces.append(g[(slice(None),) * self.axis + (slice(start, start + size),)])
            start += size
        return tuple(pieces)


class Pad(Function):
    """A border of one value around the last dimensions; negative widths cut instead."""

    def forward(self, x: Array, *, widths: list[tuple[int, int]], value: float) -> Array:
        # What of the input is kept, and where it lies in the output.
        self.shape = x.shape
        self.source, self.target, shape = [], [], []
        for size, (before, after) in zip(x.shape, widths, strict=True):
            kept = slice(builtins.max(-before, 0), size - builtins.max(-after, 0))
            start = builtins.max(before, 0)
            self.source.append(kept)
            self.target.append(slice(start, start + builtins.max(kept.stop - kept.start, 0)))
            shape.append(size + before + after)
        y = kernels.of(x).empty(tuple(shape), x.dtype)
        y[...] = value
        y[tuple(self.target)] = x[tuple(self.source)]
        return y

    def backward(self, g: Array) -> Array:
        gx = kernels.of(g).zeros(self.shape, g.dtype)
        gx[tuple(self.source)] = g[tuple(self.target)]
        return gx


def _axis(name: str, dim: int, ndim: int) -> int:
    """`dim` as a non-negative axis.

    Raises:
        IndexError: out of range.
    """
    reach = builtins.max(ndim, 1)
    if not -reach <= dim < reach:
        raise IndexError(
            f"[{name}] dimension out of range: expected {-reach} to {reach - 1}, got {dim}"
        )
    return dim % reach


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in `shape`, of which one size may be -1.

    Raises:
        RuntimeError: the numbers of elements differ.
    """
    sizes = tuple(int(size) for size in shape)
    unknown = sizes.count(-1)
    known = math.prod(size for size in sizes if size != -1)
    fits = known > 0 and input.numel() % known == 0 if unknown else known == input.numel()
    if unknown > 1 or not fits or builtins.any(size < -1 for size in sizes):
        raise RuntimeError(
            f"[reshape] shape {list(sizes)} is invalid for input of shape {tuple(input.shape)} "
            f"with {input.numel()} elements"
        )
    return Reshape.apply(input, shape=sizes)


def view(input: Tensor, shape: Any) -> Tensor:
    """`reshape`; unlike PyTorch's, it copies where the memory is not contiguous."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"[view] expected sizes, got {shape!r}")
    return reshape(input, shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim, both included, made one."""
    if not input.ndim:
        return reshape(input, (1,))
    start = _axis("flatten", start_dim, input.ndim)
    end = _axis("flatten", end_dim, input.ndim)
    if start > end:
        raise RuntimeError(f"[flatten] start_dim ({start_dim}) comes after end_dim ({end_dim})")
    merged = math.prod(input.shape[start : end + 1])
    return reshape(input, (*input.shape[:start], merged, *input.shape[end + 1 :]))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` split into `sizes`, of which one may be -1."""
    axis = _axis("unflatten", dim, input.ndim)
    sizes = list(sizes)
    if -1 in sizes:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = input.shape[axis] // known if known else 0
    return reshape(input, (*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Dimension i of the result is dimension dims[i] of the input."""
    order = tuple(_axis("permute", int(dim), input.ndim) for dim in dims)
    if sorted(order) != list(range(input.ndim)):
        raise RuntimeError(
            f"[permute] dims {tuple(dims)} must name each of the {input.ndim} dimensions once"
        )
    return Permute.apply(input, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped."""
    order = list(range(builtins.max(input.ndim, 1)))
    a, b = _axis("transpose", dim0, input.ndim), _axis("transpose", dim1, input.ndim)
    order[a], order[b] = order[b], order[a]
    return permute(input, order[: input.ndim])


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix (of at most two dimensions)."""
    if input.ndim > 2:
        raise RuntimeError(f"[t] expects at most 2 dimensions, got {input.ndim}: use transpose")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the dimensions of size 1: all of them, or those among `dim`."""
    if dim is None:
        dropped = set(range(input.ndim))
    else:
        dims = dim if isinstance(dim, (tuple, list)) else (dim,)
        dropped = {_axis("squeeze", d, input.ndim) for d in dims}
    return reshape(input, [n for i, n in enumerate(input.shape) if n != 1 or i not in dropped])


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 put in before `dim`."""
    axis = _axis("unsqueeze", dim, input.ndim + 1)
    return reshape(input, (*input.shape[:axis], 1, *input.shape[axis:]))


def expand(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Dimensions of size 1 repeated to `shape`, -1 for unchanged; a view, nothing is copied.

    Raises:
        RuntimeError: a dimension that is not of size 1 would change.
    """
    extra = len(shape) - input.ndim
    sizes = [
        input.shape[i - extra] if size == -1 and i >= extra else size
        for i, size in enumerate(shape)
    ]
    if extra < 0 or builtins.min(sizes, default=0) < 0 or builtins.any(
        old not in (1, new) for old, new in zip(input.shape, sizes[extra:], strict=True)
    ):
        raise RuntimeError(
            f"[expand] shape {tuple(input.shape)} cannot be expanded to {tuple(shape)}: only "
            "dimensions of size 1 can grow, and new ones come in front"
        )
    return Expand.apply(input, shape=tuple(sizes))


def repeat(input: Tensor, repeats: Sequence[int]) -> Tensor:
    """Copies side by side, repeats[i] of them along dimension i; new dimensions come in front.

    Raises:
        RuntimeError: there are fewer numbers than dimensions, or one is negative.
    """
    extra = len(repeats) - input.ndim
    if extra < 0 or builtins.min(repeats, default=0) < 0:
        raise RuntimeError(
            f"[repeat] expected at least {input.ndim} numbers, none of them negative, for shape "
            f"{tuple(input.shape)}, got {tuple(repeats)}"
        )
    sizes = (1,) * extra + tuple(input.shape)
    copies = expand(
        reshape(input, [n for size in sizes for n in (1, size)]),
        [n for pair in zip(repeats, sizes, strict=True) for n in pair],
    )
    return reshape(copies, [r * size for r, size in zip(repeats, sizes, strict=True)])


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along `dim`; their other sizes must agree.

    Raises:
        ShapeError: there is nothing to join.
        RuntimeError: the sizes differ; names the tensor.
        TypeError: one is no tensor.
    """
    if not tensors:
        raise ShapeError("[cat] expected a non-empty list of tensors")
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"[cat] expected tensors, got {x!r}")
    # PyTorch lets an empty 1-D tensor pass, so that one can start from torch.tensor([]).
    first = next((x for x in tensors if x.shape != (0,)), tensors[0])
    if not first.ndim:
        raise RuntimeError("[cat] tensor 0 is 0-d and has no dimension to join along: use stack")
    axis, expected = _axis("cat", dim, first.ndim), tuple(first.shape)
    nothing = (*expected[:axis], 0, *expected[axis + 1 :])
    shaped = [reshape(x, nothing) if x.shape == (0,) else x for x in tensors]
    for i, x in enumerate(shaped):
        if x.ndim != len(expected) or builtins.any(
            a != b for j, (a, b) in enumerate(zip(x.shape, expected, strict=True)) if j != axis
        ):
            raise RuntimeError(
                f"[cat] tensor {i} has shape {tuple(x.shape)}, but tensor 0 has {expected}: sizes "
                f"must match except in dimension {axis}"
            )
    dtype = dtypes.result_type(*(x.array for x in tensors))
    return Concatenate.apply(*(to(x, dtype) for x in shaped), axis=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension."""
    shapes = [tuple(x.shape) for x in tensors]
    if len(set(shapes)) != 1:
        raise RuntimeError(
            f"[stack] expects a non-empty list of tensors of equal size, got {shapes}"
        )
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `split_size` along `dim` each (the last may be smaller), or of the sizes listed."""
    axis = _axis("split", dim, input.ndim)
    total = input.shape[axis]
    if isinstance(split_size, int):
        if split_size < 1:
            raise RuntimeError(f"[split] split_size must be positive, got {split_size}")
        sizes = [builtins.min(split_size, total - i) for i in range(0, total, split_size)] or [0]
    else:
        sizes = list(split_size)
        if builtins.sum(sizes) != total or builtins.min(sizes, default=0) < 0:
            raise RuntimeError(
                f"[split] sizes {sizes} must sum to {total}, dimension {dim}'s size, and none be "
                "negative"
            )
    starts = [builtins.sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        input[(slice(None),) * axis + (slice(start, start + size),)]
        for start, size in zip(starts, sizes, strict=True)
    )


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along `dim`, the last perhaps smaller."""
    if chunks < 1:
        raise RuntimeError(f"[chunk] chunks must be positive, got {chunks}")
    size = input.shape[_axis("chunk", dim, input.ndim)]
    return split(input, builtins.max(-(-size // chunks), 1), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without it."""
    axis = _axis("unbind", dim, input.ndim)
    return tuple(input[(slice(None),) * axis + (i,)] for i in range(input.shape[axis]))


def pad(input: Tensor, pad: Sequence[int], value: float = 0.0) -> Tensor:
    """A border of one value around the last dimensions.

    Args:
        pad: (before, after) of the last dimension, then of the one before it, and so on:
            (left, right, top, bottom) for images. Negative widths cut.
        value: what the border is filled with.

    Raises:
        RuntimeError: widths that do not pair up, exceed the dimensions, or leave a negative size.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"[pad] expected pairs of widths for at most {input.ndim} dimensions, got {list(pad)}"
        )
    widths = [(0, 0)] * input.ndim
    for i in range(len(pad) // 2):
        widths[-1 - i] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    kept = (
        n + builtins.min(a, 0) + builtins.min(b, 0)
        for n, (a, b) in zip(input.shape, widths, strict=True)
    )
    if builtins.min(kept, default=0) < 0:
        raise RuntimeError(f"[pad] {list(pad)} leaves a negative size of {tuple(input.shape)}")
    return Pad.apply(input, widths=widths, value=value)
