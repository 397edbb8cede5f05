"""The words in which `table/` is written: an op, its samples, its errors; how inputs are made.

An input is a recipe (`normal(3, 4)`), drawn anew for each test from a generator that is seeded by
the sample's name. `make` draws it, `place` puts it on a device. Next: `table/elementwise.py`.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import minigrad as mg
from minigrad import backend


@dataclass(frozen=True)
class Input:
    """A recipe for an array: float ones are drawn in float64 and take part in the gradient."""

    draw: Callable[[np.random.Generator], np.ndarray]
    differentiable: bool = True
    contiguous: bool = True

    @property
    def scattered(self) -> Input:
        """The same numbers in memory that is neither contiguous nor in order."""
        return replace(self, contiguous=False)

    @property
    def fixed(self) -> Input:
        """The same numbers, without a gradient."""
        return replace(self, differentiable=False)


def normal(*shape: int) -> Input:
    return Input(lambda rng: np.asarray(rng.standard_normal(shape)))


def positive(*shape: int) -> Input:
    """From 0.5 to 2: where logarithms, roots and divisions are smooth."""
    return Input(lambda rng: np.asarray(rng.uniform(0.5, 2.0, shape)))


def spaced(*shape: int) -> Input:
    """In random order, evenly spaced, never 0: no tie and no kink within the checker's step."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        size = math.prod(shape)
        step = min(1 / 8, 32 / max(size, 1))
        return ((rng.permutation(size) - size // 2 + 0.25) * step).reshape(shape)

    return Input(draw)


def away_from_zero(*shape: int) -> Input:
    """0.1 to 1 in size, of either sign: no kink at 0 within the checker's step."""
    return Input(
        lambda rng: np.asarray(rng.uniform(0.1, 1.0, shape) * rng.choice([-1.0, 1.0], shape))
    )


def plateaus(*shape: int) -> Input:
    """Few different numbers, so that many of them are equal."""
    return Input(lambda rng: rng.integers(-1, 2, shape).astype(np.float64))


def integers(low: int, high: int, *shape: int) -> Input:
    return Input(lambda rng: np.asarray(rng.integers(low, high, shape)), differentiable=False)


def mask(*shape: int) -> Input:
    """Bools, about half of them true."""
    return Input(lambda rng: np.asarray(rng.random(shape) < 0.5), differentiable=False)


def probabilities(*shape: int) -> Input:
    """Along dimension 1 they sum to 1."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        p = rng.uniform(0.1, 1.0, shape)
        return p / p.sum(axis=1, keepdims=True)

    return Input(draw)


def exactly(values: Any) -> Input:
    """These values; an integer or boolean array has no gradient."""
    array = np.array(values)
    return Input(lambda rng: array.copy(), differentiable=array.dtype.kind == "f")


@dataclass(frozen=True)
class Sample:
    """Arguments to call an op with: inputs by position, options by keyword."""

    name: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]


def sample(name: str, *inputs: Any, **options: Any) -> Sample:
    return Sample(name, inputs, options)


@dataclass(frozen=True)
class Error:
    """Arguments that must raise `kind` with a message that matches the pattern `message`."""

    name: str
    kind: type[Exception]
    message: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]


def error(name: str, kind: type[Exception], message: str, *inputs: Any, **options: Any) -> Error:
    return Error(name, kind, message, inputs, options)


@dataclass(frozen=True)
class Op:
    """An entry of the table.

    Fields:
        name: of the public function in `minigrad.nn.functional`, or in `minigrad.ops`.
        ours, theirs: what is called; the functions of that name in minigrad and PyTorch by default.
        reference: arrays and the same options -> what `kernels/reference` makes of them.
        reference_backward: g, arrays and options -> the gradients of the first inputs.
        unreferenced: samples that the reference does not take: empty, 0-d, or slow in Python.
        numerical: how `gradcheck` can check it: "complex" where it is analytic, "central" where it
            has kinks or ties (the samples keep away from them), None where it has no gradient, or
            rounds.
        draws: it takes random numbers, of which every device has others.
    """

    name: str
    samples: list[Sample]
    errors: list[Error] = field(default_factory=list)
    ours: Callable[..., Any] | None = None
    theirs: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None
    reference_backward: Callable[..., tuple[np.ndarray, ...]] | None = None
    unreferenced: tuple[str, ...] = ()
    numerical: str | None = "complex"
    draws: bool = False

    def call_ours(self, *inputs: Any, **options: Any) -> Any:
        ours = self.ours or getattr(mg.nn.functional, self.name, None)
        if not callable(ours):  # nor is the file functional/norm.py the function norm
            ours = getattr(mg.ops, self.name)
        return ours(*inputs, **options)

    def call_theirs(self, *inputs: Any, **options: Any) -> Any:
        theirs = self.theirs or getattr(F, self.name, None) or getattr(torch, self.name)
        options = {key: as_torch(value) for key, value in options.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own, about its speed
            return theirs(*inputs, **options)


def as_torch(value: Any) -> Any:
    """An option as PyTorch takes it: arrays and dtypes, also within tuples, are translated."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, np.dtype):
        return getattr(torch, value.name)
    return tuple(map(as_torch, value)) if isinstance(value, tuple) else value


# ---------------------------------------------------------------------------------- making inputs


def generator(name: str) -> np.random.Generator:
    """Seeded by a name, so that no sample depends on which others ran."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def make(name: str, recipes: tuple[Any, ...], dtype: Any = np.float64) -> list[Any]:
    """The arrays (and numbers, and None) of a sample, floats rounded to `dtype`."""
    rng = generator(name)
    values = [recipe.draw(rng) if isinstance(recipe, Input) else recipe for recipe in recipes]
    return [
        value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for value in values
    ]


def place(recipe: Any, value: Any, device: str, needed: bool = True) -> Any:
    """An input as a Tensor on `device`, requiring a gradient where it can have one."""
    if not isinstance(recipe, Input):
        return value
    array = value.copy()
    scatter = not recipe.contiguous and value.ndim
    if scatter:  # every second element of transposed memory
        array = np.ascontiguousarray(np.repeat(value, 2, axis=-1).T)
    array = backend.to_device(array, backend.Device(device))
    tensor = mg.Tensor(array.T[..., ::2] if scatter else array)
    return tensor.requires_grad_(needed and recipe.differentiable)


def place_all(recipes: tuple[Any, ...], values: list[Any], device: str = "cpu") -> list[Any]:
    return [place(recipe, value, device) for recipe, value in zip(recipes, values, strict=True)]


def flat(result: Any) -> list[Any]:
    """Outputs as a list; a bare number or bool as an array."""
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    return [np.asarray(x) if isinstance(x, (bool, int, float)) else x for x in results]
