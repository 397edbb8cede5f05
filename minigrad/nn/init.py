"""Initial values: fill a tensor in place, outside of any graph, and return it.

All random numbers come from the generator of the tensor's device (`minigrad.manual_seed`), in the
tensor's dtype. Layers initialise themselves with `default_`. Source: PyTorch, `torch.nn.init`.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.backend import Array
from minigrad.tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4.0,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must grow so that the signal survives the nonlinearity.

    `param` is the negative slope of "leaky_relu", 0.01 by default: sqrt(2 / (1 + slope^2)).

    Raises:
        ValueError: an unknown nonlinearity, or a slope that is no number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element is `val`."""
    return _set(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element is 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element is 1."""
    return constant_(tensor, 1.0)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform over [a, b)."""
    values = _draw(tensor, "random", generator)
    values *= b - a
    values += a
    return _set(tensor, values)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None
) -> Tensor:
    """Normal with this mean and standard deviation."""
    values = _draw(tensor, "standard_normal", generator)
    values *= std
    values += mean
    return _set(tensor, values)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Normal, but what falls outside [a, b] is drawn again. Note that a and b are not in stds.

    Raises:
        ValueError: almost nothing of the normal distribution lies between a and b.
    """
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if inside < 0.01:
        raise ValueError(
            f"[trunc_normal_] only {inside:.1g} of a normal distribution with mean {mean} and "
            f"std {std} lies in [{a}, {b}]: widen the bounds, or move them towards the mean"
        )
    array = normal_(tensor, mean, std, generator).array
    outside = (array < a) | (array > b)
    while outside.any():
        array[outside] = normal_(Tensor(array[outside]), mean, std, generator).array
        outside = (array < a) | (array > b)
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out). Source: Glorot and Bengio (2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out). Source: Glorot and Bengio (2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform with variance gain^2 / fan, as `kaiming_normal_`."""
    if not tensor.numel():
        return _nothing_to_do(tensor)
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with variance gain^2 / fan.

    Args:
        a: the negative slope of the "leaky_relu" that follows.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.

    Source: He et al. (2015), "Delving deep into rectifiers".
    """
    if not tensor.numel():
        return _nothing_to_do(tensor)
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """How Linear and Conv2d begin: weight and bias uniform within +-1/sqrt(fan_in).

    PyTorch writes the weight's bound as kaiming_uniform_(a=sqrt(5)), which is the same number.
    """
    kaiming_uniform_(weight, a=math.sqrt(5))
    fan_in, _ = _fans(weight)
    if bias is not None and fan_in > 0:
        bound = 1 / math.sqrt(fan_in)
        uniform_(bias, -bound, bound)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs of one output, and outputs of one input, of a weight (O, C, *kernel)."""
    if tensor.ndim < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    out_channels, in_channels, *kernel = tensor.shape
    return in_channels * math.prod(kernel), out_channels * math.prod(kernel)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ["fan_in", "fan_out"]
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[modes.index(mode)])


def _nothing_to_do(tensor: Tensor) -> Tensor:
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return tensor


def _normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _draw(tensor: Tensor, distribution: str, generator: Any) -> Array:
    """Random numbers of the tensor's shape; float16 is drawn as float32."""
    generator = generator or backend.generator(tensor.device)
    dtype = np.float64 if tensor.dtype == np.float64 else np.float32
    with backend.use_device_of(tensor.array):
        return getattr(generator, distribution)(size=tuple(tensor.shape), dtype=dtype)


def _set(tensor: Tensor, values: Any) -> Tensor:
    tensor.array[...] = values
    tensor._version.count += 1
    return tensor
