"""Adadelta: steps whose size follows from the steps before, so that no rate has to be chosen.

Written as plain array expressions: nobody trains a large network with it, but PyTorch's first
example does train a small one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad import backend
from minigrad.backend import Array
from minigrad.optim.optimizer import Optimizer, check_at_least_zero, zeros_like


class Adadelta(Optimizer):
    """For each parameter p with gradient g, where v = u = 0 at first:

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g^2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d^2
        p = p - lr * d

    Source: Zeiler, "ADADELTA: an adaptive learning rate method"; PyTorch, `torch.optim.Adadelta`.

    Raises:
        ValueError: a negative option, or `rho` outside [0, 1].
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0,
    ) -> None:
        check_at_least_zero("learning rate", lr)
        check_at_least_zero("epsilon value", eps)
        check_at_least_zero("weight_decay value", weight_decay)
        if not 0 <= rho <= 1:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay})

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, square_avg=zeros_like(p), acc_delta=zeros_like(p))
        state["step"] += 1
        v, u, sqrt = state["square_avg"], state["acc_delta"], backend.array_module(p).sqrt
        rho, eps = group["rho"], group["eps"]
        with backend.use_device_of(p):
            if group["weight_decay"]:
                g = g + group["weight_decay"] * p
            v *= rho
            v += (1 - rho) * g * g
            d = sqrt(u + eps) / sqrt(v + eps) * g
            u *= rho
            u += (1 - rho) * d * d
            p -= float(group["lr"]) * d
