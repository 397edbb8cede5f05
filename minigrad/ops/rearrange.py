"""Dimensions and elements in another order, or only some of them; tensors made to span a grid.

Most of these are a slice or a permutation; what takes thought is which one. Next: `index.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import backend
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import clone
from minigrad.ops.reduce import _axes
from minigrad.ops.select import masked_fill
from minigrad.ops.shape import _axis, expand, permute, reshape, transpose
from minigrad.tensor import Tensor


class Roll(Function):
    """Elements moved along axes, what leaves at one end entering at the other; g moves back."""

    def forward(self, x: Array, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Array:
        self.shifts, self.axes = shifts, axes
        return backend.array_module(x).roll(x, shifts, axes)

    def backward(self, g: Array) -> Array:
        return backend.array_module(g).roll(g, tuple(-n for n in self.shifts), self.axes)


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """The dimensions `source` (an int or several) moved to `destination`, the others in order."""
    old, new = (_axes("movedim", input.ndim, dims) for dims in (source, destination))
    if len(old) != len(new):
        raise RuntimeError(f"[movedim] {len(old)} dimensions cannot move to {len(new)} places")
    order = [i for i in range(input.ndim) if i not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return permute(input, order)


def flip(input: Tensor, dims: Any) -> Tensor:
    """A copy with the order of elements along `dims` reversed."""
    axes = _axes("flip", input.ndim, dims) if _tuple(dims) else ()
    turned = (slice(None, None, -1 if i in axes else 1) for i in range(input.ndim))
    return clone(input[(*turned, ...)])


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved by `shifts` along `dims`, round the end; along all as one line without dims.

    Raises:
        RuntimeError: there are not as many shifts as dims.
    """
    shifts, given = _tuple(shifts), () if dims is None else _tuple(dims)
    if not given and len(shifts) == 1:
        return reshape(roll(reshape(input, (-1,)), shifts, 0), input.shape)
    if not shifts or len(shifts) != len(given):
        raise RuntimeError(f"[roll] shifts {shifts} and dims {given} must be of one length")
    axes = tuple(_axis("roll", dim, input.ndim) for dim in given)
    if not input.ndim:
        raise IndexError("[roll] a 0-d tensor has no dimension")
    return Roll.apply(input, shifts=shifts, axes=axes)


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` slices along `dim`, from `start` (an int, or a 0-d tensor of one) on.

    Raises:
        RuntimeError: there are not as many, or the tensor is 0-d.
        IndexError: start lies outside.
    """
    if not input.ndim:
        raise RuntimeError("[narrow] a 0-d tensor has no dimension")
    if isinstance(start, Tensor) and (start.ndim or start.dtype.kind not in "iu"):
        raise RuntimeError(f"[narrow] start must be an integer, got {start}")
    axis, start = _axis("narrow", dim, input.ndim), int(start)
    size = input.shape[axis]
    if length < 0 or not -size <= start <= size:
        kind = RuntimeError if length < 0 else IndexError
        raise kind(f"[narrow] start {start}, length {length} lie outside a dimension of {size}")
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"[narrow] start {start} + length {length} exceeds the size {size}")
    return input[(slice(None),) * axis + (slice(start, start + length),)]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at `index` along `dim`, without that dimension; a view."""
    if not input.ndim:
        raise IndexError("[select] a 0-d tensor has no dimension")
    return input[(slice(None),) * _axis("select", dim, input.ndim) + (int(index),)]


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Another name of `expand`."""
    return expand(input, size)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors spread over a grid, one dimension each; "xy" swaps the first two dimensions."""
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"[meshgrid] indexing must be 'ij' or 'xy', got {indexing!r}")
    listed = len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
    vectors = tuple(tensors[0]) if listed else tensors
    if not vectors or any(x.ndim > 1 or x.dtype != vectors[0].dtype for x in vectors):
        raise RuntimeError("[meshgrid] expected scalars or vectors of one dtype")
    shape = [x.numel() for x in vectors]
    grid = [
        expand(reshape(x, [-1 if i == j else 1 for j in range(len(shape))]), shape)
        for i, x in enumerate(vectors)
    ]
    swap = indexing == "xy" and len(grid) > 1
    return tuple(transpose(x, 0, 1) if swap else x for x in grid)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros above a diagonal: the main one, or `diagonal` places above it."""
    return masked_fill(input, _triangle("tril", input, diagonal + 1), 0)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros below a diagonal: the main one, or `diagonal` places above it."""
    return masked_fill(input, _triangle("triu", input, diagonal).logical_not(), 0)


def _triangle(name: str, x: Tensor, diagonal: int) -> Tensor:
    """True on and above a diagonal, in the shape of x's matrices."""
    if x.ndim < 2:
        raise RuntimeError(f"[{name}] expected at least 2 dimensions, got {x.ndim}")
    xp = backend.array_module(x.array)
    rows, columns = xp.arange(x.shape[-2])[:, None], xp.arange(x.shape[-1])
    return Tensor(columns - rows >= diagonal)
