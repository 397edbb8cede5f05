"""Normalisation over other sets of numbers than a channel's: an image's, a group's, a row's.

All are batch normalisation in disguise: what shall have mean 0 and variance 1 is laid out as one
channel, and `standardize` takes it from there. Weight and bias come afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod

from minigrad import ops
from minigrad.amp.autocast_mode import in_single
from minigrad.autograd import no_grad
from minigrad.kernels.geometry import ShapeError
from minigrad.nn.functional.activation import hardtanh
from minigrad.ops.matmul import _same_dtype
from minigrad.ops.norm import standardize
from minigrad.ops.reduce import _floating
from minigrad.tensor import Tensor


@in_single("cuda")
def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over the last dimensions, then times weight plus bias.

    Shapes: input (..., *normalized_shape), weight and bias normalized_shape.

    Raises:
        RuntimeError: the shapes do not fit.

    Source: Ba, Kiros, Hinton (2016), arXiv:1607.06450.
    """
    shape = tuple(normalized_shape)
    start = input.ndim - len(shape)
    if not shape or start < 0 or tuple(input.shape[start:]) != shape:
        raise ShapeError(
            f"[layer_norm] normalized_shape {shape} must be the last sizes of the input "
            f"{tuple(input.shape)}"
        )
    _check("layer_norm", input, shape, weight, bias)
    rows = input.reshape(1, prod(input.shape[:start]), prod(shape))
    return _affine(standardize(rows, eps).reshape(input.shape), weight, bias)


@in_single("cuda")
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 over the C / num_groups channels of each group of each image.

    Shapes: input (N, C, ...), weight and bias (C,), applied to each channel afterwards.

    Raises:
        ShapeError: num_groups does not divide C, or a group holds a single value.

    Source: Wu, He (2018), arXiv:1803.08494.
    """
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            f"[group_norm] expects (N, C, ...) with C divisible by num_groups ({num_groups}), got "
            f"{tuple(input.shape)}"
        )
    n, c, *size = input.shape
    if n * c // num_groups * prod(size) == 1:
        raise ShapeError(
            f"[group_norm] expected more than 1 value per group when training, got input size "
            f"{tuple(input.shape)}"
        )
    _check("group_norm", input, (c,), weight, bias)
    groups = input.reshape(1, n * num_groups, c // num_groups * prod(size))
    weight, bias = (
        None if t is None else t.reshape(c, *[1] * len(size)) for t in (weight, bias)
    )
    return _affine(standardize(groups, eps).reshape(input.shape), weight, bias)


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None,
    weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:
    """Mean 0 and variance 1 for each channel of each image, then times weight plus bias.

    Shapes: input (N, C, ...), all else (C,). Running statistics, where given, move towards the mean
    over the batch of the images' (see `batch_norm`); use_input_stats=False normalises by them.

    Raises:
        ShapeError: a single value a channel, or sizes that differ from C.

    Source: Ulyanov, Vedaldi, Lempitsky (2016), arXiv:1607.08022.
    """
    if not use_input_stats:
        return ops.batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    if input.ndim < 3 or prod(input.shape[2:]) == 1:
        raise ShapeError(
            f"[instance_norm] expected (N, C, ...) with more than 1 spatial element when training, "
            f"got input size {tuple(input.shape)}"
        )
    n, c = input.shape[:2]
    _check("instance_norm", input, (c,), weight, bias)
    w, b = (None if t is None else t.expand(n, c).reshape(n * c) for t in (weight, bias))
    mean, var = (
        None if t is None else t.detach().expand(n, c).clone().reshape(n * c)
        for t in (running_mean, running_var)
    )
    images = input.reshape(1, n * c, *input.shape[2:])
    y = ops.batch_norm(images, mean, var, w, b, training=True, momentum=momentum, eps=eps)
    with no_grad():
        for running, now in ((running_mean, mean), (running_var, var)):
            if running is not None and now is not None and n:
                running.copy_(now.reshape(n, c).mean(0))
    return y.reshape(input.shape)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide each value by a power of the energy of the `size` channels around it.

    See `ops.local_response_norm`. Of integers PyTorch takes the mean of the squares as an integer,
    and so does this.
    """
    if input.is_floating_point() or not input.numel() or input.ndim < 3 or size < 1:
        return ops.local_response_norm(input, size, alpha, beta, k)
    n, c = input.shape[:2]
    squares = (input * input).reshape(n, 1, c, prod(input.shape[2:]))
    squares = ops.pad(squares, (0, 0, size // 2, (size - 1) // 2))
    energy = ops.avg_pool2d(squares, (size, 1), 1).reshape(input.shape)
    return input / (energy * alpha + k) ** beta


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """input / max(its p-norm along dim, eps). Source: PyTorch, `torch.nn.functional.normalize`."""
    _floating("normalize", input)
    size = ops.abs(input)
    if p == math.inf:
        norm = ops.amax(size, dim, keepdim=True)
    elif p == 0:
        norm = ops.sum(input != 0, dim, keepdim=True).to(input.dtype)
    else:
        total = ops.sum(input * input if p == 2 else size**p, dim, keepdim=True)
        empty = total == 0  # a root has no slope there: take that of 1, and multiply by 0
        norm = (total + empty) ** (1 / p) * (total != 0)
    return input / hardtanh(norm, eps, math.inf)


def _check(
    name: str, input: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None
) -> None:
    _floating(name, input)
    _same_dtype(name, input, weight, bias)
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ShapeError(f"[{name}] {what} must have shape {shape}, got {tuple(tensor.shape)}")


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
