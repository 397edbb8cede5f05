"""Losses as layers: what training makes small. How they are computed: `functional/loss.py`."""

from __future__ import annotations

from minigrad.nn import functional as F
from minigrad.nn.functional.loss import two_flags
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class MSELoss(Module):
    """The squared difference: its mean, its sum, or with reduction="none" each by itself."""

    @two_flags
    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Module):
    """|input - target|: its mean, its sum, or with reduction="none" each by itself."""

    @two_flags
    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Module):
    """A parabola where |input - target| < beta, a line beyond: see `functional.smooth_l1_loss`."""

    @two_flags
    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__()
        self.reduction, self.beta = reduction, beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Module):
    """`SmoothL1Loss` times delta, which is its beta: see `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__()
        self.reduction, self.delta = reduction, delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(Module):
    """target (log target - input), the input a logarithm: see `functional.kl_div`.

    reduction="batchmean" gives the Kullback-Leibler divergence; the default "mean" a part of it.
    """

    @two_flags
    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(Module):
    """-log p of a yes (target 1), -log(1 - p) of a no (0), p the input.

    Shapes: input and target alike; `weight`, of each loss, broadcasts.
    """

    @two_flags
    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """`BCELoss` of sigmoid(input), exact for every input.

    Shapes: input and target alike; `weight`, of each loss, and `pos_weight`, of those of a yes,
    broadcast.
    """

    @two_flags
    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class NLLLoss(Module):
    """-log p of the right class, given log-probabilities: see `functional.nll_loss`.

    Shapes: input (N, C, ...), target (N, ...) of class indices, `weight` (C,) or None.
    """

    @two_flags
    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(Module):
    """-log softmax(input) of the right class: see `functional.cross_entropy`.

    Shapes: input (N, C, ...) of scores, target (N, ...) of class indices or (N, C, ...) of class
    probabilities, `weight` (C,) or None. `label_smoothing` mixes the target with the uniform one.
    """

    @two_flags
    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction = ignore_index, reduction
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
