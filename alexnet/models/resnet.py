"""Residual networks: a block computes what is to be added to its input, y = relu(x + f(x)).

Deeper plain networks had a higher error, on the training images as well, though a deeper one could
do what a shallower one does by copying. With a shortcut around each block, copying is what a block
does when its weights are 0, and the gradient of y reaches x undiminished beside what passes through
f. So depth no longer hurts: 152 layers instead of VGG's 19.

`BasicBlock` and `Bottleneck` are the two forms of f; `resnet` and `resnet20` stack them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from alexnet.weights import loadable
from minigrad import Tensor, nn
from minigrad.nn import init


class BasicBlock(nn.Module):
    """relu(x + f(x)), f of two 3 x 3 convolutions.

        conv1 bn1 relu1      3 x 3 / stride      width channels
        conv2 bn2            3 x 3               width channels
        downsample           see `shortcut`
        relu2                after the sum

    Shapes: (N, in_channels, H, W) -> (N, width, H/stride, W/stride), rounded up.
    """

    expansion = 1  # output channels for each of `width`

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, width, kernel_size=3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = convolution(width, width, kernel_size=3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(in_channels, width, stride)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        f = self.relu1(self.bn1(self.conv1(x)))
        f = self.bn2(self.conv2(f))
        return self.relu2(f + self.downsample(x))


class Bottleneck(nn.Module):
    """relu(x + f(x)), where f has its 3 x 3 convolution on a quarter of the channels.

        conv1 bn1 relu1      1 x 1               width channels
        conv2 bn2 relu2      3 x 3 / stride      width channels
        conv3 bn3            1 x 1               4 width channels
        downsample           see `shortcut`
        relu3                after the sum

    Shapes: (N, in_channels, H, W) -> (N, 4 width, H/stride, W/stride), rounded up.

    In the paper conv1 has the stride and throws three quarters of its input away; torchvision's
    conv2 has it, which is sometimes called V1.5.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = convolution(in_channels, width, kernel_size=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = convolution(width, width, kernel_size=3, stride=stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = convolution(width, out_channels, kernel_size=1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = shortcut(in_channels, out_channels, stride)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        f = self.relu1(self.bn1(self.conv1(x)))
        f = self.relu2(self.bn2(self.conv2(f)))
        f = self.bn3(self.conv3(f))
        return self.relu3(f + self.downsample(x))


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Conv2d:
    """Padded so that only a stride makes the image smaller; the normalisation after it has the
    bias."""
    return nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False
    )


def shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """x itself where f(x) has its shape; otherwise a 1 x 1 convolution gives x that shape."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        convolution(in_channels, out_channels, kernel_size=1, stride=stride),
        nn.BatchNorm2d(out_channels),
    )


def resnet(
    block: type[BasicBlock] | type[Bottleneck],
    depths: Sequence[int],
    num_classes: int = 1000,
    in_channels: int = 3,
) -> nn.Sequential:
    """torchvision's ResNets, with the keys of their published weights.

        layer          output               blocks in
                       basic   bottleneck   18   34   50  101  152
        conv1 bn1 relu    64 x 112 x 112    7 x 7 / 2, pad 3
        maxpool           64 x  56 x  56    3 x 3 / 2, pad 1
        layer1         64 or  256 x 56 x 56  2    3    3    3    3
        layer2        128 or  512 x 28 x 28  2    4    4    4    8
        layer3        256 or 1024 x 14 x 14  2    6    6   23   36
        layer4        512 or 2048 x  7 x  7  2    3    3    3    3
        avgpool flatten  512 or 2048
        fc             1000

        parameters    resnet18     resnet34     resnet50     resnet101    resnet152
                      11,689,512   21,797,672   25,557,032   44,549,160   60,192,808

    Shapes: images (N, in_channels, H, W), best 224 x 224, of any size.

    Convolutions begin with He's normal initialisation by fan_out, normalisations as the identity.

    Args:
        block: `BasicBlock` (18 and 34 layers) or `Bottleneck` (50 and more).
        depths: how many blocks each layer has.

    Source: torchvision.models.resnet, after He, Zhang, Ren, Sun (2015), "Deep residual learning for
    image recognition", table 1.
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(64),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            **stages(block, 64, (64, 128, 256, 512), depths),
            avgpool=nn.AdaptiveAvgPool2d((1, 1)),
            flatten=nn.Flatten(),
            fc=nn.Linear(512 * block.expansion, num_classes),
        )
    )
    return begin(net)


@loadable
def resnet20(num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """The paper's ResNet for small images, where 224 x 224's stem would leave nothing to look at.

        layer             output           parameters
        conv1 bn1 relu    16 x 28 x 28            176    3 x 3
        layer1            16 x 28 x 28         14,016    3 blocks
        layer2            32 x 14 x 14         51,648    3 blocks
        layer3            64 x  7 x  7        205,696    3 blocks
        avgpool flatten   64
        fc                10                      650
                                              272,186

    The first convolution keeps the image's size and there is no pool. Where channels double, the
    shortcut is a 1 x 1 convolution as in `resnet`; the paper pads x with channels of 0 there and
    has 2,752 parameters less.

    Source: He et al. (2015), section 4.2, n = 3, for CIFAR-10's 3 x 32 x 32.
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=convolution(in_channels, 16, kernel_size=3),
            bn1=nn.BatchNorm2d(16),
            relu=nn.ReLU(inplace=True),
            **stages(BasicBlock, 16, (16, 32, 64), (3, 3, 3)),
            avgpool=nn.AdaptiveAvgPool2d((1, 1)),
            flatten=nn.Flatten(),
            fc=nn.Linear(64, num_classes),
        )
    )
    return begin(net)


def stages(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    widths: Sequence[int],
    depths: Sequence[int],
) -> dict[str, nn.Sequential]:
    """layer1, layer2, ...: blocks of one width; from the second on the first block has stride 2."""
    layers = {}
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        blocks: list[nn.Module] = []
        for i in range(depth):
            blocks.append(block(in_channels, width, stride=2 if i == 0 and number > 1 else 1))
            in_channels = width * block.expansion
        layers[f"layer{number}"] = nn.Sequential(*blocks)
    return layers


def begin(net: nn.Sequential) -> nn.Sequential:
    """Draw the convolutions' weights as the paper does; normalisations are the identity already."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return net


@loadable
def resnet18(**config: Any) -> nn.Sequential:
    """`resnet` of 8 basic blocks: 17 convolutions one after the other and a linear layer."""
    return resnet(BasicBlock, (2, 2, 2, 2), **config)


@loadable
def resnet34(**config: Any) -> nn.Sequential:
    """`resnet` of 16 basic blocks."""
    return resnet(BasicBlock, (3, 4, 6, 3), **config)


@loadable
def resnet50(**config: Any) -> nn.Sequential:
    """`resnet` of 16 bottlenecks."""
    return resnet(Bottleneck, (3, 4, 6, 3), **config)


@loadable
def resnet101(**config: Any) -> nn.Sequential:
    """`resnet` of 33 bottlenecks."""
    return resnet(Bottleneck, (3, 4, 23, 3), **config)


@loadable
def resnet152(**config: Any) -> nn.Sequential:
    """`resnet` of 50 bottlenecks."""
    return resnet(Bottleneck, (3, 8, 36, 3), **config)
