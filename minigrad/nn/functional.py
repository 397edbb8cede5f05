"""The operations of neural networks as functions, under PyTorch's names: `F.conv2d(x, w, b)`.

This is the index; each function is documented where it stands beside its derivative, in `ops/`.
"""

from __future__ import annotations

from minigrad import creation, dtypes, ops
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


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at each class and zeros elsewhere: (...) of int64 gives (..., C).

    Args:
        num_classes: C; -1 for one more than the largest class.

    Raises:
        RuntimeError: the classes are no int64, negative, or not below num_classes.
    """
    if tensor.dtype != dtypes.int64:
        raise RuntimeError(f"[one_hot] expected classes of dtype int64, got {tensor.dtype}")
    if not tensor.numel() and num_classes < 1:
        raise RuntimeError("[one_hot] there is no class from which to infer num_classes")
    count = int(tensor.max()) + 1 if num_classes == -1 else num_classes
    if tensor.numel() and not 0 <= int(tensor.min()) <= int(tensor.max()) < count:
        raise RuntimeError(f"[one_hot] expected classes from 0 to {count - 1}")
    classes = creation.arange(count, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).long()
