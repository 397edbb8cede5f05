"""Losses with a derivative of their own: the likelihood of a class, and of a yes or no.

Those built from elementwise operations, which autograd differentiates, are in
`nn/functional/loss.py`; cross-entropy is there, too: log-softmax followed by `NLLLoss`.
"""

from __future__ import annotations

from minigrad import backend, dtypes, kernels
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


class BCELoss(Function):
    """l = -t ln x - (1 - t) ln(1 - x);  dL/dx = g (x - t) / (x (1 - x)), dL/dt = g ln((1 - x) / x).

    PyTorch's bounds: no logarithm is below -100, and x (1 - x) not below 1e-12.
    """

    def forward(self, x: Array, t: Array) -> Array:
        self.save_for_backward(x, t)
        return kernels.of(x).fused(lambda xp, x, t: (
            (t - 1) * xp.maximum(xp.log1p(-x), -100) - t * xp.maximum(xp.log(x), -100)
        ), x, t)

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        x, t = self.saved_tensors
        k = kernels.of(g)
        gx = gt = None
        if self.needs_input_grad[0]:
            gx = k.fused(
                lambda xp, g, x, t: g * (x - t) / xp.maximum(x * (1 - x), 1e-12), g, x, t
            )
        if self.needs_input_grad[1]:
            gt = k.fused(lambda xp, g, x: g * (
                xp.maximum(xp.log1p(-x), -100) - xp.maximum(xp.log(x), -100)
            ), g, x)
        return gx, gt


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"[{name}] {reduction!r} is not a valid value for reduction: {REDUCTIONS}")


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
