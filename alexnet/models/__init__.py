"""The networks by name: `models.resnet18(num_classes=10)`, or `models.get_model("resnet18",
num_classes=10)`. All take `weights=PATH`, and some `pretrained=True`: see `alexnet/weights.py`.

`MODELS` is what the command line offers, with the images that each network was published for. In
the order in which they were invented: `lenet.py`, `alexnet.py`, `vgg.py`, `nin.py`, `googlenet.py`,
`resnet.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from alexnet.models.alexnet import (
    AlexNet,
    alexnet,
    alexnet_2012,
    alexnet_d2l,
    alexnet_small,
    alexnet_tf,
)
from alexnet.models.googlenet import GoogLeNet, GoogLeNetOutputs, googlenet, googlenet_d2l
from alexnet.models.lenet import lenet5
from alexnet.models.nin import nin
from alexnet.models.resnet import resnet18, resnet20, resnet34, resnet50, resnet101, resnet152
from alexnet.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)
from minigrad import nn
from minigrad.missing import near

__all__ = [
    "MODELS",
    "VGG",
    "AlexNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "Published",
    "alexnet",
    "alexnet_2012",
    "alexnet_d2l",
    "alexnet_small",
    "alexnet_tf",
    "get_model",
    "googlenet",
    "googlenet_d2l",
    "lenet5",
    "list_models",
    "nin",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]


class Published(NamedTuple):
    """A network as its source has it: how it is built, for images (C, H, W) of how many classes."""

    build: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    num_classes: int
    about: str


def family(about: str, *members: Callable[..., nn.Module]) -> dict[str, Published]:
    """Networks for ImageNet's thousand classes that differ in depth alone."""
    return {build.__name__: Published(build, (3, 224, 224), 1000, about) for build in members}


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
    "alexnet_tf": Published(alexnet_tf, (3, 224, 224), 1000, "TensorFlow's, padded to SAME"),
    "lenet5": Published(lenet5, (1, 28, 28), 10, "the network of 1998, as taught today"),
    **family("torchvision's VGG", vgg11, vgg13, vgg16, vgg19),
    **family("torchvision's VGG with batch normalisation", vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn),
    "nin": Published(nin, (1, 224, 224), 10, "Network in Network, Dive into Deep Learning's"),
    "googlenet": Published(googlenet, (3, 224, 224), 1000, "torchvision's"),
    "googlenet_d2l": Published(googlenet_d2l, (1, 96, 96), 10, "Dive into Deep Learning's"),
    "resnet20": Published(resnet20, (1, 28, 28), 10, "the ResNet paper's for small images"),
    **family("torchvision's ResNet", resnet18, resnet34, resnet50, resnet101, resnet152),
}


def list_models() -> list[str]:
    """The names that `get_model` knows."""
    return list(MODELS)


def get_model(name: str, **config: Any) -> nn.Module:
    """The network `name`; config: `num_classes`, `in_channels`, by default the published ones;
    `weights` or `pretrained`.

    Raises:
        ValueError: the name is unknown; lists those that are not, what is near it first.
    """
    if name not in MODELS:
        raise ValueError(f"[get_model] {unknown(name)}")
    return MODELS[name].build(**config)


def unknown(name: str) -> str:
    """What is said of a model that does not exist."""
    return f"unknown model {name!r}; {near(name, list_models)}; there are {', '.join(MODELS)}"
