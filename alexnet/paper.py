"""What the 2012 paper did otherwise than today's frameworks: first weights, and the update rule.

Its other parts stand where their like stands: crops and colour noise in `crops.py`, the learning
rate in `config.py`. `presets.py` puts them together.

Source: Krizhevsky, Sutskever, Hinton (2012), "ImageNet Classification with Deep Convolutional
Neural Networks", section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad import kernels, nn, optim
from minigrad.backend import Array
from minigrad.nn import init
from minigrad.optim.optimizer import check_at_least_zero, zeros_like
from minigrad.tensor import Tensor


def initialize(model: nn.Module) -> None:
    """Weights normal with deviation 0.01; biases 1 where a ReLU is to start with something to pass
    on, else 0.

    The paper names its 2nd, 4th and 5th convolution and the hidden linear layers, which are taken
    here by their place in any network. For pixels as the paper had them, 0..255 less their mean.
    """
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    ones = [*convolutions[1:2], *convolutions[3:5], *linear[:-1]]
    for layer in (*convolutions, *linear):
        init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            init.constant_(layer.bias, 1.0 if layer in ones else 0.0)


class SGD2012(optim.Optimizer):
    """For each parameter w with gradient g, and its velocity v (0 at first):

        v = momentum * v - weight_decay * lr * w - lr * g
        w = w + v

    In PyTorch's SGD the learning rate is no part of v, but multiplies it: the two differ once the
    rate changes. Here steps already on their way keep the rate that they were made with.

    Raises:
        ValueError: a negative option.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 0.01, momentum: float = 0.9,
        weight_decay: float = 5e-4,
    ) -> None:  # fmt: skip
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        for name, value in options.items():
            check_at_least_zero(name, value)
        super().__init__(params, options)

    def _numbers(self, group: dict[str, Any]) -> Sequence[float]:
        """As SGD's kernel takes them, whose `buf` becomes -v where 1 - dampening is the rate."""
        lr, momentum = group["lr"], group["momentum"]
        return [1.0 if momentum else lr, momentum, 1 - lr, group["weight_decay"], False]

    def _update_all(
        self, params: Sequence[Tensor], gs: Sequence[Array], groups: Sequence[int]
    ) -> None:
        for p, i in zip(params, groups, strict=True):
            if self.param_groups[i]["momentum"] and not self.state[p]:
                self.state[p]["velocity"] = zeros_like(p.array)  # -v
        ps, steps = [p.array for p in params], [None] * len(params)
        bufs = [self.state[p].get("velocity") for p in params]
        kernels.of(ps[0]).sgd_step(ps, gs, bufs, steps, groups, self._options(params), self.skip)
