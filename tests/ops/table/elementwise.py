"""One number in, one number out; and two that broadcast."""

from __future__ import annotations

import operator
from typing import Any

import torch

import minigrad as mg
from minigrad import ops
from minigrad.kernels import reference as ref
from minigrad.nn import functional
from tests.ops.samples import (
    Op,
    away_from_zero,
    error,
    integers,
    mask,
    normal,
    positive,
    sample,
    spaced,
)

MISMATCH = [
    error("shapes", RuntimeError, r"shapes \(3,\) and \(2,\)", normal(3), normal(2)),
    error("operand", TypeError, r"a tensor (or a number )?was expected, not 'x'", normal(3), "x"),
]


def binary(name: str, *more: Any, **fields: Any) -> Op:
    samples = [
        sample("same", normal(3, 4), positive(3, 4)),
        sample("broadcast", normal(3, 1, 4), positive(2, 1)),
        sample("0d", normal(3, 4), positive()),
        sample("both-0d", normal(), positive()),
        sample("number", normal(3, 4), 2.5),
        sample("number-first", 2.5, positive(3, 4)),
        sample("size-1", normal(1), positive(1, 1)),
        sample("empty", normal(0, 4), positive(4)),
        sample("scattered", normal(4, 3).scattered, positive(3)),
        sample("threads", normal(41, 1000).scattered, positive(41, 1000)),
        *more,
    ]
    return Op(name, samples, MISMATCH, **fields)


def unary(name: str, draw: Any, *more: Any, **fields: Any) -> Op:
    samples = [
        sample("2d", draw(3, 4)),
        sample("0d", draw()),
        sample("size-1", draw(1, 1)),
        sample("empty", draw(0, 3)),
        sample("scattered", draw(4, 3, 2).scattered),
        sample("threads", draw(2, 25, 1000)),
        *more,
    ]
    return Op(name, samples, reference=getattr(ref, name), **fields)


def trigonometric(name: str) -> Op:
    samples = [
        sample("2d", normal(3, 4)),
        sample("0d", normal()),
        sample("empty", normal(0, 3)),
        sample("integers", integers(-9, 9, 4)),
        sample("scattered", normal(4, 3).scattered),
    ]
    return Op(name, samples)


def dropout(x: mg.Tensor, p: float, training: bool = True) -> mg.Tensor:
    """With the same mask at each call."""
    mg.manual_seed(0)
    return ops.dropout(x, p, training)


def dropout_theirs(x: Any, p: float, training: bool = True) -> Any:
    """The same mask in PyTorch, read off what becomes of ones."""
    kept = dropout(mg.ones(*x.shape), p, training).array > 0
    return x * torch.from_numpy(kept) / (1 - p if training and p < 1 else 1)


def channels(name: str) -> Any:
    """Dropout of channels, with the same mask at each call."""

    def run(x: Any, p: float, training: bool = True) -> Any:
        mg.manual_seed(0)
        return getattr(functional, name)(x, p, training)

    return run


def channels_theirs(name: str) -> Any:
    """The same mask in PyTorch; each channel is all there, or all gone."""

    def run(x: Any, p: float, training: bool = True) -> Any:
        factor = channels(name)(mg.ones(*x.shape), p, training).array
        assert (factor == factor[..., :1]).all()
        return x * torch.from_numpy(factor > 0) / (1 - p if training and p < 1 else 1)

    return run


WHOLE = sample("integers", integers(1, 9, 4))

OPS = [
    binary(
        "add", sample("alpha", normal(3), normal(2, 3), alpha=-2.5),
        theirs=lambda a, b, alpha=1: a + alpha * b,
        reference=lambda a, b, alpha=1: ref.add(a, alpha * b),
    ),
    binary(
        "sub", sample("alpha", normal(3), normal(2, 3), alpha=3),
        theirs=lambda a, b, alpha=1: a - alpha * b,
        reference=lambda a, b, alpha=1: ref.sub(a, alpha * b),
    ),
    binary("mul", theirs=operator.mul, reference=ref.mul),
    binary(
        "div", sample("integers", integers(1, 9, 4), integers(1, 9, 4)),
        theirs=operator.truediv, reference=ref.div,
    ),
    Op(
        "pow",
        [
            sample("square", normal(3, 4), 2),
            sample("cube", normal(3, 4).scattered, 3.0),
            sample("root", positive(3, 4), 0.5),
            sample("inverse", positive(3), -1),
            sample("zeroth", normal(3), 0),
            sample("number-base", 2.5, normal(3, 4)),
            sample("tensor", positive(3, 1), normal(4)),
            sample("0d", positive(3), normal()),
            sample("size-1", positive(1), normal(1)),
            sample("empty", positive(0, 2), normal(2)),
            sample("threads", positive(41, 1000), 2),
        ],
        [*MISMATCH, error("numbers", TypeError, "expected a tensor among", 2, 3)],
        theirs=operator.pow, reference=ref.pow,
    ),
    unary("neg", normal, WHOLE, errors=[error("bools", RuntimeError, r"\[neg\] a bool", mask(3))]),
    trigonometric("sin"),
    trigonometric("cos"),
    Op(
        "square",
        [
            sample("2d", normal(3, 4)),
            sample("0d", normal()),
            sample("empty", normal(0, 3)),
            sample("integers", integers(-9, 9, 4)),
            sample("bools", mask(4)),
            sample("scattered", normal(4, 3).scattered),
        ],
    ),
    unary("exp", normal, WHOLE),
    unary("tanh", normal, WHOLE),
    unary("sigmoid", normal, WHOLE),
    unary("log", positive, WHOLE),
    unary("sqrt", positive, WHOLE),
    unary("abs", away_from_zero, WHOLE, numerical="central"),
    unary("relu", away_from_zero, WHOLE, numerical="central"),
    unary(
        "leaky_relu", away_from_zero, sample("slope", spaced(3, 4), negative_slope=0.3),
        sample("negative-slope", spaced(3, 4), negative_slope=-0.5),
        numerical="central",
    ),
    Op(
        "dropout",
        [
            sample("half", normal(3, 4), p=0.5),
            sample("fifth", normal(20, 10), p=0.2),
            sample("all", normal(3, 4), p=1.0),
            sample("none", normal(3, 4), p=0.0),
            sample("eval", normal(3, 4), p=0.5, training=False),
            sample("scattered", normal(4, 3, 2).scattered, p=0.5),
            sample("empty", normal(0, 3), p=0.5),
            sample("size-1", normal(1, 1), p=0.1),
            sample("threads", normal(2, 25, 1000), p=0.5),
        ],
        [error("p", ValueError, r"\[dropout\] probability .* 0 and 1, got 1.5", normal(2), p=1.5)],
        ours=dropout, theirs=dropout_theirs, draws=True,
        reference=lambda x, p, training=True: (
            ref.dropout(x, dropout(mg.ones(*x.shape), p, training).array > 0, p)
        ),
        unreferenced=("all", "eval"),
    ),
    *(
        Op(
            name,
            [
                sample("quarter", normal(*shape), p=0.25),
                sample("all", normal(*shape), p=1.0),
                sample("none", normal(*shape), p=0.0),
                sample("eval", normal(*shape), p=0.5, training=False),
                sample("scattered", normal(*shape).scattered, p=0.5),
                sample("empty", normal(0, *shape[1:]), p=0.5),
                *more,
            ],
            [
                error("p", ValueError, "0 and 1, got 1.5", normal(2, 3, 4), p=1.5),
                error("dims", RuntimeError, rf"\[{name}\] expects \(N, C, ...\), got \(3,\)",
                      normal(3), p=0.5),
            ],
            ours=channels(name), theirs=channels_theirs(name), draws=True,
        )
        for name, shape, more in (
            ("dropout2d", (4, 5, 3, 2), []),
            ("dropout1d", (4, 5, 3), [sample("alone", normal(5, 3), p=0.5)]),
        )
    ),
]
