"""The operators and methods of a Tensor: each is one call of the function of that name in `ops/`.

`Tensor` inherits them, so that `tensor.py` can be about memory and history alone. `ops` itself
imports Tensor; that is why it is looked up through the package when a method is called.
"""

# mypy: disable-error-code="arg-type"
# ("self" is always a Tensor here, but a mixin cannot say so)

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import minigrad

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Operators:
    """Mixin of `Tensor`: arithmetic, comparisons, indexing, reductions and shapes."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return minigrad.ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return minigrad.ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return minigrad.ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return minigrad.ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return minigrad.ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return minigrad.ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return minigrad.ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return minigrad.ops.div(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return minigrad.ops.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return minigrad.ops.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return minigrad.ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return minigrad.ops.matmul(other, self)

    def __iadd__(self, other: Any) -> Tensor:
        return self._inplace(minigrad.ops.add(self, other))  # type: ignore[attr-defined]

    def __isub__(self, other: Any) -> Tensor:
        return self._inplace(minigrad.ops.sub(self, other))  # type: ignore[attr-defined]

    def __imul__(self, other: Any) -> Tensor:
        return self._inplace(minigrad.ops.mul(self, other))  # type: ignore[attr-defined]

    def __itruediv__(self, other: Any) -> Tensor:
        return self._inplace(minigrad.ops.div(self, other))  # type: ignore[attr-defined]

    def __ipow__(self, other: Any) -> Tensor:
        return self._inplace(minigrad.ops.pow(self, other))  # type: ignore[attr-defined]

    def __neg__(self) -> Tensor:
        return minigrad.ops.neg(self)

    def __abs__(self) -> Tensor:
        return minigrad.ops.abs(self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return minigrad.ops.eq(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return minigrad.ops.ne(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return minigrad.ops.lt(self, other)

    def __le__(self, other: Any) -> Tensor:
        return minigrad.ops.le(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return minigrad.ops.gt(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return minigrad.ops.ge(self, other)

    def __invert__(self) -> Tensor:
        return minigrad.ops.logical_not(self)

    def __and__(self, other: Any) -> Tensor:
        return minigrad.ops.logical_and(self, other)

    def __or__(self, other: Any) -> Tensor:
        return minigrad.ops.logical_or(self, other)

    def __getitem__(self, index: Any) -> Tensor:
        return minigrad.ops.getitem(self, index)

    def exp(self) -> Tensor:
        return minigrad.ops.exp(self)

    def log(self) -> Tensor:
        return minigrad.ops.log(self)

    def sqrt(self) -> Tensor:
        return minigrad.ops.sqrt(self)

    def abs(self) -> Tensor:
        return minigrad.ops.abs(self)

    def neg(self) -> Tensor:
        return minigrad.ops.neg(self)

    def relu(self) -> Tensor:
        return minigrad.ops.relu(self)

    def sigmoid(self) -> Tensor:
        return minigrad.ops.sigmoid(self)

    def tanh(self) -> Tensor:
        return minigrad.ops.tanh(self)

    def isnan(self) -> Tensor:
        return minigrad.ops.isnan(self)

    def isfinite(self) -> Tensor:
        return minigrad.ops.isfinite(self)

    def isinf(self) -> Tensor:
        return minigrad.ops.isinf(self)

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return minigrad.ops.add(self, other, alpha=alpha)

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return minigrad.ops.sub(self, other, alpha=alpha)

    def mul(self, other: Any) -> Tensor:
        return minigrad.ops.mul(self, other)

    def div(self, other: Any) -> Tensor:
        return minigrad.ops.div(self, other)

    def matmul(self, other: Any) -> Tensor:
        return minigrad.ops.matmul(self, other)

    def eq(self, other: Any) -> Tensor:
        return minigrad.ops.eq(self, other)

    def ne(self, other: Any) -> Tensor:
        return minigrad.ops.ne(self, other)

    def lt(self, other: Any) -> Tensor:
        return minigrad.ops.lt(self, other)

    def le(self, other: Any) -> Tensor:
        return minigrad.ops.le(self, other)

    def gt(self, other: Any) -> Tensor:
        return minigrad.ops.gt(self, other)

    def ge(self, other: Any) -> Tensor:
        return minigrad.ops.ge(self, other)

    def pow(self, exponent: Any) -> Tensor:
        return minigrad.ops.pow(self, exponent)

    def sum(self, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
        return minigrad.ops.sum(self, dim, keepdim, dtype=dtype)

    def mean(self, dim: Any = None, keepdim: builtins.bool = False, *, dtype: Any = None) -> Tensor:
        return minigrad.ops.mean(self, dim, keepdim, dtype=dtype)

    def amax(self, dim: Any = (), keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.amax(self, dim, keepdim)

    def amin(self, dim: Any = (), keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.amin(self, dim, keepdim)

    def max(self, dim: Any = None, keepdim: builtins.bool = False) -> Any:
        return minigrad.ops.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: builtins.bool = False) -> Any:
        return minigrad.ops.min(self, dim, keepdim)

    def argmax(self, dim: Any = None, keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.argmax(self, dim, keepdim)

    def argmin(self, dim: Any = None, keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.argmin(self, dim, keepdim)

    def all(self, dim: Any = None, keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.all(self, dim, keepdim)

    def any(self, dim: Any = None, keepdim: builtins.bool = False) -> Tensor:
        return minigrad.ops.any(self, dim, keepdim)

    def var(
        self,
        dim: Any = None,
        *,
        correction: builtins.int = 1,
        keepdim: builtins.bool = False,
        unbiased: builtins.bool | None = None,
    ) -> Tensor:
        return minigrad.ops.var(
            self, dim, correction=correction, keepdim=keepdim, unbiased=unbiased
        )

    def softmax(self, dim: builtins.int, dtype: Any = None) -> Tensor:
        return minigrad.ops.softmax(self, dim, dtype=dtype)

    def log_softmax(self, dim: builtins.int, dtype: Any = None) -> Tensor:
        return minigrad.ops.log_softmax(self, dim, dtype=dtype)

    def reshape(self, *shape: Any) -> Tensor:
        return minigrad.ops.reshape(self, _unpack(shape))

    def view(self, *shape: Any) -> Tensor:
        return minigrad.ops.view(self, _unpack(shape))

    def permute(self, *dims: Any) -> Tensor:
        return minigrad.ops.permute(self, _unpack(dims))

    def expand(self, *shape: Any) -> Tensor:
        return minigrad.ops.expand(self, _unpack(shape))

    def flatten(self, start_dim: builtins.int = 0, end_dim: builtins.int = -1) -> Tensor:
        return minigrad.ops.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: builtins.int, sizes: Any) -> Tensor:
        return minigrad.ops.unflatten(self, dim, sizes)

    def transpose(self, dim0: builtins.int, dim1: builtins.int) -> Tensor:
        return minigrad.ops.transpose(self, dim0, dim1)

    def t(self) -> Tensor:
        return minigrad.ops.t(self)

    def squeeze(self, dim: Any = None) -> Tensor:
        return minigrad.ops.squeeze(self, dim)

    def unsqueeze(self, dim: builtins.int) -> Tensor:
        return minigrad.ops.unsqueeze(self, dim)

    def view_as(self, other: Tensor) -> Tensor:
        return minigrad.ops.view(self, other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        return minigrad.ops.reshape(self, other.shape)

    def expand_as(self, other: Tensor) -> Tensor:
        return minigrad.ops.expand(self, other.shape)

    def split(self, split_size: Any, dim: builtins.int = 0) -> tuple[Tensor, ...]:
        return minigrad.ops.split(self, split_size, dim)

    def chunk(self, chunks: builtins.int, dim: builtins.int = 0) -> tuple[Tensor, ...]:
        return minigrad.ops.chunk(self, chunks, dim)

    def unbind(self, dim: builtins.int = 0) -> tuple[Tensor, ...]:
        return minigrad.ops.unbind(self, dim)


def _unpack(args: tuple[Any, ...]) -> tuple[builtins.int, ...]:
    """`x.view(2, 3)` and `x.view((2, 3))` mean the same."""
    if len(args) == 1 and not isinstance(args[0], builtins.int):
        return tuple(args[0]) if hasattr(args[0], "__iter__") else (args[0].__index__(),)
    return args
