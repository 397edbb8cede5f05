"""einsum: products and sums of tensors whose dimensions have names, as in `"ij,jk->ik"`.

Two tensors at a time, each product of two is one batched matrix product: the names that both have
and that are needed later are the batch, the names that both have and nobody needs are summed.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from minigrad.ops.elementwise import mul
from minigrad.ops.matmul import _same_dtype, matmul
from minigrad.ops.rearrange import movedim
from minigrad.ops.reduce import sum
from minigrad.ops.shape import flatten, permute, reshape
from minigrad.tensor import Tensor

Names = list[Any]  # of dimensions: letters, and numbers for those of "...", the last one 0


def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum of products that `equation` writes as in Einstein's notation.

    Each operand has a letter for each dimension, `...` for any number of them (broadcast); a
    letter twice in one operand takes its diagonal. Letters that are not behind `->` are summed;
    without `->` the letters that appear once stay, in alphabetical order.

        einsum("bij,bjk->bik", a, b)      # a batch of matrix products
        einsum("ii", a)                   # the trace

    Operands may come in one list.

    Raises:
        RuntimeError: the equation does not fit the operands; says where.
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    terms, result = _parse(equation, operands)
    _same_dtype("einsum", *operands)
    pairs = [_diagonals(x, names) for x, names in zip(operands, terms, strict=True)]
    pairs = _without_ones(pairs)
    x, names = pairs[0]
    for i, (y, others) in enumerate(pairs[1:], 2):
        needed = {*result, *(name for _, later in pairs[i:] for name in later)}
        x, names = _product(x, names, y, others, needed)
    x, names = _summed(x, names, set(result))
    return permute(x, [names.index(name) for name in result])


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[Names], Names]:
    """The names of each operand's dimensions, and of the result's."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands) or not operands:
        raise RuntimeError(
            f"[einsum] {equation!r} is about {len(terms)} operands, but {len(operands)} came"
        )
    parsed = [_names(equation, term, x.ndim) for term, x in zip(terms, operands, strict=True)]
    letters = [name for names in parsed for name in names]
    dots = sorted({n for n in letters if isinstance(n, int)}, reverse=True)
    if not arrow:
        once = {name for name in letters if isinstance(name, str) and letters.count(name) == 1}
        return parsed, [*dots, *sorted(once)]
    result = _names(equation, right, len(right.replace("...", "")) + len(dots) * ("..." in right))
    if len(set(result)) < len(result) or not set(result) <= set(letters):
        raise RuntimeError(
            f"[einsum] each letter of the result must be an operand's, and once: {equation!r}"
        )
    return parsed, result


def _names(equation: str, term: str, ndim: int) -> Names:
    before, dots, after = term.partition("...")
    hidden = ndim - len(before) - len(after)
    if not all(c in string.ascii_letters for c in before + after):
        raise RuntimeError(f"[einsum] expected letters and at most one '...' in {equation!r}")
    if hidden < 0 or (hidden and not dots):
        raise RuntimeError(
            f"[einsum] {term!r} in {equation!r} names {len(before + after)} dimensions, but the "
            f"operand has {ndim}"
        )
    return [*before, *range(hidden)[::-1], *after]


def _diagonals(x: Tensor, names: Names) -> tuple[Tensor, Names]:
    """x without names that appear twice: "iji" becomes "ji", i running along the diagonal."""
    for name in dict.fromkeys(names):
        while names.count(name) > 1:
            i = names.index(name)
            j = names.index(name, i + 1)
            n = x.shape[i]
            if n != x.shape[j]:
                raise RuntimeError(
                    f"[einsum] {name!r} stands for sizes {n} and {x.shape[j]} in one operand"
                )
            square = flatten(movedim(x, (i, j), (-2, -1)), -2)  # (..., n * n)
            x = square[..., :: n + 1]
            names = [other for k, other in enumerate(names) if k not in (i, j)] + [name]
    return x, names


def _without_ones(pairs: list[tuple[Tensor, Names]]) -> list[tuple[Tensor, Names]]:
    """The operands without the dimensions of size 1 that another operand's broadcast over."""
    sizes: dict[Any, int] = {}
    for x, names in pairs:
        for name, n in zip(names, x.shape, strict=True):
            if n != 1 and sizes.setdefault(name, n) != n:
                raise RuntimeError(
                    f"[einsum] sizes {sizes[name]} and {n} of one dimension do not broadcast"
                )
    kept = []
    for x, names in pairs:
        wide = [i for i, name in enumerate(names) if x.shape[i] != 1 or name not in sizes]
        kept.append((reshape(x, [x.shape[i] for i in wide]), [names[i] for i in wide]))
    return kept


def _summed(x: Tensor, names: Names, kept: set[Any]) -> tuple[Tensor, Names]:
    """x summed over all dimensions that are not among `kept`."""
    dims = [i for i, name in enumerate(names) if name not in kept]
    return sum(x, dims) if dims else x, [name for name in names if name in kept]


def _product(
    a: Tensor, left: Names, b: Tensor, right: Names, needed: set[Any]
) -> tuple[Tensor, Names]:
    """a times b: dimensions of both are matched, those that nobody needs are summed."""
    a, left = _summed(a, left, needed | set(right))
    b, right = _summed(b, right, needed | set(left))
    batch = [n for n in left if n in right and n in needed]
    inner = [n for n in left if n in right and n not in needed]
    rows, columns = ([n for n in names if n not in batch + inner] for names in (left, right))
    size = {**dict(zip(left, a.shape, strict=True)), **dict(zip(right, b.shape, strict=True))}
    a = permute(a, [left.index(n) for n in (*batch, *rows, *inner)])
    b = permute(b, [right.index(n) for n in (*batch, *inner, *columns)])

    def shape(*parts: Names) -> list[int]:
        return [size[n] for n in batch] + [
            math.prod(size[n] for n in names) for names in parts
        ]

    product = matmul if inner else mul
    y = product(reshape(a, shape(rows, inner)), reshape(b, shape(inner, columns)))
    return reshape(y, [size[n] for n in (*batch, *rows, *columns)]), [*batch, *rows, *columns]
