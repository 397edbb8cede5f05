"""VGG: stacks of 3 x 3 convolutions, each stack followed by a max-pool that halves the image.

Three 3 x 3 windows on top of each other see as far as one of 7 x 7, with 27 weights instead of 49
for each pair of channels, and with three ReLUs instead of one. So depth became the thing to vary:
the networks differ only in how many convolutions a stack has. Next: `nin.py`, which goes down to
1 x 1, and `resnet.py`, which asks why 19 layers were the end of this road.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alexnet.weights import loadable
from minigrad import Tensor, nn
from minigrad.nn import init

WIDTHS = (64, 128, 256, 512, 512)  # channels of the five stacks


class VGG(nn.Module):
    """torchvision's VGG, with the keys of its published weights.

        layer                    output              convolutions in
                                                     vgg11  vgg13  vgg16  vgg19
        stack 1                   64 x 224 x 224         1      2      2      2
        max-pool 2 x 2 / 2        64 x 112 x 112
        stack 2                  128 x 112 x 112         1      2      2      2
        max-pool                 128 x  56 x  56
        stack 3                  256 x  56 x  56         2      2      3      4
        max-pool                 256 x  28 x  28
        stack 4                  512 x  28 x  28         2      2      3      4
        max-pool                 512 x  14 x  14
        stack 5                  512 x  14 x  14         2      2      3      4
        max-pool, avgpool        512 x   7 x   7
        classifier.0 .1 .2      4096                 102,764,544   Linear, ReLU, Dropout
        classifier.3 .4 .5      4096                  16,781,312   Linear, ReLU, Dropout
        classifier.6            1000                   4,097,000   Linear

        parameters             vgg11         vgg13         vgg16         vgg19
        plain                  132,863,336   133,047,848   138,357,544   143,667,240
        with BatchNorm2d       132,868,840   133,053,736   138,365,992   143,678,248

    Stacks and pools are numbered through in `features`: Conv2d 3 x 3 pad 1, BatchNorm2d if
    `batch_norm`, ReLU. A convolution from C to O channels has 9 C O + O parameters, a normalisation
    2 O.

    Shapes: images (N, in_channels, H, W), best 224 x 224, at least 32 x 32.

    Weights begin with He's normal initialisation by fan_out, those of linear layers with deviation
    0.01, biases with 0.

    Args:
        stacks: how many convolutions each of the five stacks has.

    Source: torchvision.models.vgg, after Simonyan and Zisserman (2014), "Very deep convolutional
    networks for large-scale image recognition", configurations A, B, D and E; batch normalisation
    is torchvision's addition.
    """

    def __init__(
        self,
        stacks: Sequence[int],
        batch_norm: bool = False,
        num_classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.features = convolutions(stacks, batch_norm, in_channels)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                init.zeros_(layer.bias)
            elif isinstance(layer, nn.Linear):
                init.normal_(layer.weight, std=0.01)
                init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, num_classes)
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


def convolutions(stacks: Sequence[int], batch_norm: bool, in_channels: int) -> nn.Sequential:
    """The stacks, each with its max-pool: (N, C, H, W) -> (N, 512, H/32, W/32)."""
    layers: list[nn.Module] = []
    for depth, width in zip(stacks, WIDTHS, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(in_channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            in_channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


@loadable
def vgg11(**config: Any) -> VGG:
    """The paper's A: `VGG` of 8 convolutions and 3 linear layers."""
    return VGG((1, 1, 2, 2, 2), **config)


@loadable
def vgg11_bn(**config: Any) -> VGG:
    """`vgg11` with batch normalisation."""
    return VGG((1, 1, 2, 2, 2), batch_norm=True, **config)


@loadable
def vgg13(**config: Any) -> VGG:
    """The paper's B: `VGG` of 10 convolutions and 3 linear layers."""
    return VGG((2, 2, 2, 2, 2), **config)


@loadable
def vgg13_bn(**config: Any) -> VGG:
    """`vgg13` with batch normalisation."""
    return VGG((2, 2, 2, 2, 2), batch_norm=True, **config)


@loadable
def vgg16(**config: Any) -> VGG:
    """The paper's D: `VGG` of 13 convolutions and 3 linear layers."""
    return VGG((2, 2, 3, 3, 3), **config)


@loadable
def vgg16_bn(**config: Any) -> VGG:
    """`vgg16` with batch normalisation."""
    return VGG((2, 2, 3, 3, 3), batch_norm=True, **config)


@loadable
def vgg19(**config: Any) -> VGG:
    """The paper's E: `VGG` of 16 convolutions and 3 linear layers."""
    return VGG((2, 2, 4, 4, 4), **config)


@loadable
def vgg19_bn(**config: Any) -> VGG:
    """`vgg19` with batch normalisation."""
    return VGG((2, 2, 4, 4, 4), batch_norm=True, **config)
