"""Normalisation: across channels at one pixel (LRN), or over the batch for one channel (BN)."""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function, no_grad
from minigrad.backend import Array
from minigrad.kernels.geometry import ShapeError
from minigrad.ops.convert import clone
from minigrad.tensor import Tensor


class LocalResponseNorm(Function):
    """y_c = x_c / s_c^beta with s_c = k + alpha/size * sum of x^2 over the channels around c.

        dL/dx_c = g_c / s_c^beta - 2 alpha beta / size * x_c * sum_j g_j y_j / s_j

    where j runs over the channels whose window holds c. Keeps x; s is computed again.
    """

    def forward(self, x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
        self.save_for_backward(x)
        self.options = (size, alpha, beta, k)
        return kernels.of(x).local_response_norm(x, *self.options)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        return kernels.of(g).local_response_norm_backward(g, x, *self.options)


class BatchNorm(Function):
    """y = w (x - m) / sqrt(v + eps) + b, m and v a channel's mean and variance.

    In training m and v are the batch's and depend on x, so that with x^ = (x - m) / sqrt(v + eps)

        dL/dx = w / sqrt(v + eps) * (g - mean(g) - x^ mean(g x^)),

    otherwise they are constants and dL/dx = w g / sqrt(v + eps). dL/dw = sum g x^, dL/db = sum g.
    """

    def forward(
        self, x: Array, w: Array | None, b: Array | None, *, mean: Array, var: Array, eps: float,
        training: bool,
    ) -> Array:  # (N, C, ...), (C,), (C,)
        self.training = training
        wide = var.astype(dtypes.accumulator(var.dtype), copy=False)
        invstd = 1.0 / kernels.of(x).sqrt(wide + eps)
        self.save_for_backward(x, w, mean, invstd)
        return kernels.of(x).batch_norm(x, mean, invstd, w, b)

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, w, mean, invstd = self.saved_tensors
        gradients = kernels.of(g).batch_norm_backward(g, x, mean, invstd, w, self.training)
        kept = zip(gradients, self.needs_input_grad, strict=True)
        gx, gw, gb = (gradient if needed else None for gradient, needed in kept)
        return gx, gw, gb


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide each value by a power of the energy of the `size` channels around it.

    Shapes: input (N, C, ...); the result alike.

    PyTorch's convention: alpha is divided by `size`, which the 2012 paper does not do (its
    alpha = 1e-4 with n = 5 is alpha=5e-4 here), nor TensorFlow (its depth_radius=4, alpha=a is
    size=9, alpha=9*a). An even size reaches one channel further down than up.

    Source: Krizhevsky, Sutskever, Hinton (2012), section 3.3.
    """
    if input.ndim < 3:
        raise ShapeError(
            f"[local_response_norm] expects 3-D or higher dimensionality input (N, C, ...), "
            f"got {tuple(input.shape)}"
        )
    if size < 1:
        raise ShapeError(f"[local_response_norm] size must be at least 1, got {size}")
    return LocalResponseNorm.apply(
        input, size=int(size), alpha=float(alpha), beta=float(beta), k=float(k)
    )


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel to mean 0 and variance 1, then scale by weight and shift by bias.

    Shapes: input (N, C, ...), all else (C,).

    In training the batch's mean and (biased) variance are used, and the running ones move towards
    the batch's: r = (1 - momentum) r + momentum * batch, where the running variance takes the
    unbiased one. Otherwise the running ones are used.

    Raises:
        ShapeError: a single value a channel in training, or sizes that differ from C.

    Source: Ioffe, Szegedy (2015); PyTorch, `torch.nn.functional.batch_norm`.
    """
    if input.ndim == 1 and not input.numel():
        return clone(input)  # PyTorch lets pass what is empty
    if input.ndim < 2:
        raise ShapeError(f"[batch_norm] expects (N, C, ...), got {tuple(input.shape)}")
    channels = input.shape[1]
    for name, value in (
        ("running_mean", running_mean), ("running_var", running_var), ("weight", weight),
        ("bias", bias),
    ):
        if value is not None and tuple(value.shape) != (channels,):
            raise ShapeError(
                f"[batch_norm] {name} should contain {channels} elements, one a channel of the "
                f"input {tuple(input.shape)}, not {tuple(value.shape)}"
            )
    x = backend.widened(input.array)
    if training:
        n = input.numel() // channels if channels else 0
        if n == 1:
            raise ShapeError(
                f"[batch_norm] expected more than 1 value per channel when training, got input "
                f"size {tuple(input.shape)}: use a larger batch, or eval()"
            )
        mean, var = kernels.of(x).batch_norm_stats(x)
        rate: Any = momentum.array if isinstance(momentum, Tensor) else momentum
        _follow(running_mean, mean, rate, rate)
        _follow(running_var, var, rate, rate * n / max(n - 1, 1))
    elif running_mean is None or running_var is None:
        raise ShapeError("[batch_norm] expected running_mean and running_var when not training")
    else:
        mean, var = running_mean.array, running_var.array
    return BatchNorm.apply(input, weight, bias, mean=mean, var=var, eps=eps, training=training)


def _follow(running: Tensor | None, now: Array, rate: Any, share: Any) -> None:
    """running = (1 - rate) * running + share * now, in one kernel."""
    if running is not None:
        fused = kernels.of(now).fused
        with no_grad():
            running._inplace(Tensor(fused(
                lambda xp, old, new: (1 - rate) * old + share * new, running.array, now
            )))


def standardize(input: Tensor, eps: float) -> Tensor:
    """Each channel of (N, C, ...) with mean 0 and variance 1, however few numbers it has."""
    x = backend.widened(input.array)
    mean, var = kernels.of(x).batch_norm_stats(x)
    return BatchNorm.apply(input, None, None, mean=mean, var=var, eps=eps, training=True)
