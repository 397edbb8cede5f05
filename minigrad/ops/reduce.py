"""Reductions: many elements become one, over all dimensions or some.

Forward sums or selects; backward hands the one gradient back to the elements it came from, so
each `backward` here is a broadcast. `_restore` puts back the dimensions that a reduction dropped.
Next: `scan.py`, then `shape.py`.
"""

from __future__ import annotations

import builtins
from collections import namedtuple
from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.select import maximum, minimum
from minigrad.tensor import Tensor

Axes = tuple[int, ...]


class Named(namedtuple("Named", ["values", "indices"])):  # noqa: PYI024
    """What max(dim) and its like return; each has a type of its own, to print as PyTorch's does."""

    __slots__ = ()

    def __repr__(self) -> str:
        parts = f"values={self.values!r},\nindices={self.indices!r}"
        return f"return_types.{type(self).__name__}(\n{parts})"


NAMED = {name: type(name, (Named,), {"__slots__": ()}) for name in ("max", "min", "sort", "topk")}



def _axes(name: str, ndim: int, dim: Any) -> Axes:
    """`dim` as non-negative axes; None and () mean all.

    Raises:
        IndexError: out of range.
        RuntimeError: named twice.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    dims = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    reach = builtins.max(ndim, 1)  # a 0-d tensor may be reduced over dim 0 or -1
    for d in dims:
        if not -reach <= d < reach:
            raise IndexError(
                f"[{name}] dimension out of range: expected {-reach} to {reach - 1}, got {d}"
            )
    axes = tuple(d % reach for d in dims)
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"[{name}] a dimension appears twice in dim={dim}")
    return axes if ndim else ()


def _restore(reduced: Array, shape: tuple[int, ...], axes: Axes) -> Array:
    """A view of `reduced` with size 1 where `axes` were, so that it broadcasts against `shape`."""
    return reduced.reshape([1 if i in axes else size for i, size in enumerate(shape)])


def _spread(g: Array, shape: tuple[int, ...], axes: Axes) -> Array:
    """g, repeated along `axes` to `shape` (a read-only view)."""
    return backend.array_module(g).broadcast_to(_restore(g, shape, axes), shape)


def _mean(x: Array, axes: Axes, keepdim: bool) -> Array:
    """The sum over `axes` divided by their size; NaN of nothing. Wider than a float16 x."""
    n = _count(x.shape, axes)
    total = x.sum(axis=axes, keepdims=keepdim, dtype=dtypes.accumulator(x.dtype))
    return total / n if n else total * float("nan")


class Sum(Function):
    """y = sum_i x_i;  dL/dx_i = g."""

    def forward(self, x: Array, *, axes: Axes, keepdim: bool) -> Array:
        self.shape, self.axes = x.shape, axes
        y = x.sum(axis=axes, keepdims=keepdim, dtype=dtypes.accumulator(x.dtype))
        return y.astype(x.dtype, copy=False)

    def backward(self, g: Array) -> Array:
        return _spread(g, self.shape, self.axes)


class Mean(Function):
    """y = 1/n sum_i x_i;  dL/dx_i = g / n."""

    def forward(self, x: Array, *, axes: Axes, keepdim: bool) -> Array:
        self.shape, self.axes = x.shape, axes
        self.n = _count(x.shape, axes)
        return _mean(x, axes, keepdim).astype(x.dtype, copy=False)

    def backward(self, g: Array) -> Array:
        return _spread(g / builtins.max(self.n, 1), self.shape, self.axes)


class Var(Function):
    """y = sum_i (x_i - m)^2 / (n - correction), m the mean;  dL/dx_i = 2 g (x_i - m) / (n - c).

    The mean's own derivative adds nothing, because the deviations sum to 0.
    """

    def forward(self, x: Array, *, axes: Axes, correction: float, keepdim: bool) -> Array:
        self.save_for_backward(x)
        self.axes = axes
        self.divisor = builtins.max(_count(x.shape, axes) - correction, 0)
        deviation = self._deviation(x)
        total = (deviation * deviation).sum(axis=axes, keepdims=keepdim)
        return (total / self.divisor if self.divisor else total * float("nan")).astype(x.dtype)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        factor = _restore(g, x.shape, self.axes) * (2.0 / (self.divisor or float("nan")))
        return (self._deviation(x) * factor).astype(x.dtype)

    def _deviation(self, x: Array) -> Array:
        return x - _mean(x, self.axes, keepdim=True)


class Std(Var):
    """y = sqrt(the variance v);  dL/dv = g / (2 y), and 0 at y = 0; the rest as for `Var`."""

    def forward(self, x: Array, **options: Any) -> Array:
        y = kernels.of(x).sqrt(super().forward(x, **options))
        self.save_for_backward(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved_tensors
        k = kernels.of(g)
        self.save_for_backward(x)
        return super().backward(k.where(y == 0, 0, k.div(g, k.mul(y, 2))))


class Extremum(Function):
    """y = the largest (or smallest) x_i;  dL/dx_i = g / k where x_i is one of the k that tie."""

    def forward(self, x: Array, *, axes: Axes, keepdim: bool, largest: bool) -> Array:
        y = x.max(axis=axes, keepdims=keepdim) if largest else x.min(axis=axes, keepdims=keepdim)
        xp = backend.array_module(x)
        y = xp.asarray(y)
        self.axes = axes
        self.save_for_backward(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved_tensors
        tied = x == _restore(y, x.shape, self.axes)
        ties = tied.sum(axis=self.axes, keepdims=True).astype(g.dtype)
        k = kernels.of(g)
        return k.mul(tied, k.div(_restore(g, x.shape, self.axes), ties))


class ExtremumAlong(Function):
    """The largest (or smallest) along one dimension, and its index; g goes to that element alone.

    The index is the first of equals, and a NaN counts as the extremum.
    """

    def forward(self, x: Array, *, axis: int, keepdim: bool, largest: bool) -> tuple[Array, Array]:
        xp = backend.array_module(x)
        self.shape, self.axis = x.shape, axis
        self.index = xp.expand_dims(x.argmax(axis) if largest else x.argmin(axis), axis)
        values = xp.take_along_axis(x, self.index, axis)
        index = self.index
        if not keepdim:
            values, index = values.squeeze(axis), index.squeeze(axis)
        return values, index.astype(dtypes.int64)

    def backward(self, g: Array) -> Array:
        xp = backend.array_module(g)
        gx = xp.zeros(self.shape, g.dtype)
        xp.put_along_axis(gx, self.index, _restore(g, self.shape, (self.axis,)), self.axis)
        return gx


def _count(shape: tuple[int, ...], axes: Axes) -> int:
    n = 1
    for axis in axes:
        n *= shape[axis]
    return n


def _floating(name: str, x: Tensor) -> None:
    if not dtypes.is_floating_point(x.dtype):
        raise RuntimeError(f"[{name}] expected a floating point tensor, got {x.dtype}")


def _counted(x: Tensor, dtype: Any) -> Tensor:
    """x as `dtype`; unless one is given, integers and bools as int64."""
    if dtype is None and not dtypes.is_floating_point(x.dtype):
        dtype = dtypes.int64
    return to(x, dtype)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over `dim` (an int, several, or all); integers and bools sum to int64."""
    x = _counted(input, dtype)
    return Sum.apply(x, axes=_axes("sum", x.ndim, dim), keepdim=keepdim)


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean over `dim`; NaN of nothing."""
    x = to(input, dtype)
    _floating("mean", x)
    return Mean.apply(x, axes=_axes("mean", x.ndim, dim), keepdim=keepdim)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> Tensor:
    """The variance over `dim`, divided by n - correction: 1 unless given, or unbiased=False.

    As in PyTorch, `var(x, False)` is `var(x, unbiased=False)`.
    """
    return _variance(Var, "var", input, dim, unbiased, keepdim, correction)


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation: the root of `var` with the same arguments."""
    return _variance(Std, "std", input, dim, unbiased, keepdim, correction)


def _variance(
    function: type[Var], name: str, x: Tensor, dim: Any, unbiased: bool | None, keepdim: bool,
    correction: float | None,
) -> Tensor:
    _floating(name, x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    axes = _axes(name, x.ndim, dim)
    return function.apply(x, axes=axes, correction=correction, keepdim=keepdim)


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest over `dim`; the gradient is shared evenly between ties."""
    return _extremum("amax", input, dim, keepdim, largest=True)


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest over `dim`; the gradient is shared evenly between ties."""
    return _extremum("amin", input, dim, keepdim, largest=False)


def max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None
) -> Any:
    """The largest element of all; with `dim`, a pair (values, indices) of the first largest.

    With another tensor as the second argument: `maximum`.
    """
    if isinstance(dim, Tensor) or other is not None:
        return maximum(input, dim if other is None else other)
    return _max_or_min("max", input, dim, keepdim, largest=True)


def min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None
) -> Any:
    """The smallest element of all; with `dim`, a pair (values, indices) of the first smallest.

    With another tensor as the second argument: `minimum`.
    """
    if isinstance(dim, Tensor) or other is not None:
        return minimum(input, dim if other is None else other)
    return _max_or_min("min", input, dim, keepdim, largest=False)


def _extremum(name: str, x: Tensor, dim: Any, keepdim: bool, *, largest: bool) -> Tensor:
    axes = _axes(name, x.ndim, dim)
    _not_empty(name, x, axes, RuntimeError if dim in (None, ()) else IndexError)
    return Extremum.apply(x, axes=axes, keepdim=keepdim, largest=largest)


def _max_or_min(name: str, x: Tensor, dim: Any, keepdim: bool, *, largest: bool) -> Any:
    if dim is None:
        return _extremum(name, x, None, keepdim, largest=largest)
    axes = _axes(name, x.ndim, dim)
    if not axes:
        return NAMED[name](x, Tensor(backend.array_module(x.array).zeros((), dtypes.int64)))
    _not_empty(name, x, axes)
    found = ExtremumAlong.apply(x, axis=axes[0], keepdim=keepdim, largest=largest)
    return NAMED[name](*found)


def _not_empty(name: str, x: Tensor, axes: Axes, kind: type[Exception] = IndexError) -> None:
    if builtins.any(x.shape[axis] == 0 for axis in axes):
        raise kind(f"[{name}] cannot reduce over a dimension of size 0: {tuple(x.shape)}")


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first largest element, of the flattened tensor or along `dim`; int64."""
    return _arg("argmax", input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first smallest element, of the flattened tensor or along `dim`; int64."""
    return _arg("argmin", input, dim, keepdim)


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axes = _axes(name, input.ndim, dim)
    _not_empty(name, input, axes)
    xp = backend.array_module(input.array)
    axis = None if dim is None or not axes else axes[0]
    result = getattr(input.array, name)(axis=axis, keepdims=keepdim)
    return Tensor(xp.asarray(result, dtype=dtypes.int64))


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element is true (nonzero)."""
    xp = backend.array_module(input.array)
    axes = _axes("all", input.ndim, dim)
    return Tensor(xp.asarray(xp.all(input.array, axis=axes, keepdims=keepdim)))


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether some element is true (nonzero)."""
    xp = backend.array_module(input.array)
    axes = _axes("any", input.ndim, dim)
    return Tensor(xp.asarray(xp.any(input.array, axis=axes, keepdims=keepdim)))
