"""Activations that are not composed of other operations: ELU, SiLU, GELU, softplus, and a clamp.

Each is a formula of its input, `fused` into one pass over memory. What is called, and the rest of
the activations, stands in `nn/functional/activation.py`; ReLU, the sigmoid and tanh are in
`elementwise.py`.
"""

from __future__ import annotations

from math import pi
from typing import Any

from minigrad import backend, kernels
from minigrad.autograd import Function
from minigrad.backend import Array


class ELU(Function):
    """y = x where x > 0, else a (e^x - 1);  dL/dx = g where x > 0, else g a e^x."""

    def forward(self, x: Array, *, alpha: float) -> Array:
        self.save_for_backward(x)
        self.alpha = alpha
        return kernels.of(x).fused(
            lambda xp, x: xp.maximum(x, 0) + xp.expm1(xp.minimum(x, 0)) * alpha, x
        )

    def backward(self, g: Array) -> Array:
        (x,), alpha = self.saved_tensors, self.alpha
        return kernels.of(g).fused(
            lambda xp, g, x: g * ((x > 0) + (x <= 0) * (xp.exp(xp.minimum(x, 0)) * alpha)), g, x
        )


class SiLU(Function):
    """y = x s, s = 1 / (1 + e^-x);  dL/dx = g s (1 + x (1 - s))."""

    def forward(self, x: Array) -> Array:
        self.save_for_backward(x)
        return kernels.of(x).fused(lambda xp, x: x / (xp.exp(-x) + 1), x)

    def backward(self, g: Array) -> Array:
        def step(xp: Any, g: Array, x: Array) -> Array:
            s = 1 / (xp.exp(-x) + 1)
            return g * s * (x * (1 - s) + 1)

        return kernels.of(g).fused(step, g, *self.saved_tensors)


class Softplus(Function):
    """y = ln(1 + e^z) / b with z = b x;  dL/dx = g / (1 + e^-z). Beyond a threshold y = x.

    ln(1 + e^z) is computed as max(z, 0) + ln(1 + e^-|z|), which neither overflows nor rounds to 0.
    """

    def forward(self, x: Array, *, beta: float, threshold: float) -> Array:
        self.save_for_backward(x)
        self.beta, self.threshold = beta, threshold

        def step(xp: Any, x: Array) -> Array:
            z = x * beta
            return (xp.maximum(z, 0) + (z <= threshold) * xp.log1p(xp.exp(-xp.abs(z)))) / beta

        return kernels.of(x).fused(step, x)

    def backward(self, g: Array) -> Array:
        (x,), beta, threshold = self.saved_tensors, self.beta, self.threshold
        return kernels.of(g).fused(
            lambda xp, g, x: g / ((x * beta <= threshold) * xp.exp(x * -beta) + 1), g, x
        )


class GELU(Function):
    """y = x P, P(x) the probability of a normal number below x;  dL/dx = g (P + x p).

    p = P' = e^(-x^2 / 2) / sqrt(2 pi), the bell curve.
    """

    def forward(self, x: Array) -> Array:
        k = kernels.of(x)
        below = k.normal_cdf(x)
        self.save_for_backward(x, below)
        return k.mul(x, below)

    def backward(self, g: Array) -> Array:
        height = (2 * pi) ** -0.5
        return kernels.of(g).fused(
            lambda xp, g, x, below: g * (below + x * (xp.exp(x * x * -0.5) * height)),
            g, *self.saved_tensors,
        )


class Hardtanh(Function):
    """y = x, but no less than low and no more than high;  dL/dx = g strictly between, else 0."""

    def forward(self, x: Array, *, low: float, high: float) -> Array:
        self.save_for_backward(x)
        self.low, self.high = low, high
        return backend.array_module(x).clip(x, low, high).astype(x.dtype, copy=False)

    def backward(self, g: Array) -> Array:
        (x,), low, high = self.saved_tensors, self.low, self.high
        return kernels.of(g).fused(lambda xp, g, x: g * ~((x <= low) | (x >= high)), g, x)
