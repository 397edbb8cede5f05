"""Losses: how wrong the network is, in one number.

Classes lie on axis 1, as everywhere in PyTorch. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.reference.precision import in_double
from minigrad.kernels.reference.softmax import log_softmax


def _reduce(losses: np.ndarray, weights: float, reduction: str) -> np.ndarray:
    if reduction == "none":
        return losses
    total = losses.sum()
    return np.array(total / weights if reduction == "mean" else total)


@in_double
def nll_loss(
    logp: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> np.ndarray:
    """-weight[t] * logp[t], t the target class; the mean divides by the sum of the weights.

    logp (N, C, ...), target (N, ...) integers, weight (C,). Where the target is `ignore_index`,
    the loss and its weight are 0.
    """
    return _nll(logp, target, weight, ignore_index, reduction, 0.0)


def _nll(
    logp: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
) -> np.ndarray:
    classes = logp.shape[1]
    weight = np.ones(classes) if weight is None else weight
    losses, weights = np.zeros(target.shape), 0.0
    for index in np.ndindex(target.shape):
        t = target[index]
        if t == ignore_index:
            continue
        n, *place = index
        scores = logp[(n, slice(None), *place)]  # (C,)
        losses[index] = -(1 - smoothing) * weight[t] * scores[t]
        if smoothing:
            losses[index] -= smoothing / classes * (weight * scores).sum()
        weights += weight[t]
    return _reduce(losses, weights, reduction)


@in_double
def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """-sum over c of weight[c] * p[c] * log_softmax(x)[c].

    x (N, C, ...); target (N, ...) class numbers, where p is 1 at the class, or p itself, shaped as
    x. Label smoothing e mixes p with the uniform: (1 - e) * p + e / C. The mean over class numbers
    divides by the weights of the targets, the mean over probabilities by their number.
    """
    logp = log_softmax(x, 1)
    if target.shape != x.shape:
        return _nll(logp, target, weight, ignore_index, reduction, label_smoothing)
    classes = x.shape[1]
    p = (1 - label_smoothing) * target + label_smoothing / classes
    by_class = np.moveaxis(p * logp, 1, -1)  # (N, ..., C)
    losses = -(by_class if weight is None else by_class * weight).sum(axis=-1)
    return _reduce(losses, losses.size, reduction)


@in_double
def mse_loss(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """(x - target)**2."""
    losses = (x - target) ** 2
    return _reduce(losses, losses.size, reduction)


@in_double
def binary_cross_entropy(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray | float = 1.0, reduction: str = "mean"
) -> np.ndarray:
    """-weight * (target * log(x) + (1 - target) * log(1 - x)), no logarithm below -100."""
    yes, no = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    losses = -weight * (target * yes + (1 - target) * no)
    return _reduce(losses, losses.size, reduction)
