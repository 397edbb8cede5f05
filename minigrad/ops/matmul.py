"""Matrix products: `matmul` from vectors to batches, and `linear`, the fully connected layer.

For Y = A B the chain rule is two more products: dL/dA = G B^T and dL/dB = A^T G. Next: `conv.py`,
which turns a convolution into such a product.
"""

from __future__ import annotations

from typing import Any

from minigrad import dtypes, kernels
from minigrad.autograd import Function, casts
from minigrad.backend import Array
from minigrad.ops.elementwise import _broadcast, _promoted, add, mul
from minigrad.ops.shape import expand
from minigrad.tensor import Tensor


class MatMul(Function):
    """Y = A B over the last two dimensions;  dL/dA = G B^T, dL/dB = A^T G.

    A 1-D operand counts as a row (A) or a column (B); the other dimensions are a broadcast batch.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        needs_a, needs_b = self.needs_input_grad
        self.save_for_backward(a if needs_b else None, b if needs_a else None)
        self.row, self.column = a.ndim == 1, b.ndim == 1
        return kernels.of(a).matmul(a, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved_tensors
        matmul = kernels.of(g).matmul
        ga = gb = None
        if self.column:
            g = g[..., None]  # (..., M, 1)
        if self.row:
            g = g[..., None, :]  # (..., 1, P)
        if b is not None:
            ga = matmul(g, b[None] if self.column else b.swapaxes(-1, -2))  # (..., M, K)
            ga = ga[..., 0, :] if self.row else ga
        if a is not None:
            gb = matmul(a[:, None] if self.row else a.swapaxes(-1, -2), g)  # (..., K, P)
            gb = gb[..., 0] if self.column else gb
        return ga, gb


class Linear(Function):
    """y = x W^T + b;  dL/dx = g W, dL/dW = g^T x, dL/db = sum of g over the batch."""

    def forward(self, x: Array, w: Array, b: Array | None) -> Array:
        needs_x, needs_w, _ = self.needs_input_grad
        self.save_for_backward(x if needs_w else None, w if needs_x else None)
        self.shape = x.shape
        return kernels.of(x).linear(x, w, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, w = self.saved_tensors
        k = kernels.of(g)
        rows = g.reshape(-1, g.shape[-1])  # (batch, O)
        gx = gw = gb = None
        if self.needs_input_grad[0]:
            gx = k.matmul(rows, w).reshape(self.shape)
        if self.needs_input_grad[1]:
            gw = k.matmul(rows.T, x.reshape(-1, self.shape[-1]))  # (O, I)
        if self.needs_input_grad[2]:
            gb = k.sum_over_channels(rows)
        return gx, gw, gb


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product: of vectors, matrices, or batches of matrices (broadcast).

    Shapes: (..., M, K) with (..., K, P) gives (..., M, P); (K,) counts as a row or a column.

    Raises:
        RuntimeError: an operand is 0-d, the inner sizes differ, or the batches do not broadcast;
            shows both shapes.
    """
    a, b = _promoted(input, other)
    if not isinstance(b, Tensor) or not a.ndim or not b.ndim:
        raise RuntimeError("[matmul] both arguments need at least one dimension")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise RuntimeError(
            f"[matmul] shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be multiplied: the "
            f"inner sizes differ ({a.shape[-1]} and {b.shape[-2 if b.ndim > 1 else -1]})"
        )
    if not _broadcast(a.array.shape[:-2], b.array.shape[:-2]):
        raise RuntimeError(
            f"[matmul] shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be multiplied: all "
            "dimensions but the last two are a batch, and these do not broadcast"
        )
    return MatMul.apply(a, b)


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (M, K) with (K, P), of one dtype."""
    return _product("mm", 2, input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (N, M, K) with (N, K, P), of one dtype."""
    return _product("bmm", 3, input, mat2)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); with beta = 0, input counts for nothing, NaN or not."""
    product = _product("addmm", 2, mat1, mat2)
    _same_dtype("addmm", input, mat1)
    input = expand(input, product.shape)
    product = product if alpha == 1 else mul(product, alpha)
    return add(product, input if beta == 1 else mul(input, beta)) if beta else product


def _product(name: str, ndim: int, a: Tensor, b: Tensor) -> Tensor:
    if a.ndim != ndim or b.ndim != ndim or a.shape[:-2] != b.shape[:-2]:
        raise RuntimeError(
            f"[{name}] expected two {ndim}-D tensors"
            f"{' with as many matrices each' if ndim == 3 else ''}, got shapes {tuple(a.shape)} "
            f"and {tuple(b.shape)}: matmul broadcasts"
        )
    _same_dtype(name, a, b)
    return matmul(a, b)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Each element of one vector times each of the other: (M,) with (P,) gives (M, P)."""
    if input.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(f"[outer] expected two vectors, got {input.ndim}-D and {vec2.ndim}-D")
    return mul(input[:, None], vec2)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input W^T + bias.

    Shapes: input (..., I), weight (O, I), bias (O,); the result is (..., O).

    Raises:
        RuntimeError: the sizes do not fit; shows both and says which should be equal.
    """
    if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"[linear] input of shape {tuple(input.shape)} does not fit weight of shape "
            f"{tuple(weight.shape)}: the input's last size must be {weight.shape[-1]}, the weight's"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise RuntimeError(
            f"[linear] bias of shape {tuple(bias.shape)} does not fit weight of shape "
            f"{tuple(weight.shape)}: expected ({weight.shape[0]},)"
        )
    _same_dtype("linear", input, weight, bias)
    return Linear.apply(input, weight, bias)


def _same_dtype(name: str, *tensors: Tensor | None) -> None:
    """Layers do not promote: a float64 batch in a float32 network is a mistake to point out.

    Raises:
        RuntimeError: the dtypes differ, and not in what `autocast` takes care of.
    """
    found = [x.dtype for x in tensors if x is not None]
    kinds = {dtypes.accumulator(dtype) for dtype in found} if casts() else set(found)
    if len(kinds) > 1:
        raise RuntimeError(
            f"[{name}] expected tensors of one dtype, got {', '.join(map(str, found))}: convert "
            "one of them, "
            "for instance with .float()"
        )
