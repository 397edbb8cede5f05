"""The operators and methods of a Tensor: each is one call of the function of that name in `ops/`.

`Tensor` inherits them, so that `tensor.py` can be about memory and history alone. `ops` itself
imports Tensor; that is why it is looked up through the package when a method is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigrad

Method = Callable[..., Any]


def _method(name: str) -> Method:
    """x.name(...) is ops.name(x, ...)."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return getattr(minigrad.ops, name)(self, *args, **options)

    method.__name__, method.__doc__ = name, f"See `minigrad.ops.{name}`."
    return method


def _reflected(name: str) -> Method:
    """other + x, where `other` is no tensor."""

    def method(self: Any, other: Any) -> Any:
        return getattr(minigrad.ops, name)(other, self)

    return method


def _unless_none(name: str) -> Method:
    """x == other; no tensor equals None."""

    def method(self: Any, other: Any) -> Any:
        return NotImplemented if other is None else getattr(minigrad.ops, name)(self, other)

    return method


def _inplace(name: str) -> Method:
    """x += other, and x.add_(other): computed apart, then written into x."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return self._inplace(getattr(minigrad.ops, name)(self, *args, **options))

    return method


def _of_sizes(name: str) -> Method:
    """x.view(2, 3) and x.view((2, 3)) mean the same."""

    def method(self: Any, *sizes: Any, **options: Any) -> Any:
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = tuple(sizes[0])
        return getattr(minigrad.ops, name)(self, *(() if options else (sizes,)), **options)

    method.__name__, method.__doc__ = name, f"See `minigrad.ops.{name}`."
    return method


class Operators:
    """Mixin of `Tensor`."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = _method("add"), _reflected("add"), _inplace("add")
    __sub__, __rsub__, __isub__ = _method("sub"), _reflected("sub"), _inplace("sub")
    __mul__, __rmul__, __imul__ = _method("mul"), _reflected("mul"), _inplace("mul")
    __truediv__, __rtruediv__, __itruediv__ = _method("div"), _reflected("div"), _inplace("div")
    __pow__, __rpow__, __ipow__ = _method("pow"), _reflected("pow"), _inplace("pow")
    __matmul__, __rmatmul__ = _method("matmul"), _reflected("matmul")
    __floordiv__, __rfloordiv__ = _method("floor_divide"), _reflected("floor_divide")
    __neg__, __abs__, __invert__ = _method("neg"), _method("abs"), _method("bitwise_not")
    __and__, __or__, __xor__ = map(_method, ("bitwise_and", "bitwise_or", "bitwise_xor"))
    __eq__, __ne__ = _unless_none("eq"), _unless_none("ne")
    __lt__, __le__, __gt__, __ge__ = _method("lt"), _method("le"), _method("gt"), _method("ge")
    __getitem__ = _method("getitem")

    add, sub, mul, div, pow = map(_method, ("add", "sub", "mul", "div", "pow"))
    add_, sub_, mul_, div_, pow_ = map(_inplace, ("add", "sub", "mul", "div", "pow"))
    neg, abs, exp, log, sqrt = map(_method, ("neg", "abs", "exp", "log", "sqrt"))
    relu, sigmoid, tanh = map(_method, ("relu", "sigmoid", "tanh"))
    matmul, softmax, log_softmax = map(_method, ("matmul", "softmax", "log_softmax"))
    eq, ne, lt, le, gt, ge = map(_method, ("eq", "ne", "lt", "le", "gt", "ge"))
    isnan, isinf, isfinite = map(_method, ("isnan", "isinf", "isfinite"))
    logical_and, logical_or, logical_not = map(
        _method, ("logical_and", "logical_or", "logical_not")
    )
    equal, allclose, all, any = map(_method, ("equal", "allclose", "all", "any"))

    sin, cos, square, sign, floor = map(_method, ("sin", "cos", "square", "sign", "floor"))
    ceil, trunc, round, floor_divide = map(_method, ("ceil", "trunc", "round", "floor_divide"))
    clamp, clip, masked_fill = map(_method, ("clamp", "clip", "masked_fill"))
    clamp_, masked_fill_ = map(_inplace, ("clamp", "masked_fill"))
    maximum, minimum = map(_method, ("maximum", "minimum"))
    mm, bmm, addmm, outer = map(_method, ("mm", "bmm", "addmm", "outer"))

    sum, mean, var, max, min = map(_method, ("sum", "mean", "var", "max", "min"))
    std, prod, cumsum, logsumexp = map(_method, ("std", "prod", "cumsum", "logsumexp"))
    norm = _method("norm")
    sort, argsort, topk = map(_method, ("sort", "argsort", "topk"))
    amax, amin, argmax, argmin = map(_method, ("amax", "amin", "argmax", "argmin"))

    reshape, view, permute, expand = map(_of_sizes, ("reshape", "view", "permute", "expand"))
    repeat = _of_sizes("repeat")
    flatten, unflatten, squeeze, unsqueeze = map(
        _method, ("flatten", "unflatten", "squeeze", "unsqueeze")
    )
    transpose, t, split, chunk = map(_method, ("transpose", "t", "split", "chunk"))
    unbind, clone, to = map(_method, ("unbind", "clone", "to"))
    movedim, narrow, roll, select = map(_method, ("movedim", "narrow", "roll", "select"))
    flip, broadcast_to = _of_sizes("flip"), _of_sizes("broadcast_to")
    gather, index_select, tril, triu = map(_method, ("gather", "index_select", "tril", "triu"))

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where `condition` is true, else `other`."""
        return minigrad.ops.where(condition, self, other)

    def relu_(self) -> Any:
        """See `minigrad.ops.relu`."""
        return self.relu(inplace=True)

    def view_as(self, other: Any) -> Any:
        """This tensor in the shape of `other`."""
        return self.view(other.shape)

    def reshape_as(self, other: Any) -> Any:
        """This tensor in the shape of `other`."""
        return self.reshape(other.shape)

    def expand_as(self, other: Any) -> Any:
        """This tensor repeated to the shape of `other`."""
        return self.expand(other.shape)
