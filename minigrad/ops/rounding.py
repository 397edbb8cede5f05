"""Functions that jump and are constant in between: signs, roundings. Their gradient is 0.

Next: `reduce.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import clone
from minigrad.ops.elementwise import Div, _operands
from minigrad.tensor import Tensor


class Steps(Function):
    """y = f(kernels, x) or f(kernels, a, b);  dL/dx = 0."""

    broadcasts = True

    def forward(self, *xs: Any, f: Callable[..., Array]) -> Array:
        return f(kernels.of(next(x for x in xs if hasattr(x, "dtype"))), *xs)

    def backward(self, g: Array) -> tuple[Array | None, ...]:
        zeros = backend.array_module(g).zeros_like(g)
        return tuple(zeros if needed else None for needed in self.needs_input_grad)


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1, as the element is negative, zero or positive."""
    is_bool = input.dtype == dtypes.bool
    return clone(input) if is_bool else Steps.apply(input, f=lambda k, x: k.sign(x))


def floor(input: Tensor) -> Tensor:
    """The largest whole number that is not above the element."""
    return _rounded("floor", input)


def ceil(input: Tensor) -> Tensor:
    """The smallest whole number that is not below the element."""
    return _rounded("ceil", input)


def trunc(input: Tensor) -> Tensor:
    """The element without what stands behind the point."""
    return _rounded("trunc", input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number of `decimals` decimals (tens, for -1); a half goes to the even one."""
    if not decimals:
        return _rounded("round", input)
    if not dtypes.is_floating_point(input.dtype):
        raise NotImplementedError(f"[round] decimals need a float dtype, not {input.dtype}")
    scale = 10.0 ** abs(decimals)
    if decimals < 0:
        return _rounded("round", input / scale) * scale
    return _rounded("round", input * scale) / scale


def _rounded(name: str, x: Tensor) -> Tensor:
    if x.dtype == dtypes.bool:
        raise NotImplementedError(f"[{name}] a bool cannot be rounded")
    whole = not dtypes.is_floating_point(x.dtype)
    return clone(x) if whole else Steps.apply(x, f=lambda k, x: getattr(k, name)(x))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, broadcast; integers give floats, unless rounded.

    Args:
        rounding_mode: "trunc" rounds towards zero, "floor" down. The gradient is then 0.

    Raises:
        RuntimeError: an integer is divided by zero and rounded (on the CPU: a GPU would have to
            be waited for), or no such rounding_mode.
    """
    if rounding_mode is None:
        return Div.apply(*_operands("div", input, other, integers=False))
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(f"[div] rounding_mode must be 'trunc' or 'floor', got {rounding_mode!r}")
    a, b = _operands("div", input, other)
    divisor = b.array if isinstance(b, Tensor) else np.asarray(b)
    whole = (a if isinstance(a, Tensor) else b).dtype.kind != "f"
    if whole and not (backend.is_cupy(divisor) or divisor.all()):
        raise RuntimeError("[div] division of an integer by zero")
    if rounding_mode == "floor":
        return Steps.apply(a, b, f=lambda k, a, b: k.floor_divide(a, b))
    if whole:  # a less its remainder, which has a's sign, leaves none
        fmod = backend.array_module(divisor).fmod
        return Steps.apply(a, b, f=lambda k, a, b: k.floor_divide(a - fmod(a, b), b))
    return Steps.apply(a, b, f=lambda k, a, b: k.trunc(k.div(a, b)))


def floor_divide(input: Any, other: Any) -> Tensor:
    """input / other, broadcast and rounded down. What `//` means."""
    return div(input, other, rounding_mode="floor")
