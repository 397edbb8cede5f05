"""Elementwise operations: each output element depends on one element of each input.

So each derivative is one factor an element, and `backward` multiplies the incoming gradient g by
it. Operations of two inputs broadcast; the engine sums their gradients back (`autograd._sum_to`).
Next: `select.py`.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels.geometry import ShapeError
from minigrad.ops.convert import to
from minigrad.tensor import Tensor, array_from


def _operands(name: str, *values: Any, integers: builtins.bool = True) -> list[Any]:
    """Tensors of one dtype whose shapes broadcast, and Python numbers.

    Raises:
        ShapeError: they do not broadcast; names the operation and the shapes.
    """
    if all(isinstance(x, (builtins.int, builtins.float)) for x in values):
        raise TypeError(f"[{name}] expected a tensor among {values}")
    operands = _promoted(*values, integers=integers)
    _fit(name, *operands)
    return operands


def _fit(name: str, *operands: Any) -> None:
    """Check that the tensors among `operands` broadcast."""
    shapes = [x.array.shape for x in operands if isinstance(x, Tensor)]
    if not _broadcast(*shapes):
        raise ShapeError(
            f"[{name}] shapes {' and '.join(map(str, shapes))} do not broadcast: from the right, "
            "sizes must be equal, or one of them 1"
        )


def _broadcast(*shapes: tuple[int, ...]) -> builtins.bool:
    """Whether arrays of these shapes broadcast."""
    try:
        return len(set(shapes)) < 2 or np.broadcast_shapes(*shapes) is not None
    except ValueError:
        return False


def _promoted(*values: Any, integers: builtins.bool = True) -> list[Any]:
    """Tensors of one dtype, and Python numbers, which never widen the tensors' dtype.

    With integers=False, integer and boolean tensors become floats first (as in a division).
    """
    values_ = [_operand(value) for value in values]
    dtype = dtypes.result_type(*(v.array if isinstance(v, Tensor) else v for v in values_))
    if not integers and not dtypes.is_floating_point(dtype):
        dtype = dtypes.DEFAULT
    if not any(isinstance(v, Tensor) for v in values_):
        values_[0] = Tensor(np.asarray(values_[0], dtype))
    return [to(v, dtype) if isinstance(v, Tensor) else v for v in values_]


def _operand(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()  # NumPy scalars (np.float64 is a float!) would widen: make them weak
    if isinstance(value, (Tensor, builtins.int, builtins.float, complex)):
        return value
    if isinstance(value, (np.ndarray, list, tuple)) or backend.is_cupy(value):
        return Tensor(array_from(value))
    raise TypeError(f"unsupported operand: a tensor or a number was expected, not {value!r}")


class Add(Function):
    """y = a + b;  dL/da = g, dL/db = g."""

    broadcasts = True

    def forward(self, a: Any, b: Any) -> Array:
        return _kernels(a, b).add(a, b)

    def backward(self, g: Array) -> tuple[Array, Array]:
        return g, g


class Sub(Function):
    """y = a - b;  dL/da = g, dL/db = -g."""

    broadcasts = True

    def forward(self, a: Any, b: Any) -> Array:
        return _kernels(a, b).sub(a, b)

    def backward(self, g: Array) -> tuple[Array, Array | None]:
        return g, kernels.of(g).neg(g) if self.needs_input_grad[1] else None


class Mul(Function):
    """y = a b;  dL/da = g b, dL/db = g a."""

    broadcasts = True

    def forward(self, a: Any, b: Any) -> Array:
        needs_a, needs_b = self.needs_input_grad
        self.save_for_backward(a if needs_b else None, b if needs_a else None)
        return _kernels(a, b).mul(a, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved_tensors
        mul = kernels.of(g).mul
        return None if b is None else mul(g, b), None if a is None else mul(g, a)


class Div(Function):
    """y = a / b;  dL/da = g / b, dL/db = -g y / b."""

    broadcasts = True

    def forward(self, a: Any, b: Any) -> Array:
        y = _kernels(a, b).div(a, b)
        self.save_for_backward(b, y if self.needs_input_grad[1] else None)
        return y

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        b, y = self.saved_tensors
        k = kernels.of(g)
        ga = k.div(g, b)
        gb = None if y is None else k.neg(k.mul(ga, y))
        return ga if self.needs_input_grad[0] else None, gb


class Pow(Function):
    """y = a^b;  dL/da = g b a^(b-1), dL/db = g y log a, both 0 where their limit is (0^0, 0^b)."""

    broadcasts = True

    def forward(self, a: Any, b: Any) -> Array:
        y = _kernels(a, b).pow(a, b)
        self.save_for_backward(a, b, y if self.needs_input_grad[1] else None)
        return y

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b, y = self.saved_tensors
        k, xp = kernels.of(g), backend.array_module(g)
        ga = gb = None
        if self.needs_input_grad[0]:
            factor = k.mul(k.pow(a, k.sub(b, 1)) if hasattr(b, "dtype") else k.pow(a, b - 1), b)
            ga = xp.where(b == 0, xp.zeros((), g.dtype), k.mul(g, factor))
        if self.needs_input_grad[1]:
            base = xp.asarray(a, dtype=g.dtype)
            log = xp.where((base == 0) & (b >= 0), xp.zeros((), g.dtype), k.log(base))
            gb = k.mul(k.mul(g, y), log)
        return ga, gb


class Square(Function):
    """y = x^2;  dL/dx = 2 g x."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).mul(x, x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        k = kernels.of(g)
        return k.mul(k.mul(g, 2), x)


class Neg(Function):
    """y = -x;  dL/dx = -g."""

    def forward(self, x: Array) -> Array:
        return kernels.of(x).neg(x)

    def backward(self, g: Array) -> Array:
        return kernels.of(g).neg(g)


class Exp(Function):
    """y = e^x;  dL/dx = g y."""

    def forward(self, x: Array) -> Array:
        y = kernels.of(x).exp(x)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).mul(g, y)


class Log(Function):
    """y = ln x;  dL/dx = g / x."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).log(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        return kernels.of(g).div(g, x)


class Sin(Function):
    """y = sin x;  dL/dx = g cos x."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).sin(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        k = kernels.of(g)
        return k.mul(g, k.cos(x))


class Cos(Function):
    """y = cos x;  dL/dx = -g sin x."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).cos(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        k = kernels.of(g)
        return k.neg(k.mul(g, k.sin(x)))


class Sqrt(Function):
    """y = x^(1/2);  dL/dx = g / (2 y)."""

    def forward(self, x: Array) -> Array:
        y = kernels.of(x).sqrt(x)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        k = kernels.of(g)
        return k.div(g, k.mul(y, 2))


class Abs(Function):
    """y = |x|;  dL/dx = g sign(x), and 0 at x = 0."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).abs(x)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        k = kernels.of(g)
        return k.mul(g, k.sign(x))


class ReLU(Function):
    """y = max(x, 0);  dL/dx = g, but 0 where y = 0. Keeps its output, not its input."""

    def forward(self, x: Array, *, inplace: bool) -> Array:
        y = kernels.of(x).relu(x, inplace)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).relu_backward(g, y)


class LeakyReLU(Function):
    """y = x where x > 0, else slope x;  dL/dx = g where x > 0, else slope g.

    With a slope of at least 0, y has the sign of x: then the output serves, as for ReLU.
    """

    def forward(self, x: Array, *, negative_slope: float) -> Array:
        y = kernels.of(x).leaky_relu(x, negative_slope)
        self.save_for_backward(y if negative_slope >= 0 else x)
        self.negative_slope = negative_slope
        return y

    def backward(self, g: Array) -> Array:
        (signed,) = self.saved_tensors
        return kernels.of(g).leaky_relu_backward(g, signed, self.negative_slope)


class Sigmoid(Function):
    """y = 1 / (1 + e^-x);  dL/dx = g y (1 - y)."""

    def forward(self, x: Array) -> Array:
        y = kernels.of(x).sigmoid(x)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).sigmoid_backward(g, y)


class Tanh(Function):
    """y = tanh x;  dL/dx = g (1 - y^2)."""

    def forward(self, x: Array) -> Array:
        y = kernels.of(x).tanh(x)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).tanh_backward(g, y)


def _kernels(*operands: Any) -> Any:
    return kernels.of(next(x for x in operands if hasattr(x, "dtype")))


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha * other, broadcast."""
    return Add.apply(*_operands("add", input, other if alpha == 1 else other * alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha * other, broadcast."""
    return Sub.apply(*_operands("sub", input, other if alpha == 1 else other * alpha))


def mul(input: Any, other: Any) -> Tensor:
    """input * other, broadcast."""
    return Mul.apply(*_operands("mul", input, other))


def pow(input: Any, exponent: Any) -> Tensor:
    """input ** exponent, broadcast."""
    base, exponent = _operands("pow", input, exponent)
    square = not isinstance(exponent, Tensor) and exponent == 2
    return Square.apply(base) if square else Pow.apply(base, exponent)


def square(input: Tensor) -> Tensor:
    """input ** 2."""
    return pow(input, 2)


def neg(input: Tensor) -> Tensor:
    """-input.

    Raises:
        RuntimeError: it is a bool tensor.
    """
    if input.dtype == dtypes.bool:
        raise RuntimeError("[neg] a bool tensor has no negative: turn it over with ~ (logical_not)")
    return Neg.apply(input)


def exp(input: Tensor) -> Tensor:
    """e to the power of each element."""
    return Exp.apply(*_promoted(input, integers=False))


def log(input: Tensor) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below."""
    return Log.apply(*_promoted(input, integers=False))


def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians."""
    return Sin.apply(*_promoted(input, integers=False))


def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians."""
    return Cos.apply(*_promoted(input, integers=False))


def sqrt(input: Tensor) -> Tensor:
    """The square root; NaN below 0."""
    return Sqrt.apply(*_promoted(input, integers=False))


def abs(input: Tensor) -> Tensor:
    """The absolute value."""
    return Abs.apply(input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0); written over the input if inplace."""
    if inplace:
        input._check_writable(input.requires_grad)
    result = ReLU.apply(input, inplace=inplace)
    return input._inplace(result) if inplace else result


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere."""
    return LeakyReLU.apply(input, negative_slope=negative_slope)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))."""
    return Sigmoid.apply(*_promoted(input, integers=False))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return Tanh.apply(*_promoted(input, integers=False))
