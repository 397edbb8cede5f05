"""Normalisation: over neighbouring channels, over the batch, over the scores of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F

import minigrad as mg
from minigrad import ops
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, normal, positive, sample
from tests.ops.table.reduce import NO_SUCH_DIM


def lrn_options(
    size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Any, ...]:
    return size, alpha, beta, k


def statistics(x: Any, mean: Any, var: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    if options.get("training"):
        mean, var = ref.batch_norm_stats(x)
    return mean, 1 / np.sqrt(var + options.get("eps", 1e-5))


def batch_norm(x: Any, mean: Any, var: Any, w: Any = None, b: Any = None, **options: Any) -> Any:
    return ref.batch_norm(x, *statistics(x, mean, var, options), w, b)


def batch_norm_backward(
    g: Any, x: Any, mean: Any, var: Any, w: Any = None, b: Any = None, **options: Any
) -> tuple[Any, ...]:
    statistics_ = statistics(x, mean, var, options)
    training = options.get("training", False)
    gx, gw, gb = ref.batch_norm_backward(g, x, *statistics_, w, training)
    return gx, *([] if w is None else [gw]), *([] if b is None else [gb])


def with_statistics(function: Any) -> Any:
    """A batch norm that also returns what became of its running statistics."""

    def run(x: Any, mean: Any, var: Any, *args: Any, **options: Any) -> Any:
        if mean is None:
            return function(x, mean, var, *args, **options)
        mean, var = mean.clone(), var.clone()
        return function(x, mean, var, *args, **options), mean, var

    return run


def softmax(name: str) -> list[Op]:
    kernel, kernel_backward = getattr(ref, name), getattr(ref, f"{name}_backward")
    casts = [sample("dtype", normal(3, 4), dim=1, dtype=mg.float64)]
    samples = [
        sample("rows", normal(3, 4), dim=1),
        sample("columns", normal(3, 4), dim=0),
        sample("images", normal(2, 3, 2, 2), dim=1),
        sample("1d", normal(5), dim=-1),
        sample("0d", normal(), dim=0),
        sample("size-1", normal(3, 1), dim=-1),
        sample("empty", normal(0, 3), dim=1),
        sample("scattered", normal(3, 4).scattered, dim=1),
        sample("threads", normal(400, 100), dim=1),
        sample("far", exactly([[1000.0, 999.0, -1000.0]]), dim=1),
    ]
    whole = error("integers", RuntimeError, "floating point tensor, got int64", integers(0, 3, 4),
                  dim=0)
    return [
        Op(name, casts, numerical=None),
        Op(
            name, samples, [NO_SUCH_DIM, whole],
            reference=lambda x, dim: kernel(x, dim),
            reference_backward=lambda g, x, dim: (kernel_backward(g, kernel(x, dim), dim),),
            unreferenced=("0d", "threads"),
        ),
    ]


OPS = [
    Op(
        "local_response_norm",
        [
            sample("fewer-channels", normal(2, 3, 2, 2), size=5, alpha=0.7),
            sample("as-many-channels", normal(2, 5, 2, 3), size=5, alpha=1.5, k=2.0),
            sample("more-channels", normal(2, 9, 3, 2), size=5, alpha=0.5, beta=0.75, k=2.0),
            sample("even", normal(2, 7, 2, 2), size=4, alpha=2.0, beta=0.6),
            sample("two", normal(2, 4, 2), size=2, alpha=1.0, beta=1.5),
            sample("alone", normal(2, 3, 2, 2), size=1, alpha=1.0),
            sample("alexnet", normal(1, 6, 3, 3), size=5, alpha=5e-4, k=2.0),
            sample("3d", normal(1, 4, 2, 2, 2), size=3, alpha=1.0),
            sample("size-1", normal(1, 1, 1, 1), size=3, alpha=1.0),
            sample("empty", normal(0, 4, 2, 2), size=3),
            sample("scattered", normal(2, 4, 3, 2).scattered, size=3, alpha=1.0),
            sample("threads", normal(3, 16, 30, 31), size=5, alpha=1.0),
        ],
        [
            error("dims", RuntimeError, r"\[local_response_norm\] expects 3-D", normal(2, 3),
                  size=3),
            error("size", RuntimeError, "size must be at least 1, got 0", normal(1, 2, 3), size=0),
        ],
        reference=lambda x, **options: ref.local_response_norm(x, *lrn_options(**options)),
        reference_backward=lambda g, x, **options: (
            ref.local_response_norm_backward(g, x, *lrn_options(**options)),
        ),
    ),
    Op(
        "batch_norm",
        [
            sample("training", normal(4, 3, 2, 5), normal(3).fixed, positive(3).fixed, normal(3),
                   normal(3), training=True, momentum=0.3),
            sample("eval", normal(4, 3, 2, 5), normal(3).fixed, positive(3).fixed, normal(3),
                   normal(3)),
            sample("plain", normal(4, 3, 2), None, None, training=True, eps=0.1),
            sample("plain-eval", normal(4, 3), normal(3).fixed, positive(3).fixed, eps=1e-3),
            sample("weight", normal(4, 3), None, None, normal(3), training=True),
            sample("bias", normal(4, 3), normal(3).fixed, positive(3).fixed, None, normal(3)),
            sample("size-1", normal(2, 1, 1, 1), None, None, normal(1), normal(1), training=True),
            sample("empty", normal(0, 3, 2, 2), normal(3).fixed, positive(3).fixed, normal(3),
                   normal(3)),
            sample("scattered", normal(4, 3, 2, 2).scattered, None, None, normal(3).scattered,
                   normal(3).scattered, training=True),
            sample("threads", normal(8, 6, 30, 31), None, None, normal(6), normal(6),
                   training=True),
        ],
        [
            error("one-value", RuntimeError, r"more than 1 value .* \(1, 3, 1, 1\)",
                  normal(1, 3, 1, 1), None, None, training=True),
            error("weight", RuntimeError, "weight should contain 3 elements", normal(2, 3, 2, 2),
                  None, None, normal(2), training=True),
            error("statistics", RuntimeError, "expected running_mean and running_var",
                  normal(2, 3), None, None),
            error("dims", RuntimeError, r"expects \(N, C, ...\), got \(3,\)", normal(3), None,
                  None),
        ],
        ours=with_statistics(ops.batch_norm), theirs=with_statistics(F.batch_norm),
        reference=batch_norm, reference_backward=batch_norm_backward,
    ),
    *softmax("softmax"),
    *softmax("log_softmax"),
]
