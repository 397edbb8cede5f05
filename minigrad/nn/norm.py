"""Normalisation layers: AlexNet's local response normalisation, batch normalisation, and those that
need no batch: over an image's channel, a group of channels, or the last dimensions."""

from __future__ import annotations

from typing import Any

from minigrad.creation import empty, ones, tensor, zeros
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class LocalResponseNorm(Module):
    """Divides each value by (k + alpha/size * sum of the squares of `size` channels)^beta.

    Shapes: (N, C, ...) in and out. PyTorch's convention: alpha is divided by `size`, which the
    2012 paper does not do; its alpha=1e-4 with 5 channels is LocalResponseNorm(5, alpha=5e-4, k=2).
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _BatchNorm(Module):
    """y = weight * (x - mean) / sqrt(var + eps) + bias, with a mean and variance a channel.

    In training mode they are the batch's; the running ones, which evaluation uses, follow them:
    running = (1 - momentum) * running + momentum * batch, where the variance is the unbiased one.
    With momentum=None the running values are plain averages over all batches so far.

    Args:
        affine: whether there are `weight` (1 at first) and, if `bias`, `bias` (0 at first).
        track_running_stats: whether there are running statistics; without them evaluation uses
            the batch's as well.

    Raises:
        ValueError: an input of the wrong number of dimensions, or one value a channel in training.

    Source: Ioffe and Szegedy (2015); PyTorch, `torch.nn.BatchNorm2d`.
    """

    dims: tuple[int, ...]  # the numbers of dimensions that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        place = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            parameter = Parameter(empty(num_features, **place)) if wanted else None
            self.register_parameter(name, parameter)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **place) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **place) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0, no batches seen."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dims:
            expected = " or ".join(f"{n}D" for n in self.dims)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / self.num_batches_tracked.double()  # a tensor: nobody waits for it
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=momentum,
            eps=self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L): formula and options as in `_BatchNorm`."""

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W): formula and options as in `_BatchNorm`."""

    dims = (4,)


class _InstanceNorm(_BatchNorm):
    """As `_BatchNorm`, with a mean and variance for each channel of each image.

    In training and in evaluation alike they are the image's, unless running statistics are tracked:
    then evaluation uses those. By default there is neither weight nor bias nor anything tracked.

    Source: Ulyanov, Vedaldi, Lempitsky (2016); PyTorch, `torch.nn.InstanceNorm2d`.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        alone, together = self.dims
        if input.ndim not in self.dims:
            raise ValueError(f"expected {alone}D or {together}D input (got {input.ndim}D input)")
        if input.ndim == alone:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if self.affine and input.shape[1] != self.num_features:
            raise ValueError(
                f"expected input's size at dim=1 to match num_features ({self.num_features}), but "
                f"got: {input.shape[1]}."
            )
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            use_input_stats=self.training or not self.track_running_stats,
            momentum=0.0 if self.momentum is None else self.momentum,
            eps=self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of (N, C, L) or (C, L): formula and options as in `_InstanceNorm`."""

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, C, H, W) or (C, H, W): options as in `_InstanceNorm`."""

    dims = (3, 4)


class _Affine(Module):
    """The weight (1 at first) and bias (0 at first) of a normalisation, where they are wanted."""

    def _set_up(self, shape: tuple[int, ...], weight: bool, bias: bool, place: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            self.register_parameter(name, Parameter(empty(shape, **place)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(_Affine):
    """Mean 0 and variance 1 over the last dimensions, then times `weight` plus `bias`.

    Shapes: (..., *normalized_shape) in and out; weight and bias have the shape `normalized_shape`,
    an integer for the last dimension alone. Source: Ba, Kiros, Hinton (2016).
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        single = isinstance(normalized_shape, int)
        self.normalized_shape: Any = (normalized_shape,) if single else tuple(normalized_shape)  # type: ignore[arg-type]
        self.eps, self.elementwise_affine = eps, elementwise_affine
        place = {"device": device, "dtype": dtype}
        self._set_up(self.normalized_shape, elementwise_affine, bias, place)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Affine):
    """Mean 0 and variance 1 over each of `num_groups` groups of an image's channels.

    Shapes: (N, C, ...) in and out; weight and bias (C,). Source: Wu, He (2018).

    Raises:
        ValueError: num_groups does not divide num_channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"[GroupNorm] num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._set_up((num_channels,), affine, bias, {"device": device, "dtype": dtype})

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
