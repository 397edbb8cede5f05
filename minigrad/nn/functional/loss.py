"""Losses: what training makes small.

Most are built from elementwise operations, and autograd differentiates them. Cross-entropy is
log-softmax followed by `nll_loss`, the negative log-likelihood of the right class; the Functions
are in `ops/loss.py`, and what does both at once on a GPU in `fused.py`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from minigrad import ops
from minigrad.amp.autocast_mode import in_single
from minigrad.kernels.geometry import ShapeError
from minigrad.nn.functional.activation import hardtanh, softplus
from minigrad.nn.functional.fused import SoftmaxCrossEntropy
from minigrad.ops.loss import BCELoss, _check_classes, _check_reduction
from minigrad.tensor import Tensor


def two_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which also takes what PyTorch had before `reduction`: size_average and reduce."""

    @wraps(function)
    def called(
        *args: Any, size_average: bool | None = None, reduce: bool | None = None, **options: Any
    ) -> Any:
        if size_average is not None or reduce is not None:
            how = "none" if reduce is False else "sum" if size_average is False else "mean"
            warnings.warn(f"size_average and reduce are old: say reduction={how!r}", stacklevel=2)
            options["reduction"] = how
        return function(*args, **options)

    return called


nll_loss = two_flags(ops.nll_loss)


@two_flags
@in_single("cpu", "cuda")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy between softmax(input) and the target.

    Shapes: input (N, C), (N, C, d1, ...) or (C,), raw scores; target either class indices (input's
    shape without C) or class probabilities (input's shape, floating point); weight (C,).

    Args:
        label_smoothing: mixes the target with this much of the uniform distribution.

    Source: PyTorch, `torch.nn.functional.cross_entropy`.
    """
    _check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"[cross_entropy] label_smoothing must be in 0..1, got {label_smoothing}")
    if not input.ndim:
        raise ShapeError("[cross_entropy] input needs a dimension of classes, got shape ()")
    plain = weight is None and not label_smoothing and reduction != "none"
    if input.is_cuda and input.ndim == 2 and plain and not target.is_floating_point():
        return _fused(input, target, ignore_index, reduction == "mean")[0]
    channel = 0 if input.ndim == 1 else 1
    logp = ops.log_softmax(input, channel)
    if target.shape == input.shape and target.is_floating_point():
        return _probabilities(logp, target, weight, channel, reduction, label_smoothing)
    hard = ops.nll_loss(logp, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    # The uniform part: -sum_c w_c log p_c / C for each target that is not ignored.
    kept = target != ignore_index
    everywhere = -ops.sum(logp if weight is None else logp * _along(weight, logp, channel), channel)
    soft = everywhere * kept.to(input.dtype)
    if reduction == "sum":
        soft = ops.sum(soft)
    elif reduction == "mean":
        counted = kept if weight is None else weight[target * kept.long()] * kept
        soft = ops.sum(soft) / ops.sum(counted.to(input.dtype))
    return hard * (1.0 - label_smoothing) + soft * (label_smoothing / input.shape[channel])


def cross_entropy_and_hits(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """`cross_entropy`, and how many of the highest scores are the target's: int64, of shape ().

    Shapes: input (N, C), target (N,). On a GPU it is one pass over the scores, and nobody waits.
    """
    if input.is_cuda and input.ndim == 2:
        return _fused(input, target, -100, mean=True)
    hits = ops.sum(ops.argmax(input.detach(), 1) == target)
    return cross_entropy(input, target), hits


def _fused(input: Tensor, target: Tensor, ignore_index: int, mean: bool) -> tuple[Tensor, Tensor]:
    _check_classes("cross_entropy", input, target, ignore_index)
    return SoftmaxCrossEntropy.apply(input, target, ignore_index=ignore_index, mean=mean)


def _probabilities(
    logp: Tensor, target: Tensor, weight: Tensor | None, channel: int, reduction: str,
    label_smoothing: float,
) -> Tensor:
    if label_smoothing:
        uniform = label_smoothing / logp.shape[channel]
        target = target * (1.0 - label_smoothing) + uniform
    if weight is not None:
        target = target * _along(weight, logp, channel)
    return _reduce(-ops.sum(logp * target, channel), reduction)


def _along(weight: Tensor, like: Tensor, channel: int) -> Tensor:
    return weight.reshape([-1 if i == channel else 1 for i in range(like.ndim)])


@two_flags
@in_single("cpu", "cuda")
def mse_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """The squared difference, averaged, summed, or as it is. The shapes must be equal.

    `weight` multiplies each, and the average is the weighted one.

    PyTorch only warns about shapes that broadcast; here that is an error, since (N,) against
    (N, 1) is nearly always a mistake.
    """
    d = _difference("mse_loss", input, target, reduction)
    return _reduce(d * d, reduction, weight)


@two_flags
@in_single("cpu", "cuda")
def l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """|input - target|, averaged, summed, or as it is; `weight` as in `mse_loss`."""
    return _reduce(ops.abs(_difference("l1_loss", input, target, reduction)), reduction, weight)


@two_flags
@in_single("cpu", "cuda")
def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target.

    The shapes must be equal; beta=0 is `l1_loss`. Source: Girshick (2015), "Fast R-CNN".
    """
    if beta < 0:
        raise RuntimeError(f"[smooth_l1_loss] beta must not be negative, got {beta}")
    d = _difference("smooth_l1_loss", input, target, reduction)
    return _reduce(_huber(d, beta) / beta if beta else ops.abs(d), reduction)


@in_single("cpu", "cuda")
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), for d = input - target.

    The shapes must be equal. Source: Huber (1964), "Robust estimation of a location parameter".
    """
    if delta <= 0:
        raise RuntimeError(f"[huber_loss] delta must be positive, got {delta}")
    return _reduce(_huber(_difference("huber_loss", input, target, reduction), delta), reduction)


def _huber(d: Tensor, delta: float) -> Tensor:
    """c (d - c / 2), c being d clamped to +-delta: one formula for the parabola and the lines."""
    c = hardtanh(d, -delta, delta)
    return c * (d - c * 0.5)


@two_flags
@in_single("cpu", "cuda")
def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target * (log target - input), `input` being the logarithm of the model's probabilities.

    Args:
        reduction: "batchmean" divides the sum by the batch's size, which the Kullback-Leibler
            divergence is; "mean" by the number of elements.
        log_target: whether `target` holds logarithms, too.
    """
    if reduction != "batchmean":
        _check_reduction("kl_div", reduction)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        # 0 log 0 is 0: where the target is 0, the logarithm is taken of 1.
        loss = target * (ops.log(target + (target == 0)) - input)
    if reduction == "batchmean":
        return ops.sum(loss) / input.shape[0]
    return _reduce(loss, reduction)


@two_flags
@in_single("cpu", "cuda")
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-t log p - (1 - t) log(1 - p) for the target t and p = sigmoid(input).

    Both logarithms are softplus, which is exact for every input. `weight` multiplies each loss and
    `pos_weight` its first term; both broadcast.

    Raises:
        ValueError: input and target differ in shape.
    """
    _check_binary("binary_cross_entropy_with_logits", input, target, reduction)
    hit = target if pos_weight is None else target * pos_weight
    loss = hit * softplus(-input, threshold=math.inf)
    loss = loss + (1 - target) * softplus(input, threshold=math.inf)
    return _reduce(loss if weight is None else loss * weight, reduction)


@two_flags
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-t log p - (1 - t) log(1 - p) for the target t and the probability p = input.

    The logarithms are cut off at -100. Where p comes from a sigmoid,
    `binary_cross_entropy_with_logits` is exact everywhere. `weight` multiplies each loss and
    broadcasts.

    Raises:
        ValueError: input and target differ in shape.
        RuntimeError: an input outside of 0..1 (on the CPU).
    """
    _check_binary("binary_cross_entropy", input, target, reduction)
    if not input.is_cuda and not ((input.array >= 0) & (input.array <= 1)).all():
        raise RuntimeError("[binary_cross_entropy] all elements of input should be between 0 and 1")
    loss = BCELoss.apply(input, target)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _check_binary(name: str, input: Tensor, target: Tensor, reduction: str) -> None:
    _check_reduction(name, reduction)
    if input.shape != target.shape:
        raise ShapeError(
            f"[{name}] target size {tuple(target.shape)} must be the same as input size "
            f"{tuple(input.shape)}"
        )


def _difference(name: str, input: Tensor, target: Tensor, reduction: str) -> Tensor:
    """input - target; shapes that differ are an error, as in `mse_loss`."""
    _check_reduction(name, reduction)
    if input.shape != target.shape:
        raise ShapeError(
            f"[{name}] input {tuple(input.shape)} and target {tuple(target.shape)} must have the "
            "same shape: reshape one of them"
        )
    return input - target


def _reduce(loss: Tensor, reduction: str, weight: Tensor | None = None) -> Tensor:
    if weight is not None:
        if weight.shape != loss.shape:
            raise ShapeError(
                f"weight {tuple(weight.shape)} must have the shape of input {tuple(loss.shape)}"
            )
        loss = loss * weight
        if reduction == "mean":
            return ops.sum(loss) / ops.sum(weight)
    if reduction == "none":
        return loss
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)
