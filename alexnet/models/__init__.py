"""The networks by name: `models.alexnet(num_classes=10)`, or `models.get_model("alexnet",
num_classes=10)`. All take `weights=PATH`, and some `pretrained=True`: see `alexnet/weights.py`.

`MODELS` is what the command line offers, with the images that each network was published for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from alexnet.models.alexnet import AlexNet, alexnet, alexnet_2012, alexnet_d2l, alexnet_small
from minigrad import nn

__all__ = [
    "MODELS",
    "AlexNet",
    "Published",
    "alexnet",
    "alexnet_2012",
    "alexnet_d2l",
    "alexnet_small",
    "get_model",
    "list_models",
]


class Published(NamedTuple):
    """A network as its source has it: how it is built, for images (C, H, W) of how many classes."""

    build: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    num_classes: int
    about: str


MODELS = {
    "alexnet_small": Published(
        alexnet_small, (1, 28, 28), 10, "AlexNet's ideas at the size of Fashion-MNIST"
    ),
    "alexnet_2012": Published(alexnet_2012, (3, 227, 227), 1000, "the paper's, in two groups"),
    "alexnet": Published(alexnet, (3, 224, 224), 1000, "torchvision's, without groups and LRN"),
    "alexnet_d2l": Published(alexnet_d2l, (1, 224, 224), 10, "Dive into Deep Learning's"),
    "alexnet_d2l_pad0": Published(
        partial(alexnet_d2l, padding=0), (1, 224, 224), 10, "the same, first layer not padded"
    ),
}


def list_models() -> list[str]:
    """The names that `get_model` knows."""
    return list(MODELS)


def get_model(name: str, **config: Any) -> nn.Module:
    """The network `name`; config: `num_classes`, `in_channels`, by default the published ones;
    `weights` or `pretrained`.

    Raises:
        ValueError: the name is unknown; lists those that are not.
    """
    if name not in MODELS:
        raise ValueError(f"[get_model] unknown model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name].build(**config)
