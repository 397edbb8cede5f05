"""Sums of products, written in letters."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, normal, sample

SAMPLES = [
    ("matmul", "ij,jk->ik", (3, 4), (4, 2)),
    ("transposed", "ij,kj->ki", (3, 4), (2, 4)),
    ("batch", "bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("dot", "i,i->", (4,), (4,)),
    ("outer", "i,j->ij", (3,), (4,)),
    ("elementwise", "ij,ij->ij", (3, 4), (3, 4)),
    ("inner", "ij,ij->i", (3, 4), (3, 4)),
    ("three", "ik,jkl,il->ij", (3, 4), (2, 4, 5), (3, 5)),
    ("attention", "bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("transpose", "ij->ji", (3, 4)),
    ("sum", "ijk->j", (2, 3, 4)),
    ("sum-apart", "ij,kl->jl", (2, 3), (4, 2)),
    ("everything", "ij,jk->", (3, 4), (4, 2)),
    ("cases", "aA,Ab->ba", (3, 4), (4, 2)),
    ("0d", "->",  ()),
    ("0d-first", ",i->i",  (), (3,)),
    ("size-1", "ij,jk->ik", (1, 1), (1, 1)),
    ("empty", "ij,jk->ik", (0, 3), (3, 2)),
    ("inner-0", "ij,jk->ik", (2, 0), (0, 2)),
]
MORE = [  # what the reference does not know: the diagonal, "...", sizes 1 that are broadcast
    ("trace", "ii", (3, 3)),
    ("diagonal", "ii->i", (3, 3)),
    ("diagonals", "iji->ij", (3, 2, 3)),
    ("cube", "iii->i", (3, 3, 3)),
    ("diagonal-times", "ii,ij->j", (3, 3), (3, 2)),
    ("implicit", "ij,jk", (3, 4), (4, 2)),
    ("sorted", "ba", (3, 4)),
    ("dots", "...ij,...jk->...ik", (2, 3, 4), (5, 1, 4, 2)),
    ("dots-summed", "...ik, ...j -> ij", (1, 2, 3), (3,)),
    ("dots-implicit", "i...,i...", (3, 2), (3, 2)),
    ("dots-none", "...i->...i", (3,)),
    ("dots-moved", "i...->...i", (3, 2, 4)),
    ("broadcast", "ij,jk->ik", (3, 1), (4, 2)),
    ("broadcast-result", "ij,ij->ij", (3, 1), (1, 4)),
]


def ours(*xs: Any, equation: str) -> Any:
    return mg.einsum(equation, *xs)


def theirs(*xs: Any, equation: str) -> Any:
    return torch.einsum(equation, *xs)


def reference(*xs: Any, equation: str) -> Any:
    return ref.einsum(equation, *xs)


def samples(table: list[Any]) -> list[Any]:
    return [
        sample(name, *(normal(*shape) for shape in shapes), equation=equation)
        for name, equation, *shapes in table
    ]


def mistake(name: str, message: str, equation: str, *shapes: tuple[int, ...]) -> Any:
    inputs = (normal(*shape) for shape in shapes)
    return error(name, RuntimeError, rf"\[einsum\] .*{message}", *inputs, equation=equation)


OPS = [
    Op("einsum", samples(SAMPLES), ours=ours, theirs=theirs, reference=reference,
       unreferenced=("0d", "0d-first", "empty", "inner-0")),
    Op(
        "einsum",
        [
            *samples(MORE),
            sample("sum-of-int32", exactly(np.arange(6, dtype=np.int32)), equation="i->"),
            sample("integers", integers(0, 9, 3, 4), integers(0, 9, 4), equation="ij,j->i"),
            sample("scattered", normal(3, 4).scattered, normal(4, 2).scattered,
                   equation="ij,jk->ik"),
        ],
        [
            mistake("operands", "about 2 operands, but 1 came", "ij,jk", (3, 4)),
            mistake("letters", "expected letters", "i1", (2, 2)),
            mistake("dots", "expected letters", "......", (2, 2)),
            mistake("names", "names 2 dimensions, but the operand has 1", "ij", (2,)),
            mistake("hidden", "names 1 dimensions, but the operand has 2", "i", (2, 2)),
            mistake("result", "each letter of the result", "ij->k", (2, 2)),
            mistake("result-twice", "each letter of the result", "ij->ii", (2, 2)),
            mistake("sizes", "sizes 2 and 3", "ij,jk", (2, 2), (3, 2)),
            mistake("diagonal", "sizes 2 and 3 in one operand", "ii", (2, 3)),
            error("dtypes", RuntimeError, "one dtype", normal(2), integers(0, 3, 2),
                  equation="i,i"),
        ],
        ours=ours, theirs=theirs,
    ),
    Op("einsum", [sample("list", normal(3, 4), normal(4))],
       ours=lambda *xs: mg.einsum("ij,j", list(xs)),
       theirs=lambda *xs: torch.einsum("ij,j", list(xs))),
]
