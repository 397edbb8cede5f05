"""Elementwise arithmetic: NumPy's own functions, spread over cores, into pooled memory.

A large array is split along its first axis (or flat, where all operands lie in one piece), so that
every function here runs at memory speed. Functions of several steps go through their range in
blocks that stay in the second-level cache, so that only the first step reads memory and only the
last one writes it.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import blocks, by_channel
from minigrad.kernels.cpu.matmul import matmul

SMALL = 32 * 1024  # elements; below this, not even blocks are worth their while
BLOCK = 64 * 1024  # elements of one operand in cache, for functions of several steps
PIECE = 4096  # numbers that are summed in the dtype of x; the sums of pieces are added in float64


def _run(
    step: Callable[..., Any], operands: tuple[Any, ...], dtype: Any, blocked: bool,
    inplace: bool = False,
) -> Any:
    """Call `step(*operands, out)` on pieces of the operands that broadcast to one shape.

    The result lies in memory as the first operand of that shape does, whatever order its axes have
    there: arrays of one order are walked as one long line. With `inplace` it is the first operand
    itself, unless that lies where other processes cannot write.
    """
    arrays = [x for x in operands if isinstance(x, np.ndarray)]
    shape = arrays[0].shape  # NumPy takes 5 us to find that nothing is to be broadcast
    if any(x.shape != shape for x in arrays):
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
    axes = _memory_order(next((x for x in arrays if x.shape == shape), arrays[0]), len(shape))
    operands = tuple(
        (x if x.shape == shape else np.broadcast_to(x, shape)).transpose(axes)
        if isinstance(x, np.ndarray) else x
        for x in operands
    )
    if inplace and memory.is_shared(arrays[0]):
        out, result = arrays[0].transpose(axes), arrays[0]
    else:
        out = memory.empty(tuple(shape[axis] for axis in axes), dtype)
        result = out.transpose(sorted(range(len(axes)), key=axes.__getitem__))
    if out.size < SMALL:
        with np.errstate(all="ignore"):
            step(*operands, out)
        return result
    if all(x.flags.c_contiguous for x in operands if isinstance(x, np.ndarray)):
        operands = tuple(x.reshape(-1) if isinstance(x, np.ndarray) else x for x in operands)
        out = out.reshape(-1)
    row = max(1, out.size // len(out))
    block = max(1, BLOCK // row) if blocked else len(out)

    def run(start: int, stop: int) -> None:
        for piece in blocks(start, stop, block):
            step(*(x[piece] if isinstance(x, np.ndarray) else x for x in operands), out[piece])

    parallel(run, len(out), out.size)
    return result


def _memory_order(x: np.ndarray, ndim: int) -> list[int]:
    """The axes of x from the one with the longest stride to the one with the shortest."""
    if x.ndim != ndim or x.flags.c_contiguous:
        return list(range(ndim))
    return sorted(range(ndim), key=lambda axis: -builtins.abs(x.strides[axis]))


def _ufunc(ufunc: np.ufunc) -> Callable[..., Any]:
    """A NumPy ufunc as a kernel; Python numbers stay weak, so that they never widen the dtype."""

    def kernel(*operands: Any) -> Any:
        if all(not isinstance(x, np.ndarray) or x.size < SMALL for x in operands):
            with np.errstate(all="ignore"):
                return np.asarray(ufunc(*operands))
        types = [x.dtype if isinstance(x, np.ndarray) else type(x) for x in operands]
        dtype = ufunc.resolve_dtypes((*types, None))[-1]
        return _run(lambda *args: ufunc(*args[:-1], out=args[-1]), operands, dtype, blocked=False)

    kernel.__name__ = ufunc.__name__
    kernel.__doc__ = f"`numpy.{ufunc.__name__}`, on all cores."
    return kernel


add = _ufunc(np.add)
sub = _ufunc(np.subtract)
mul = _ufunc(np.multiply)
div = _ufunc(np.true_divide)
pow = _ufunc(np.power)
neg = _ufunc(np.negative)
exp = _ufunc(np.exp)
log = _ufunc(np.log)
sqrt = _ufunc(np.sqrt)
abs = _ufunc(np.absolute)
tanh = _ufunc(np.tanh)
sin = _ufunc(np.sin)
cos = _ufunc(np.cos)
floor = _ufunc(np.floor)
ceil = _ufunc(np.ceil)
trunc = _ufunc(np.trunc)
round = _ufunc(np.rint)
floor_divide = _ufunc(np.floor_divide)
maximum = _ufunc(np.maximum)
minimum = _ufunc(np.minimum)


def sign(x: np.ndarray) -> np.ndarray:
    """-1, 0 or 1; 0 for a NaN, unlike NumPy's."""

    def step(x: np.ndarray, out: np.ndarray) -> None:
        np.subtract((x > 0).view(np.int8), (x < 0).view(np.int8), out=out, casting="unsafe")

    return _run(step, (x,), x.dtype, blocked=True)


def where(c: np.ndarray, a: Any, b: Any) -> np.ndarray:
    """a where c, else b. Bits are blended: NumPy's own loop guesses at each c, mostly wrongly."""
    dtype = next(x.dtype for x in (a, b) if isinstance(x, np.ndarray))
    if dtype.itemsize > 8:
        return np.where(c, a, b)
    bits = np.dtype(f"i{dtype.itemsize}")

    def step(c: np.ndarray, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        mask = np.negative(c.view(np.int8), dtype=bits)  # no bits or all
        np.bitwise_xor(a, b, out=out)
        np.bitwise_and(out, mask, out=out)
        np.bitwise_xor(out, b, out=out)

    a, b = np.asarray(a, dtype).view(bits), np.asarray(b, dtype).view(bits)
    return _run(step, (c, a, b), bits, blocked=True).view(dtype)


def fused(formula: Callable[..., Any], *operands: np.ndarray) -> Any:
    """formula(numpy, *operands), which works element by element; of the first operand's dtype."""

    def step(*blocks: np.ndarray) -> None:
        np.copyto(blocks[-1], formula(np, *blocks[:-1]))

    return _run(step, operands, operands[0].dtype, blocked=True)


def copy(x: np.ndarray) -> np.ndarray:
    """A contiguous copy."""
    out = memory.empty(x.shape, x.dtype)
    if x.ndim:
        parallel(lambda i, j: np.copyto(out[i:j], x[i:j]), len(x), x.size)
    else:
        out[...] = x
    return out


def relu(x: np.ndarray, inplace: bool = False) -> np.ndarray:
    """max(x, 0), written over x where `inplace` can be done.

    NumPy is twice as fast at the maximum of two arrays as at that of an array and a number.
    """

    def step(x: np.ndarray, out: np.ndarray) -> None:
        zeros = _zeros(x.dtype)[: x.size].reshape(x.shape) if x.size <= BLOCK else 0
        np.maximum(x, zeros, out=out)

    return _run(step, (x,), x.dtype, True, inplace)


@functools.cache
def _zeros(dtype: np.dtype) -> np.ndarray:
    return np.zeros(BLOCK, dtype)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g where y, what relu gave, is not 0 (a NaN is not), else 0."""

    def step(g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        np.copyto(out, y != 0)  # this and a product of two arrays of a kind are faster than one
        np.multiply(out, g, out=out)  # of two kinds

    return _run(step, (g, y), g.dtype, blocked=True)


def leaky_relu(x: np.ndarray, negative_slope: float) -> np.ndarray:
    """x where x > 0, else negative_slope x."""

    def step(x: np.ndarray, out: np.ndarray) -> None:
        np.multiply(x, negative_slope, out=out)
        np.copyto(out, x, where=x > 0)

    return _run(step, (x,), x.dtype, blocked=True)


def leaky_relu_backward(g: np.ndarray, x: np.ndarray, negative_slope: float) -> np.ndarray:
    """g where x > 0, else negative_slope g."""

    def step(g: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
        np.multiply(g, negative_slope, out=out)
        np.copyto(out, g, where=x > 0)

    return _run(step, (g, x), g.dtype, blocked=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x)."""

    def step(x: np.ndarray, out: np.ndarray) -> None:
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, 1, out=out)
        np.reciprocal(out, out=out)

    return _run(step, (x,), x.dtype, blocked=True)


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g y (1 - y)."""

    def step(g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        np.subtract(1, y, out=out)
        np.multiply(out, y, out=out)
        np.multiply(out, g, out=out)

    return _run(step, (g, y), g.dtype, blocked=True)


def tanh_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g (1 - y^2)."""

    def step(g: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
        np.multiply(y, y, out=out)
        np.subtract(1, out, out=out)
        np.multiply(out, g, out=out)

    return _run(step, (g, y), g.dtype, blocked=True)


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """The probability that a standard normal number is below x, (1 + erf(x / sqrt 2)) / 2.

    NumPy has no erf. Below 0, e^(-x^2/2) times a polynomial in u = (|x| - 3) / (|x| + 3), which
    degree 19 makes right to 5e-16, and degree 9 to a rounding in float32; above, 1 minus that.
    """
    first, *others = _tail(19 if x.dtype == np.float64 else 9)

    def step(x: np.ndarray, out: np.ndarray) -> None:
        np.abs(x, out=out)
        u, tail = memory.empty(x.shape, x.dtype), memory.empty(x.shape, x.dtype)
        np.add(out, 3, out=u)
        np.divide(-6, u, out=u)
        np.add(u, 1, out=u)
        np.multiply(out, out, out=out)
        np.multiply(out, -0.5, out=out)
        np.exp(out, out=out)
        tail.fill(first)
        for coefficient in others:
            np.multiply(tail, u, out=tail)
            np.add(tail, coefficient, out=tail)
        np.multiply(out, tail, out=out)
        np.abs(np.subtract(x > 0, out, out=out), out=out)

    return _run(step, (x,), x.dtype, blocked=True)


@functools.cache
def _tail(degree: int) -> list[float]:
    """Coefficients of that polynomial, the highest first, fitted to `math.erfc` for |x| < 6."""
    from numpy.polynomial import Chebyshev, Polynomial

    def one(u: float) -> float:
        v = 3 * (1 + u) / (1 - u) / math.sqrt(2)
        r = float(np.float32(v))  # r * r is exact, and so e^(v^2) is right to the last digit
        return math.erfc(v) / 2 * math.exp(r * r) * math.exp((v - r) * (v + r))

    fit = Chebyshev.interpolate(np.vectorize(one), degree, domain=[-1, 1 / 3])
    return fit.convert(kind=Polynomial).coef[::-1].tolist()


def dropout(x: np.ndarray, p: float, generator: np.random.Generator) -> Any:
    """(x mask / (1 - p), mask): each element is kept with probability 1 - p."""
    mask = generator.random(x.shape, dtype=np.float32) >= p
    scale = 1.0 / (1.0 - p)

    def step(x: np.ndarray, mask: np.ndarray, out: np.ndarray) -> None:
        np.multiply(x, scale, out=out)
        np.multiply(out, mask, out=out)

    return _run(step, (x, mask), x.dtype, blocked=True), mask


def dropout_backward(g: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """g mask / (1 - p)."""
    return mul(mul(g, mask), 1.0 / (1.0 - p))


def index_add(gx: np.ndarray, index: Any, g: np.ndarray) -> None:
    """gx[index] += g, where an element that `index` names k times receives k terms.

    NumPy is fast for one index into a line only. So gx, contiguous, becomes one, unless it is so
    large that counting its positions would take longer.
    """
    if gx.ndim > 1 and gx.size < 8 * g.size:
        index = np.arange(gx.size).reshape(gx.shape)[index].reshape(-1)
        gx, g = gx.reshape(-1), g.reshape(-1)
    np.add.at(gx, index, g)


def sum_over_channels(g: np.ndarray) -> np.ndarray:
    """The sum over every axis but 1, the gradient of a bias: (N, O, ...) -> (O,)."""
    if g.ndim == 2:
        return matmul(np.ones((1, len(g)), g.dtype), g)[0]
    lines = by_channel(g)  # (O, P)
    gb = memory.empty(len(lines), g.dtype)

    def run(start: int, stop: int) -> None:
        gb[start:stop] = sum_of_lines(lines[start:stop])

    parallel(run, len(lines), g.size, blas=True)
    return gb


def sum_of_lines(x: np.ndarray) -> np.ndarray:
    """The sum of each line of x (O, P), (O,).

    BLAS's product with ones is twice as fast as NumPy's sum; of a piece, its error is small.
    """
    even, ones = x.shape[1] // PIECE * PIECE, np.ones(PIECE, x.dtype)
    pieces = np.matmul(x[:, :even].reshape(len(x), -1, PIECE), ones)
    rest = np.matmul(x[:, even:], ones[: x.shape[1] - even])
    return pieces.sum(1, dtype=np.result_type(x.dtype, np.float64)) + rest
