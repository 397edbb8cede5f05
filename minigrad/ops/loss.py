"""Losses: what training makes small.

Cross-entropy is log-softmax followed by `NLLLoss`, the negative log-likelihood of the right class;
everything else about it (smoothing, class probabilities) is built from elementwise operations, and
autograd differentiates it.
"""

from __future__ import annotations

from minigrad import backend, dtypes, kernels, ops
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels.geometry import ShapeError
from minigrad.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


class NLLLoss(Function):
    """l = -w_t x_t, t the target's class;  dL/dx_t = -w_t g, divided by sum w_t for the mean.

    Targets equal to ignore_index count neither in the sum nor in the mean.
    """

    def forward(
        self, x: Array, target: Array, weight: Array | None, *, ignore_index: int, reduction: str
    ) -> Array:  # (N, C, ...), (N, ...), (C,)
        xp = backend.array_module(x)
        kept = target != ignore_index
        index = xp.expand_dims(xp.where(kept, target, 0), 1)  # (N, 1, ...)
        # A weight a target: 0 for the ignored.
        w = kept.astype(x.dtype) if weight is None else weight[index[:, 0]] * kept
        loss = -xp.take_along_axis(x, index, 1)[:, 0] * w
        loss = xp.where(kept, loss, xp.zeros((), x.dtype))  # 0 * inf is not 0
        self.shape, self.dtype, self.reduction = x.shape, x.dtype, reduction
        self.save_for_backward(index, w)
        self.total = None
        if reduction == "none":
            return loss
        wide = dtypes.accumulator(x.dtype)
        y = xp.asarray(loss.sum(dtype=wide))
        if reduction == "mean":
            self.total = xp.asarray(w.sum(dtype=wide))
            y = kernels.of(x).div(y, self.total)  # NaN where every target is ignored
        return y.astype(x.dtype)

    def backward(self, g: Array) -> tuple[Array, None, None]:
        index, w = self.saved_tensors
        xp = backend.array_module(g)
        if self.total is not None:
            w = w / xp.where(self.total == 0, 1, self.total)  # nothing counts: then w is 0 too
        each = -g * w
        gx = xp.zeros(self.shape, self.dtype)
        each = xp.expand_dims(xp.broadcast_to(each, w.shape), 1).astype(self.dtype)
        xp.put_along_axis(gx, index, each, 1)
        return gx, None, None


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"[{name}] {reduction!r} is not a valid value for reduction: {REDUCTIONS}")


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of the target classes.

    Shapes: input (N, C) or (N, C, d1, ...) of log-probabilities, or (C,); target (N,) or
    (N, d1, ...) of class indices, int64; weight (C,). The mean is weighted by `weight`.

    Raises:
        ShapeError: the shapes do not fit.
        IndexError: a class index outside 0..C-1; names it.

    Source: PyTorch, `torch.nn.functional.nll_loss`.
    """
    _check_reduction("nll_loss", reduction)
    if input.ndim == 1:
        loss = nll_loss(input[None], target[None], weight, ignore_index, reduction)
        return loss[0] if reduction == "none" else loss
    _check_classes("nll_loss", input, target, ignore_index)
    if weight is not None and tuple(weight.shape) != (input.shape[1],):
        raise ShapeError(
            f"[nll_loss] weight should hold {input.shape[1]} values, one a class, not "
            f"{tuple(weight.shape)}"
        )
    return NLLLoss.apply(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def _check_classes(name: str, input: Tensor, target: Tensor, ignore_index: int) -> None:
    expected = (input.shape[0], *input.shape[2:]) if input.ndim else ()
    if input.ndim < 2 or tuple(target.shape) != expected:
        raise ShapeError(
            f"[{name}] input of shape {tuple(input.shape)} (N, C, ...) needs class indices of "
            f"shape {expected}, got {tuple(target.shape)}"
        )
    if target.dtype.kind not in "iu":
        raise RuntimeError(f"[{name}] class indices must be int64, got {target.dtype}")
    if not target.is_cuda:  # on the GPU the check would wait for the device
        t = target.array
        wrong = t[((t < 0) | (t >= input.shape[1])) & (t != ignore_index)]
        if wrong.size:
            raise IndexError(
                f"[{name}] target {int(wrong.flat[0])} is out of bounds for {input.shape[1]} "
                "classes"
            )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy between softmax(input) and the target.

    Shapes: input (N, C), (N, C, d1, ...) or (C,), raw scores; target either class indices (input's
    shape without C) or class probabilities (input's shape, floating point); weight (C,).

    Args:
        label_smoothing: mixes the target with this much of the uniform distribution.

    Source: PyTorch, `torch.nn.functional.cross_entropy`.
    """
    _check_reduction("cross_entropy", reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"[cross_entropy] label_smoothing must be in 0..1, got {label_smoothing}")
    if not input.ndim:
        raise ShapeError("[cross_entropy] input needs a dimension of classes, got shape ()")
    channel = 0 if input.ndim == 1 else 1
    logp = ops.log_softmax(input, channel)
    if target.shape == input.shape and target.is_floating_point():
        return _probabilities(logp, target, weight, channel, reduction, label_smoothing)
    hard = nll_loss(logp, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    # The uniform part: -sum_c w_c log p_c / C for each target that is not ignored.
    kept = target != ignore_index
    everywhere = -ops.sum(logp if weight is None else logp * _along(weight, logp, channel), channel)
    soft = everywhere * kept.to(input.dtype)
    if reduction == "sum":
        soft = ops.sum(soft)
    elif reduction == "mean":
        counted = kept if weight is None else weight[target * kept.long()] * kept
        soft = ops.sum(soft) / ops.sum(counted.to(input.dtype))
    return hard * (1.0 - label_smoothing) + soft * (label_smoothing / input.shape[channel])


def _probabilities(
    logp: Tensor, target: Tensor, weight: Tensor | None, channel: int, reduction: str,
    label_smoothing: float,
) -> Tensor:
    if label_smoothing:
        uniform = label_smoothing / logp.shape[channel]
        target = target * (1.0 - label_smoothing) + uniform
    if weight is not None:
        target = target * _along(weight, logp, channel)
    return _reduce(-ops.sum(logp * target, channel), reduction)


def _along(weight: Tensor, like: Tensor, channel: int) -> Tensor:
    return weight.reshape([-1 if i == channel else 1 for i in range(like.ndim)])


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference, averaged, summed, or as it is. The shapes must be equal.

    PyTorch only warns about shapes that broadcast; here that is an error, since (N,) against
    (N, 1) is nearly always a mistake.
    """
    _check_reduction("mse_loss", reduction)
    if input.shape != target.shape:
        raise ShapeError(
            f"[mse_loss] input {tuple(input.shape)} and target {tuple(target.shape)} must have "
            "the same shape: reshape one of them"
        )
    difference = input - target
    return _reduce(difference * difference, reduction)
