"""Choosing between elements: by a condition (`where`), or the larger, the smaller, within bounds.

What was chosen gets the gradient. Next: `rounding.py`.
"""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.elementwise import _fit, _operands, _promoted
from minigrad.tensor import Tensor


class Where(Function):
    """y = a where c, else b;  dL/da = g where c, dL/db = g elsewhere."""

    broadcasts = True

    def forward(self, c: Array, a: Any, b: Any) -> Array:
        self.save_for_backward(c)
        return kernels.of(c).where(c, a, b)

    def backward(self, g: Array) -> tuple[None, Array | None, Array | None]:
        (c,) = self.saved_tensors
        where = kernels.of(g).where
        _, needs_a, needs_b = self.needs_input_grad
        return None, where(c, g, 0) if needs_a else None, where(c, 0, g) if needs_b else None


class Maximum(Function):
    """y = the larger (or smaller) of a and b, which gets g; where they are equal, half g each."""

    broadcasts = True

    def forward(self, a: Array, b: Array, *, largest: bool) -> Array:
        self.save_for_backward(a, b)
        self.largest = largest
        return (kernels.of(a).maximum if largest else kernels.of(a).minimum)(a, b)

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        a, b = self.saved_tensors
        k = kernels.of(g)
        g = k.where(a == b, k.mul(g, 0.5), g)
        left_out = (a < b, a > b) if self.largest else (a > b, a < b)  # neither, beside a NaN
        return tuple(
            k.where(out, 0, g) if needed else None
            for out, needed in zip(left_out, self.needs_input_grad, strict=True)
        )


class Clamp(Function):
    """y = min(max(x, lo), hi);  g goes to x where lo <= x <= hi, else to the bound in its place."""

    broadcasts = True

    def forward(self, x: Array, lo: Any, hi: Any) -> Array:
        self.save_for_backward(x, lo, hi)
        k = kernels.of(x)
        y = x if lo is None else k.maximum(x, lo)
        return y if hi is None else k.minimum(y, hi)

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        x, lo, hi = self.saved_tensors
        needs_x, needs_lo, needs_hi = self.needs_input_grad
        where = kernels.of(g).where
        gx = glo = ghi = None
        if needs_x:
            gx = g if lo is None else where(x >= lo, g, 0)
            gx = gx if hi is None else where(x <= hi, gx, 0)
        if needs_lo:
            glo = where(x < lo if hi is None else (x < lo) & (lo < hi), g, 0)
        if needs_hi:
            ghi = where(x > hi if lo is None else (x > hi) | (hi < lo), g, 0)
        return gx, glo, ghi


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition, else other, broadcast; without them, the indices of what is true.

    Raises:
        RuntimeError: condition is neither bool nor uint8, or the shapes do not broadcast.
    """
    if input is None and other is None:
        return tuple(map(Tensor, condition.array.nonzero()))
    if condition.dtype not in (dtypes.bool, dtypes.uint8):
        raise RuntimeError(f"[where] expected a bool tensor as condition, got {condition.dtype}")
    a, b = _promoted(input, other)
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        a = to(a, condition.device)  # two numbers, of which one became a tensor
    _fit("where", condition, a, b)
    return Where.apply(to(condition, dtypes.bool), a, b)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value`, a number or a 0-d tensor, where the mask is true; the input elsewhere.

    Raises:
        RuntimeError: mask is no bool tensor, or value has dimensions or does not fit the dtype.
    """
    if mask.dtype != dtypes.bool:
        raise RuntimeError(f"[masked_fill] expected a bool tensor as mask, got {mask.dtype}")
    if not isinstance(value, Tensor):
        try:
            value = Tensor(backend.array_module(input.array).asarray(value, input.dtype))
        except (TypeError, ValueError, OverflowError):
            raise RuntimeError(
                f"[masked_fill] value {value} cannot be converted to {input.dtype}"
            ) from None
    if value.ndim or value.dtype.kind == "c" != input.dtype.kind:
        raise RuntimeError(
            f"[masked_fill] value must be 0-d and real, got {value.dtype} of {tuple(value.shape)}"
        )
    return where(mask, to(value, input.dtype), input)


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements, broadcast; a NaN if one is. Equal ones share the gradient."""
    return _larger("maximum", input, other, largest=True)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements, broadcast; a NaN if one is. Equal ones share the gradient."""
    return _larger("minimum", input, other, largest=False)


def _larger(name: str, a: Any, b: Any, *, largest: bool) -> Tensor:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise TypeError(f"[{name}] expected two tensors (for a number there is clamp)")
    return Maximum.apply(*_operands(name, a, b), largest=largest)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """No less than min and no more than max, numbers or tensors; max wins where min is above it.

    Raises:
        RuntimeError: both bounds are missing, or the shapes do not broadcast.
    """
    if min is None and max is None:
        raise RuntimeError("[clamp] at least one of min and max must not be None")
    given = iter(_operands("clamp", input, *(v for v in (min, max) if v is not None)))
    return Clamp.apply(*(None if v is None else next(given) for v in (input, min, max)))


def clip(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Another name of `clamp`."""
    return clamp(input, min, max)
