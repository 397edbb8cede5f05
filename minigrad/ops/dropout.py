"""Dropout: while training, zero each element with probability p, scale the others by 1/(1-p)."""

from __future__ import annotations

from minigrad import backend, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.elementwise import mul
from minigrad.tensor import Tensor


class Dropout(Function):
    """y = x mask / (1 - p), mask ~ Bernoulli(1 - p);  dL/dx = g mask / (1 - p)."""

    def forward(self, x: Array, *, p: float) -> Array:
        generator = backend.generator(backend.device_of(x))
        y, kept = kernels.of(x).dropout(x, p, generator)
        self.save_for_backward(kept)  # the mask, or on a GPU where its random numbers begin
        self.p = p
        return y

    def backward(self, g: Array) -> Array:
        (kept,) = self.saved_tensors
        return kernels.of(g).dropout_backward(g, kept, self.p)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p while training; the identity otherwise.

    The expected value stays the same, because what is kept is divided by 1 - p ("inverted"
    dropout; the 2012 paper instead halves the outputs at test time). Draws from the generator that
    `manual_seed` seeds.

    Raises:
        ValueError: p is not between 0 and 1.

    Source: Hinton et al. (2012), arXiv:1207.0580.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[dropout] probability has to be between 0 and 1, got {p}")
    if not training or p == 0.0:
        return input
    result = mul(input, 0.0) if p == 1.0 else Dropout.apply(input, p=float(p))
    return input._inplace(result) if inplace else result
