"""Normalisation: over neighbouring channels, over the batch, over the scores of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F

import minigrad as mg
from minigrad import ops
from minigrad.kernels import reference as ref
from minigrad.nn import functional
from tests.ops.samples import (
    Op,
    away_from_zero,
    error,
    exactly,
    integers,
    normal,
    positive,
    sample,
    spaced,
)
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


def standardized(rows: Any, options: dict[str, Any]) -> Any:
    """Each row (1, rows, ...) with mean 0 and variance 1."""
    mean, invstd = statistics(rows, None, None, {"training": True, **options})
    return ref.batch_norm(rows, mean, invstd, None, None)


def affine(y: Any, w: Any, b: Any) -> Any:
    """y * w + b, one number a channel."""
    shape = (-1, *[1] * (y.ndim - 2))
    return y * (1 if w is None else w.reshape(shape)) + (0 if b is None else b.reshape(shape))


def layer_norm(x: Any, w: Any = None, b: Any = None, *, normalized_shape: Any, **rest: Any) -> Any:
    rows = x.reshape(1, -1, int(np.prod(normalized_shape)))
    return standardized(rows, rest).reshape(x.shape) * (1 if w is None else w) + (
        0 if b is None else b
    )


def group_norm(x: Any, w: Any = None, b: Any = None, *, num_groups: int, **options: Any) -> Any:
    groups = x.reshape(1, len(x) * num_groups, -1)
    return affine(standardized(groups, options).reshape(x.shape), w, b)


def instance_norm(x: Any, mean: Any, var: Any, w: Any = None, b: Any = None, **options: Any) -> Any:
    if not options.pop("use_input_stats", True):
        return batch_norm(x, mean, var, w, b, **options)
    return group_norm(x, w, b, num_groups=x.shape[1], **options)


def with_shape(function: Any) -> Any:
    """layer_norm, which takes weight and bias behind the shape."""
    return lambda x, w=None, b=None, *, normalized_shape, **options: function(
        x, normalized_shape, w, b, **options
    )


def with_groups(function: Any) -> Any:
    return lambda x, w=None, b=None, *, num_groups, **options: function(
        x, num_groups, w, b, **options
    )


def normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    size = np.abs(x)
    if p == 0:
        norm = (x != 0).sum(axis=dim, keepdims=True)
    elif p == np.inf:
        norm = size.max(axis=dim, keepdims=True)
    else:
        norm = (size**p).sum(axis=dim, keepdims=True) ** (1 / p)
    return x / np.maximum(norm, eps)


LAYER_NORM = Op(
    "layer_norm",
    [
        sample("rows", normal(4, 3, 5), normal(5), normal(5), normalized_shape=(5,)),
        sample("images", normal(3, 2, 4, 3), normal(2, 4, 3), normal(2, 4, 3),
               normalized_shape=(2, 4, 3)),
        sample("plain", normal(4, 6), normalized_shape=(6,), eps=0.1),
        sample("weight", normal(4, 6), normal(6), normalized_shape=(6,)),
        sample("bias", normal(4, 6), None, normal(6), normalized_shape=(6,)),
        sample("alone", normal(6), normal(6), normal(6), normalized_shape=(6,)),
        sample("size-1", normal(1, 1), normal(1), normal(1), normalized_shape=(1,)),
        sample("empty", normal(0, 3), normal(3), normal(3), normalized_shape=(3,)),
        sample("scattered", normal(4, 3, 5).scattered, normal(5).scattered, normal(5).scattered,
               normalized_shape=(5,)),
        sample("threads", normal(60, 500), normal(500), normal(500), normalized_shape=(500,)),
    ],
    [
        error("shape", RuntimeError, r"normalized_shape \(4,\) must be the last sizes",
              normal(3, 5), normalized_shape=(4,)),
        error("none", RuntimeError, r"normalized_shape \(\)", normal(3, 5), normalized_shape=()),
        error("weight", RuntimeError, r"weight must have shape \(5,\), got \(3,\)", normal(3, 5),
              normal(3), normalized_shape=(5,)),
        error("dtype", RuntimeError, "floating point tensor, got int64", integers(0, 3, 2, 5),
              normalized_shape=(5,)),
    ],
    ours=with_shape(functional.layer_norm), theirs=with_shape(F.layer_norm), reference=layer_norm,
    unreferenced=("empty",),
)
GROUP_NORM = Op(
    "group_norm",
    [
        sample("images", normal(3, 6, 2, 4), normal(6), normal(6), num_groups=2),
        sample("lines", normal(3, 6, 4), normal(6), normal(6), num_groups=3, eps=0.1),
        sample("rows", normal(3, 6), normal(6), normal(6), num_groups=2),
        sample("one-group", normal(2, 3, 2, 2), normal(3), normal(3), num_groups=1),
        sample("channels", normal(2, 3, 2, 2), normal(3), num_groups=3),
        sample("plain", normal(2, 4, 3), num_groups=2),
        sample("empty", normal(0, 4, 3), normal(4), normal(4), num_groups=2),
        sample("scattered", normal(3, 4, 2, 3).scattered, normal(4).scattered, num_groups=2),
    ],
    [
        error("groups", RuntimeError, r"C divisible by num_groups \(2\), got \(2, 7, 4\)",
              normal(2, 7, 4), num_groups=2),
        error("dims", RuntimeError, r"got \(3,\)", normal(3), num_groups=1),
        error("one-value", ValueError, "more than 1 value", normal(1, 3), num_groups=3),
        error("bias", RuntimeError, r"bias must have shape \(4,\)", normal(2, 4, 3), None,
              normal(3), num_groups=2),
    ],
    ours=with_groups(functional.group_norm), theirs=with_groups(F.group_norm), reference=group_norm,
    unreferenced=("empty",),
)
INSTANCE_NORM = Op(
    "instance_norm",
    [
        sample("images", normal(3, 4, 2, 5), None, None, normal(4), normal(4)),
        sample("running", normal(3, 4, 2, 5), normal(4).fixed, positive(4).fixed, normal(4),
               normal(4), momentum=0.3),
        sample("running-one", normal(1, 4, 6), normal(4).fixed, positive(4).fixed),
        sample("eval", normal(3, 4, 6), normal(4).fixed, positive(4).fixed, normal(4), normal(4),
               use_input_stats=False),
        sample("plain", normal(2, 3, 4), None, None, eps=0.1),
        sample("weight", normal(2, 3, 4), None, None, normal(3)),
        sample("scattered", normal(3, 4, 2, 3).scattered, None, None, normal(4).scattered),
    ],
    [
        error("one-value", ValueError, "more than 1 spatial element", normal(3, 4, 1, 1), None,
              None),
        error("dims", RuntimeError, r"\(N, C, ...\)", normal(3, 4), None, None),
        error("weight", RuntimeError, r"weight must have shape \(4,\)", normal(3, 4, 5), None,
              None, normal(3)),
        error("statistics", RuntimeError, "expected running_mean", normal(3, 4, 5), None, None,
              use_input_stats=False),
    ],
    ours=with_statistics(functional.instance_norm), theirs=with_statistics(F.instance_norm),
    reference=instance_norm,
)
NORMALIZE = [
    Op(
        "normalize",
        [
            sample("2", normal(3, 4, 2)),
            sample("1", away_from_zero(3, 4), p=1, dim=0),
            sample("3", away_from_zero(3, 4), p=3, dim=-1),
            sample("half", away_from_zero(2, 3), p=0.5),
            sample("negative", away_from_zero(2, 3), p=-1),
            sample("0", away_from_zero(2, 3), p=0),
            sample("infinite", spaced(2, 3), p=float("inf")),
            sample("eps", normal(3, 4), eps=10.0),
            sample("scattered", normal(3, 4).scattered),
        ],
        [error("integers", RuntimeError, "floating point tensor", integers(0, 3, 4, 2))],
        reference=normalize, numerical="central",
    ),
    Op("normalize", [sample("zeros", exactly([[0.0, 0.0], [3.0, 4.0]]), eps=0.1),
                     sample("zeros-3", exactly([[0.0, 0.0], [3.0, 4.0]]), p=3, eps=0.1)],
       numerical=None),
]


OPS = [
    LAYER_NORM, GROUP_NORM, INSTANCE_NORM, *NORMALIZE,
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
            sample("whole", integers(-9, 9, 2, 5, 3, 2), size=4, alpha=1.0),
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
        unreferenced=("whole",),
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
            sample("nothing", normal(0), None, None, training=True),
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
        unreferenced=("nothing",),
    ),
    *softmax("softmax"),
    *softmax("log_softmax"),
]
