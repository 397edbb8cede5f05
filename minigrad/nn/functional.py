"""The operations of neural networks as functions, under PyTorch's names: `F.conv2d(x, w, b)`.

This is the index; each function is documented where it stands beside its derivative, in `ops/`.
"""

from __future__ import annotations

from minigrad import ops
from minigrad.ops import (  # noqa: F401 - re-exported
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    conv2d,
    cross_entropy,
    dropout,
    fold,
    linear,
    local_response_norm,
    log_softmax,
    max_pool2d,
    mse_loss,
    nll_loss,
    pad,
    relu,
    sigmoid,
    softmax,
    tanh,
    unfold,
)
from minigrad.tensor import Tensor


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere."""
    result = ops.leaky_relu(input, negative_slope)
    return input._inplace(result) if inplace else result
