"""Matrix products: `matmul` from vectors to batches, and `linear`, the fully connected layer.

For Y = A B the chain rule is two more products: dL/dA = G B^T and dL/dB = A^T G. Next: `conv.py`,
which turns a convolution into such a product.
"""

from __future__ import annotations

from minigrad import kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.elementwise import _operands
from minigrad.tensor import Tensor


class MatMul(Function):
    """Y = A B over the last two dimensions;  dL/dA = G B^T, dL/dB = A^T G.

    A 1-D operand counts as a row (A) or a column (B); the other dimensions are a broadcast batch.
    """

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        self.save_for_backward(a, b)
        return kernels.of(a).matmul(a, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved_tensors
        matmul = kernels.of(g).matmul
        row, column = a.ndim == 1, b.ndim == 1
        if column:
            b, g = b[:, None], g[..., None]  # (K, 1), (..., M, 1)
        if row:
            a, g = a[None], g[..., None, :]  # (1, K), (..., 1, P)
        ga = gb = None
        if self.needs_input_grad[0]:
            ga = matmul(g, b.swapaxes(-1, -2))  # (..., M, K)
            ga = ga[..., 0, :] if row else ga
        if self.needs_input_grad[1]:
            gb = matmul(a.swapaxes(-1, -2), g)  # (..., K, P)
            gb = gb[..., 0] if column else gb
        return ga, gb


class Linear(Function):
    """y = x W^T + b;  dL/dx = g W, dL/dW = g^T x, dL/db = sum of g over the batch."""

    def forward(self, x: Array, w: Array, b: Array | None) -> Array:
        self.save_for_backward(x, w)
        return kernels.of(x).linear(x, w, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, w = self.saved_tensors
        k = kernels.of(g)
        rows = g.reshape(-1, w.shape[0])  # (batch, O)
        gx = gw = gb = None
        if self.needs_input_grad[0]:
            gx = k.matmul(rows, w).reshape(x.shape)
        if self.needs_input_grad[1]:
            gw = k.matmul(rows.T, x.reshape(-1, w.shape[1]))  # (O, I)
        if self.needs_input_grad[2]:
            gb = k.sum_over_channels(rows)
        return gx, gw, gb


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product: of vectors, matrices, or batches of matrices (broadcast).

    Shapes: (..., M, K) with (..., K, P) gives (..., M, P); (K,) counts as a row or a column.

    Raises:
        RuntimeError: an operand is 0-d, or the inner sizes differ; shows both shapes.
    """
    a, b = _operands(input, other)
    if not isinstance(b, Tensor) or not a.ndim or not b.ndim:
        raise RuntimeError("[matmul] both arguments need at least one dimension")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else -1]:
        raise RuntimeError(
            f"[matmul] shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be multiplied: the "
            f"inner sizes differ ({a.shape[-1]} and {b.shape[-2 if b.ndim > 1 else -1]})"
        )
    return MatMul.apply(a, b)


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
        RuntimeError: the dtypes differ.
    """
    found = [str(x.dtype) for x in tensors if x is not None]
    if len(set(found)) > 1:
        raise RuntimeError(
            f"[{name}] expected input, weight and bias of one dtype, got {', '.join(found)}: "
            "convert the input, for instance with .float()"
        )
