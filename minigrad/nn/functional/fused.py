"""Several operations as one launch, on a GPU: there a pass over memory costs more than arithmetic.

Each computes what the composed operations do, which remain the definition, and stand in the file
that calls it; read `loss.py` first. The kernels are in `kernels/cuda` alone.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from minigrad import ops
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels import geometry
from minigrad.kernels.geometry import Pad, Pair
from minigrad.ops.pool import _pool_options
from minigrad.tensor import Tensor


def _cuda() -> ModuleType:
    from minigrad.kernels.cuda import one_pass

    return one_pass


class SoftmaxCrossEntropy(Function):
    """l = log(sum exp x) - x_t;  dL/dx = g (softmax(x) - onehot(t)), divided by N for the mean.

    By-product: how many rows have their highest score at their target.
    """

    def forward(
        self, x: Array, target: Array, *, ignore_index: int, mean: bool
    ) -> tuple[Array, Array]:  # (N, C), (N,)
        loss, hits, unit, count = _cuda().cross_entropy(
            x, target, ignore_index, mean, need_gradient=self.needs_input_grad[0]
        )
        self.save_for_backward(unit, count)
        return loss, hits

    def backward(self, g: Array) -> tuple[Array, None]:
        return _cuda().cross_entropy_backward(g, *self.saved_tensors), None


class BiasReLUMaxPool2d(Function):
    """y = relu(max over the window + b);  dL/dx[first maximum] += g, dL/db = sum g where y != 0.

    Keeps a byte an output: where the maximum was, or that the ReLU cut it off.
    """

    def forward(
        self, x: Array, b: Array, *, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair,
        ceil_mode: bool,
    ) -> Array:  # (N, C, H, W), (C,) -> (N, C, OH, OW)
        self.x_shape, self.options = x.shape, (kernel_size, stride, pad, dilation)
        y, code = _cuda().bias_relu_max_pool2d(
            x, b, *self.options, ceil_mode, need_code=any(self.needs_input_grad)
        )
        self.save_for_backward(code)
        return y

    def backward(self, g: Array) -> tuple[Array, Array]:
        return _cuda().bias_relu_max_pool2d_backward(
            g, *self.saved_tensors, self.x_shape, *self.options
        )


class BiasReLU(Function):
    """y = relu(x + b);  dL/dx = g where y != 0, dL/db = sum of that."""

    def forward(self, x: Array, b: Array) -> Array:  # (N, C, ...), (C,)
        y = _cuda().bias_relu(x, b)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> tuple[Array, Array]:
        return _cuda().bias_relu_backward(g, *self.saved_tensors)


def bias_relu(input: Tensor, bias: Tensor) -> Tensor:
    """relu(input + bias), a number a channel, for (N, C, ...) on a GPU."""
    return BiasReLU.apply(input, ops.to(bias, input.dtype))


def bias_relu_max_pool2d(
    input: Tensor, bias: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool,
) -> Tensor:
    """relu(max_pool2d(input + bias)), for images (N, C, H, W) on a GPU."""
    kernel, stride, pad = _pool_options("max_pool2d", kernel_size, stride, padding)
    if math.prod(kernel) > 255:  # a byte could not tell the places apart
        y = input + bias[:, None, None]
        return ops.relu(ops.max_pool2d(y, kernel_size, stride, padding, dilation, ceil_mode))
    dilation = geometry.pair(dilation, "[max_pool2d] dilation")
    geometry.check_pool(input.shape, kernel, stride, pad, dilation, ceil_mode)
    return BiasReLUMaxPool2d.apply(
        input, ops.to(bias, input.dtype), kernel_size=kernel, stride=stride, pad=pad,
        dilation=dilation, ceil_mode=bool(ceil_mode),
    )
