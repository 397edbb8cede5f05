"""Stochastic gradient descent with momentum: the optimizer that AlexNet was trained with.

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


class SGD(Optimizer):
    """For each parameter p with gradient g, and its momentum b (which starts as the first d):

        d = g + weight_decay * p
        b = momentum * b + (1 - dampening) * d
        p = p - lr * b                            or, if `nesterov`, p - lr * (d + momentum * b)

    Without momentum p = p - lr * d. Source: PyTorch, `torch.optim.SGD`. There the learning rate
    scales the momentum at each step; the 2012 paper accumulates lr * d instead, which is the same
    until the learning rate changes.

    Raises:
        ValueError: a negative option, or `nesterov` without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        check_at_least_zero("learning rate", lr)
        check_at_least_zero("momentum value", momentum)
        check_at_least_zero("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, options)

    def _numbers(self, group: dict[str, Any]) -> Sequence[float]:
        names = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
        return [group[name] for name in names]

    def _update_all(
        self, params: Sequence[Tensor], gs: Sequence[Array], groups: Sequence[int]
    ) -> None:
        ps, bufs, steps = [p.array for p in params], [], []
        k = kernels.of(ps[0])
        for p, i in zip(params, groups, strict=True):
            state, group = self.state[p], self.param_groups[i]
            if group["momentum"] and "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(p.array)
                if group["dampening"]:  # which the first gradient that is not skipped is spared
                    state["step"] = k.counter()
            bufs.append(state["momentum_buffer"] if group["momentum"] else None)
            steps.append(state.get("step"))
        k.sgd_step(ps, gs, bufs, steps, groups, self._options(params), self.skip)
