"""Adam and AdamW: steps of a size that does not depend on the scale of the gradient.

The arithmetic is one call into a kernel for all parameters (`kernels/cpu/optim.py`, and `optim.cu`
on a GPU); the formula is in the docstring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad import kernels
from minigrad.backend import Array
from minigrad.optim.optimizer import Optimizer, check_at_least_zero, zeros_like
from minigrad.tensor import Tensor


class Adam(Optimizer):
    """For each parameter p with gradient g, at its step t = 1, 2, ..., with m = v = 0 at first:

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g^2
        p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Source: Kingma and Ba, "Adam", algorithm 1; PyTorch, `torch.optim.Adam`.

    Raises:
        ValueError: a negative option, a beta outside [0, 1), or amsgrad, which is not offered.
    """

    decoupled = False  # whether the weight decay bypasses m and v

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        name = type(self).__name__
        check_at_least_zero("learning rate", lr)
        check_at_least_zero("epsilon value", eps)
        check_at_least_zero("weight_decay value", weight_decay)
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        if amsgrad:
            raise ValueError(f"[{name}] amsgrad=True is not available: use amsgrad=False")
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    def _numbers(self, group: dict[str, Any]) -> Sequence[float]:
        return [group["lr"], *group["betas"], group["eps"], group["weight_decay"], self.decoupled]

    def _update_all(
        self, params: Sequence[Tensor], gs: Sequence[Array], groups: Sequence[int]
    ) -> None:
        ps, states = [p.array for p in params], [self.state[p] for p in params]
        k = kernels.of(ps[0])
        for p, state in zip(ps, states, strict=True):
            if not state:
                state.update(step=k.counter(), exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        names = ("exp_avg", "exp_avg_sq", "step")
        memory = [[state[name] for state in states] for name in names]
        k.adam_step(ps, gs, *memory, groups, self._options(params), self.skip)


class AdamW(Adam):
    """Adam whose weight decay acts on the parameter itself, p = p - lr * weight_decay * p, before
    the step, instead of being added to the gradient.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization"; PyTorch,
    `torch.optim.AdamW`.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
