"""Losses: class numbers and probabilities, weights, classes to ignore, smoothing, reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import minigrad as mg
from minigrad.kernels import reference as ref
from minigrad.nn import functional
from tests.ops.samples import (
    Op,
    error,
    exactly,
    integers,
    normal,
    positive,
    probabilities,
    sample,
    spaced,
)

SCORES, CLASSES, WEIGHT = normal(4, 5), integers(0, 5, 4), positive(5).fixed
IGNORED = exactly([1, -100, 4, 0])
NOTHING_COUNTS = [sample("ignore-all", SCORES, exactly([2, 2, 2, 2]), ignore_index=2)]
SOME = exactly([[1, -100, 4], [0, 0, 3]])


def of_classes(name: str, *more: Any) -> Op:
    samples = [
        sample("mean", SCORES, CLASSES),
        sample("sum", SCORES, CLASSES, reduction="sum"),
        sample("none", SCORES, CLASSES, reduction="none"),
        sample("weight", SCORES, CLASSES, WEIGHT),
        sample("weight-none", SCORES, CLASSES, WEIGHT, reduction="none"),
        sample("ignore", SCORES, IGNORED, WEIGHT),
        sample("ignore-other", SCORES, exactly([1, 2, 4, 2]), ignore_index=2),
        sample("ignore-none", SCORES, IGNORED, reduction="none"),
        sample("images", normal(2, 5, 3, 2), integers(0, 5, 2, 3, 2), WEIGHT),
        sample("images-sum", normal(2, 5, 3), integers(0, 5, 2, 3), reduction="sum"),
        sample("one-image", normal(5), exactly(3), WEIGHT),
        sample("one-image-none", normal(5), exactly(3), reduction="none"),
        sample("size-1", normal(1, 1), exactly([0])),
        sample("empty", normal(0, 5), integers(0, 5, 0), reduction="sum"),
        sample("scattered", normal(4, 5).scattered, integers(0, 5, 4).scattered),
        *more,
    ]
    errors = [
        error("class", IndexError, "target 5 is out of bounds for 5 classes", normal(2, 5),
              exactly([1, 5])),
        error("shape", RuntimeError, r"class indices of shape \(4,\), got \(3,\)", SCORES,
              integers(0, 5, 3)),
        error("dtype", RuntimeError, "must be int64, got float64", normal(2, 5), normal(2)),
        error("weight", RuntimeError, "weight should hold 5 values", SCORES, CLASSES, normal(4)),
        error("reduction", ValueError, "'max' is not a valid value", SCORES, CLASSES,
              reduction="max"),
    ]
    beyond = ("one-image", "one-image-none")
    return Op(name, samples, errors, reference=getattr(ref, name), unreferenced=beyond)


FAR = exactly([-1e3, 40.0, 1e3, -40.0])
POSITIVE = np.array([0.5, 2.0, 1.0, 3.0])


def of_difference(name: str, draw: Any, *more: Any, errors: Any = (), **fields: Any) -> Op:
    samples = [
        sample("mean", draw(3, 4), normal(3, 4)),
        sample("0d", draw(), normal()),
        sample("sum", draw(3, 4), normal(3, 4), reduction="sum"),
        sample("none", draw(3, 4), normal(3, 4).scattered, reduction="none"),
        sample("empty", draw(0, 4), normal(0, 4), reduction="sum"),
        *more,
    ]
    mistakes = [
        error("shape", RuntimeError, r"\(3,\) and target \(3, 1\) must have", normal(3),
              normal(3, 1)),
        error("reduction", ValueError, "'max' is not", normal(3), normal(3), reduction="max"),
        *errors,
    ]
    numerical = "complex" if name == "mse_loss" else "central"
    return Op(name, samples, mistakes, numerical=numerical, **fields)


def reduced(losses: Any, reduction: str = "mean") -> Any:
    return losses if reduction == "none" else getattr(np, reduction)(losses)


def huber(d: Any, delta: float) -> Any:
    size = np.abs(d)
    return np.where(size < delta, d * d / 2, delta * (size - delta / 2))


def kl_div(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    losses = np.zeros(np.broadcast_shapes(x.shape, t.shape))
    for i in np.ndindex(losses.shape):
        q, p = (np.broadcast_to(array, losses.shape)[i] for array in (x, t))
        p, logp = (math.exp(p), p) if log_target else (p, math.log(p) if p else 0.0)
        losses[i] = p * (logp - q)
    return losses.sum() / len(x) if reduction == "batchmean" else reduced(losses, reduction)


def with_logits(x: Any, t: Any, w: Any = 1.0, *, pos_weight: Any = 1.0, **options: Any) -> Any:
    p = ref.sigmoid(x)
    losses = -pos_weight * t * np.log(p) - (1 - t) * np.log(1 - p)
    return reduced(losses * (1.0 if w is None else w), **options)


def with_pos_weight(function: Any, tensor: Any) -> Any:
    """The weight of a yes, an array, as a tensor like the input."""

    def run(x: Any, *args: Any, pos_weight: Any = None, **options: Any) -> Any:
        if isinstance(pos_weight, np.ndarray):
            pos_weight = tensor(pos_weight).to(x)
        return function(x, *args, pos_weight=pos_weight, **options)

    return run


OPS = [
    of_classes("nll_loss"),
    *(Op(name, NOTHING_COUNTS, numerical=None) for name in ("nll_loss", "cross_entropy")),
    of_classes(
        "cross_entropy",
        sample("smooth", SCORES, CLASSES, label_smoothing=0.2),
        sample("smooth-weight", normal(2, 5, 3), SOME, WEIGHT, label_smoothing=0.2),
        sample("smooth-sum", SCORES, IGNORED, WEIGHT, reduction="sum", label_smoothing=0.2),
        sample("smooth-none", SCORES, IGNORED, WEIGHT, reduction="none", label_smoothing=0.2),
        sample("probabilities", SCORES, probabilities(4, 5)),
        sample("probabilities-weight", normal(2, 5, 3), probabilities(2, 5, 3), WEIGHT,
               label_smoothing=0.2),
        sample("probabilities-sum", SCORES, probabilities(4, 5), reduction="sum"),
        sample("probabilities-none", SCORES, probabilities(4, 5), reduction="none"),
    ),
    of_difference("mse_loss", normal, reference=ref.mse_loss),
    of_difference("l1_loss", spaced, reference=lambda x, t, **options: reduced(
        np.abs(x - t), **options
    )),
    of_difference(
        "smooth_l1_loss", spaced,
        sample("beta", spaced(3, 4), normal(3, 4), beta=0.3),
        sample("beta-none", spaced(3, 4), normal(3, 4), beta=2.0, reduction="none"),
        sample("beta-0", spaced(3, 4), normal(3, 4), beta=0.0),
        errors=[error("beta", RuntimeError, "beta must not be negative, got -1", normal(3),
                      normal(3), beta=-1)],
        reference=lambda x, t, beta=1.0, **options: reduced(
            huber(x - t, beta) / beta if beta else np.abs(x - t), **options
        ),
    ),
    of_difference(
        "huber_loss", spaced,
        sample("delta", spaced(3, 4), normal(3, 4), delta=0.3),
        sample("delta-none", spaced(3, 4), normal(3, 4), delta=2.0, reduction="none"),
        errors=[error("delta", RuntimeError, "delta must be positive, got 0", normal(3), normal(3),
                      delta=0)],
        reference=lambda x, t, delta=1.0, **options: reduced(huber(x - t, delta), **options),
    ),
    Op("smooth_l1_loss", [sample("far", FAR, normal(4), reduction="none")], numerical=None),
    Op(
        "kl_div",
        [
            sample("mean", normal(3, 4), probabilities(3, 4)),
            sample("batchmean", normal(3, 4), probabilities(3, 4), reduction="batchmean"),
            sample("sum", normal(3, 4), probabilities(3, 4), reduction="sum"),
            sample("none", normal(3, 4), probabilities(3, 4).scattered, reduction="none"),
            sample("log", normal(3, 4), normal(3, 4), log_target=True),
            sample("log-batchmean", normal(3, 4), normal(3, 4), log_target=True,
                   reduction="batchmean"),
            sample("broadcast", normal(3, 4), probabilities(3, 1), reduction="sum"),
            sample("zeros", normal(2, 2), exactly([[0.0, 1.0], [0.25, 0.75]]).fixed),
        ],
        [error("reduction", ValueError, "'max' is not", normal(3), normal(3), reduction="max")],
        reference=kl_div, numerical="complex",
    ),
    Op(
        "binary_cross_entropy_with_logits",
        [
            sample("mean", normal(3, 4), positive(3, 4)),
            sample("0d", normal(), positive()),
            sample("sum", normal(3, 4), positive(3, 4), reduction="sum"),
            sample("none", normal(3, 4), positive(3, 4).scattered, reduction="none"),
            sample("weight", normal(3, 4), positive(3, 4), positive(4).fixed),
            sample("pos-weight", normal(3, 4), positive(3, 4), None, pos_weight=POSITIVE),
            sample("both", normal(3, 4), positive(3, 4), positive(3, 1).fixed, pos_weight=POSITIVE,
                   reduction="none"),
            sample("empty", normal(0, 4), positive(0, 4), reduction="sum"),
        ],
        [error("shape", ValueError, r"target size \(3,\) must be the same as input size \(3, 1\)",
               normal(3, 1), positive(3))],
        ours=with_pos_weight(functional.binary_cross_entropy_with_logits, mg.Tensor),
        theirs=with_pos_weight(F.binary_cross_entropy_with_logits, torch.from_numpy),
        reference=with_logits, unreferenced=("0d",), numerical="central",
    ),
    Op("binary_cross_entropy_with_logits",
       [sample("far", FAR, exactly([1.0, 0.0, 1.0, 0.0]), reduction="none")], numerical=None),
    Op(
        "binary_cross_entropy",
        [
            sample("mean", probabilities(3, 4), probabilities(3, 4).fixed),
            sample("sum", probabilities(3, 4), probabilities(3, 4), reduction="sum"),
            sample("none", probabilities(3, 4), probabilities(3, 4).scattered, reduction="none"),
            sample("weight", probabilities(3, 4), probabilities(3, 4), positive(4).fixed),
            sample("empty", positive(0, 4), positive(0, 4), reduction="sum"),
        ],
        [
            error("range", RuntimeError, "between 0 and 1", exactly([1.5]), exactly([1.0])),
            error("shape", ValueError, r"\[binary_cross_entropy\] target size \(3,\)",
                  normal(3, 1), positive(3)),
        ],
        reference=ref.binary_cross_entropy, numerical="central",
    ),
]
