"""Questions about tensors: they answer with bool tensors and have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend, dtypes
from minigrad.ops.elementwise import _operands
from minigrad.tensor import Tensor, array_from


def _compare(name: str, input: Any, other: Any) -> Tensor:
    for x in (input, other) if name.startswith("logical") else (input,):
        if not isinstance(x, Tensor):
            raise TypeError(f"[{name}] a tensor was expected, not {x!r}")
    arrays = [x.array if isinstance(x, Tensor) else x for x in _operands(name, input, other)]
    placed = [x for x in arrays if hasattr(x, "dtype")]
    backend.same_device(name, placed)
    return Tensor(_asarray(getattr(backend.array_module(placed[0]), name)(*arrays)))


def _ask(name: str, input: Tensor) -> Tensor:
    return Tensor(_asarray(getattr(backend.array_module(input.array), name)(input.array)))


def _asarray(result: Any) -> Any:
    return np.asarray(result) if isinstance(result, np.generic) else result


def eq(input: Any, other: Any) -> Tensor:
    """Whether the elements are equal, broadcast."""
    return _compare("equal", input, other)


def ne(input: Any, other: Any) -> Tensor:
    """Whether the elements differ, broadcast."""
    return _compare("not_equal", input, other)


def lt(input: Any, other: Any) -> Tensor:
    """input < other, broadcast."""
    return _compare("less", input, other)


def le(input: Any, other: Any) -> Tensor:
    """input <= other, broadcast."""
    return _compare("less_equal", input, other)


def gt(input: Any, other: Any) -> Tensor:
    """input > other, broadcast."""
    return _compare("greater", input, other)


def ge(input: Any, other: Any) -> Tensor:
    """input >= other, broadcast."""
    return _compare("greater_equal", input, other)


def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both are true (nonzero)."""
    return _compare("logical_and", input, other)


def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one is true (nonzero)."""
    return _compare("logical_or", input, other)


def logical_not(input: Tensor) -> Tensor:
    """Whether it is false (zero)."""
    return _ask("logical_not", input)


def bitwise_and(input: Any, other: Any) -> Tensor:
    """The bits that are set in both; for bools, whether both are true. What `&` means."""
    return _compare("bitwise_and", input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """The bits that are set in one; for bools, whether one is true. What `|` means."""
    return _compare("bitwise_or", input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """The bits that differ; for bools, whether just one is true. What `^` means."""
    return _compare("bitwise_xor", input, other)


def bitwise_not(input: Tensor) -> Tensor:
    """All bits turned over; for bools, whether it is false. What `~` means."""
    return _ask("invert", input)


def isnan(input: Tensor) -> Tensor:
    """Where the elements are not a number."""
    return _ask("isnan", input)


def isinf(input: Tensor) -> Tensor:
    """Where the elements are infinite."""
    return _ask("isinf", input)


def isfinite(input: Tensor) -> Tensor:
    """Where the elements are neither infinite nor NaN."""
    return _ask("isfinite", input)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return input.shape == other.shape and bool((input.array == other.array).all())


def allclose(
    input: Tensor, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether |input - other| <= atol + rtol |other| everywhere."""
    xp = backend.array_module(input.array)
    result = xp.allclose(input.array, array_from(other), rtol=rtol, atol=atol, equal_nan=equal_nan)
    return bool(result)


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor."""
    return isinstance(value, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether its dtype is float16, bfloat16, float32 or float64."""
    return dtypes.is_floating_point(input.dtype)
