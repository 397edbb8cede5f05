"""Losses: class numbers and probabilities, weights, classes to ignore, smoothing, reductions."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, normal, positive, probabilities, sample

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
    Op(
        "mse_loss",
        [
            sample("mean", normal(3, 4), normal(3, 4)),
            sample("0d", normal(), normal()),
            sample("sum", normal(3, 4), normal(3, 4), reduction="sum"),
            sample("none", normal(3, 4), normal(3, 4).scattered, reduction="none"),
            sample("empty", normal(0, 4), normal(0, 4), reduction="sum"),
        ],
        [
            error("shape", RuntimeError, r"\(3,\) and target \(3, 1\) must have", normal(3),
                  normal(3, 1)),
            error("reduction", ValueError, "'max' is not", normal(3), normal(3), reduction="max"),
        ],
        reference=ref.mse_loss,
    ),
]
