"""Activations: what bends the straight line between two layers.

Most are a line of arithmetic, which autograd differentiates. Those with a derivative of their own
are in `ops/elementwise.py` and `ops/activation.py`. `inplace` writes the result over the input.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from minigrad import ops
from minigrad.ops.activation import ELU, GELU, Hardtanh, SiLU, Softplus
from minigrad.ops.reduce import _floating
from minigrad.tensor import Tensor


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(input) / its sum along `dim`. Old listings leave `dim` out: see `_classes`."""
    return ops.softmax(input, _classes("softmax", input, dim, _stacklevel), dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """log(softmax(input)), without the underflow of taking the two steps apart."""
    return ops.log_softmax(input, _classes("log_softmax", input, dim, _stacklevel), dtype)


def _classes(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """`dim`, or where it is None PyTorch's guess, of which it warns: 1 of 2, 4 or more, else 0."""
    if dim is not None:
        return dim
    dim = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(f"[{name}] along which dimension? {dim} is a guess: say dim={dim}",
                  stacklevel=stacklevel)  # fmt: skip
    return dim


def _into(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input._inplace(result) if inplace else result


def _kept(input: Tensor, inplace: bool) -> Tensor:
    """What a composition may save of an input that it will be written over."""
    return ops.clone(input) if inplace else input


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere."""
    return _into(input, ops.leaky_relu(input, negative_slope), inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """input, but no less than min_val and no more than max_val; the slope at either is 0.

    Raises:
        ValueError: min_val is greater than max_val.
    """
    if min_val > max_val:
        raise ValueError(f"[hardtanh] min_val ({min_val}) must not exceed max_val ({max_val})")
    return _into(input, Hardtanh.apply(input, low=min_val, high=max_val), inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6). Source: Krizhevsky (2010), "Convolutional deep belief networks"."""
    return hardtanh(input, 0, 6, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where it is positive, alpha (e^input - 1) elsewhere. Source: Clevert et al. (2015)."""
    _floating("elu", input)
    return _into(input, ELU.apply(input, alpha=alpha), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """A scaled ELU that keeps a mean of 0 and a variance of 1. Source: Klambauer et al. (2017)."""
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    return _into(input, elu(_kept(input, inplace), alpha) * scale, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """alpha elu(input / alpha), which is smooth for every alpha. Source: Barron (2017)."""
    if alpha == 0:
        raise RuntimeError("[celu] alpha must not be 0")
    _floating("celu", input)
    return _into(input, elu(input * (1.0 / alpha)) * alpha, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta input)) / beta, a smooth ReLU; input itself where beta input > threshold."""
    _floating("softplus", input)
    return Softplus.apply(input, beta=beta, threshold=threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """ln sigmoid(input), without the overflow and underflow of taking the two steps apart."""
    return -softplus(-input, threshold=math.inf)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """input * P(input), P(x) the probability that a standard normal number is below x.

    Args:
        approximate: "tanh" takes (1 + tanh u) / 2 for P, u = sqrt(2 / pi) (x + 0.044715 x^3),
            which is the sigmoid of 2 u.

    Raises:
        RuntimeError: approximate is neither "none" nor "tanh".

    Source: Hendrycks and Gimpel (2016), arXiv:1606.08415.
    """
    _floating("gelu", input)
    if approximate == "none":
        return GELU.apply(input)
    if approximate != "tanh":
        raise RuntimeError(f"[gelu] approximate must be 'none' or 'tanh', got {approximate!r}")
    a, x = math.sqrt(8 / math.pi), hardtanh(input, -20, 20)  # beyond, P is 0 or 1, and x^3 large
    return input * ops.sigmoid(x * (x * x * (0.044715 * a) + a))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input), also called swish. Source: Elfwing et al. (2017)."""
    _floating("silu", input)
    return _into(input, SiLU.apply(input), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input)). Source: Misra (2019)."""
    x = _kept(input, inplace)
    return _into(input, x * ops.tanh(softplus(x)), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """A sigmoid of three straight lines: relu6(input + 3) / 6."""
    _floating("hardsigmoid", input)
    return _into(input, (hardtanh(_kept(input, inplace), -3, 3) + 3) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input). Source: Howard et al. (2019), MobileNetV3."""
    x = _kept(input, inplace)
    return _into(input, x * hardsigmoid(x), inplace)


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (ops.abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - ops.tanh(input)
