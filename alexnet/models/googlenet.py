"""GoogLeNet, twice: torchvision's, and the one of Dive into Deep Learning.

An Inception block looks at its input through windows of several sizes at once and lays the results
side by side. What makes that affordable are 1 x 1 convolutions that first reduce the channels: 22
layers with a ninth of AlexNet's parameters. Both networks have the same nine blocks (`INCEPTIONS`)
and differ in what a convolution comes with and in how the images shrink. Next: `resnet.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import minigrad
from alexnet.weights import loadable
from minigrad import Tensor, nn
from minigrad.nn import init

Widths = tuple[int, tuple[int, int], tuple[int, int], int]
# Channels: of 1 x 1; of 1 x 1 and then 3 x 3; of 1 x 1 and then 5 x 5; of 1 x 1 after the pool.
INCEPTIONS: dict[str, Widths] = {
    "3a": (64, (96, 128), (16, 32), 32),
    "3b": (128, (128, 192), (32, 96), 64),
    "4a": (192, (96, 208), (16, 48), 64),
    "4b": (160, (112, 224), (24, 64), 64),
    "4c": (128, (128, 256), (24, 64), 64),
    "4d": (112, (144, 288), (32, 64), 64),
    "4e": (256, (160, 320), (32, 128), 128),
    "5a": (256, (160, 320), (32, 128), 128),
    "5b": (384, (192, 384), (48, 128), 128),
}
STEM = 192  # channels that the first block gets


def plain(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that only its stride makes smaller, and ReLU: the paper's, and the book's."""
    padding = kernel_size // 2
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
            relu=nn.ReLU(inplace=True),
        )
    )


def normalised(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    """As `plain`, with batch normalisation instead of a bias: torchvision's."""
    padding = kernel_size // 2
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
            bn=nn.BatchNorm2d(out_channels, eps=0.001),
            relu=nn.ReLU(inplace=True),
        )
    )


class Inception(nn.Module):
    """Four branches over the same input, joined along the channels.

        branch1    1 x 1
        branch2    1 x 1, then 3 x 3
        branch3    1 x 1, then `large` x `large`
        branch4    max-pool 3 x 3 / 1, then 1 x 1

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W); out_channels is the sum of what the
    branches end with.

    Args:
        widths: the channels, as in `INCEPTIONS`.
        convolution: `plain` or `normalised`.
        large: the paper's 5, or torchvision's 3.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Widths,
        convolution: Callable[..., nn.Sequential],
        large: int,
    ) -> None:
        super().__init__()
        one, (reduced2, two), (reduced3, three), four = widths
        self.branch1 = convolution(in_channels, one, kernel_size=1)
        self.branch2 = nn.Sequential(
            convolution(in_channels, reduced2, kernel_size=1),
            convolution(reduced2, two, kernel_size=3),
        )
        self.branch3 = nn.Sequential(
            convolution(in_channels, reduced3, kernel_size=1),
            convolution(reduced3, three, kernel_size=large),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            convolution(in_channels, four, kernel_size=1),
        )
        self.out_channels = one + two + three + four

    def forward(self, x: Tensor) -> Tensor:
        return minigrad.cat([branch(x) for branch in self.children()], 1)


def inceptions(convolution: Callable[..., nn.Sequential], large: int) -> dict[str, Inception]:
    """The nine blocks, each with the input channels that the one before it gives."""
    blocks: dict[str, Inception] = {}
    channels = STEM
    for name, widths in INCEPTIONS.items():
        blocks[name] = Inception(channels, widths, convolution, large)
        channels = blocks[name].out_channels
    return blocks


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns in training: its scores, and those of the two auxiliary classifiers.

    Each is (N, num_classes). The loss adds 0.3 of the auxiliary ones' (`alexnet.train`).
    """

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class GoogLeNet(nn.Module):
    """torchvision's GoogLeNet, with the keys of its published weights.

        layer              kernel               output            parameters
        conv1              7 x 7 / 2, pad 3       64 x 112 x 112        9,536
        maxpool1           3 x 3 / 2              64 x  56 x  56
        conv2              1 x 1                  64 x  56 x  56        4,224
        conv3              3 x 3, pad 1          192 x  56 x  56      110,976
        maxpool2           3 x 3 / 2             192 x  28 x  28
        inception3a                              256 x  28 x  28      155,872
        inception3b                              480 x  28 x  28      340,224
        maxpool3           3 x 3 / 2             480 x  14 x  14
        inception4a                              512 x  14 x  14      364,512
        inception4b                              512 x  14 x  14      425,232
        inception4c                              512 x  14 x  14      486,192
        inception4d                              528 x  14 x  14      573,312
        inception4e                              832 x  14 x  14      803,840
        maxpool4           2 x 2 / 2             832 x   7 x   7
        inception5a                              832 x   7 x   7      978,944
        inception5b                             1024 x   7 x   7    1,347,040
        avgpool dropout    adaptive             1024
        fc                                      1000                1,025,000
                                                                    6,624,904
        aux1               after inception4a    1000                3,188,968
        aux2               after inception4d    1000                3,191,016
                                                                   13,004,888

    It differs from the paper's network: batch normalisation (eps 0.001) and no biases, no LRN,
    max-pools that round up, and the branch of 5 x 5 convolutions has 3 x 3 ones; its published
    weights were trained so. The paper's dropout of 0.4 is 0.2 here.

    Shapes: images (N, in_channels, H, W), best 224 x 224, at least 15 x 15. In training with
    `aux_logits` the result is `GoogLeNetOutputs`, otherwise the scores (N, num_classes).

    Weights begin normal with deviation 0.01, cut at +-2.

    Args:
        aux_logits: whether there are the two classifiers halfway, which in training pass a gradient
            to the early layers.
        transform_input: take images normalised as torchvision's other networks want them (the mean
            and deviation of ImageNet), and make them what this one's weights want (mean and
            deviation 0.5). Only with three channels.

    Source: torchvision.models.googlenet, after Szegedy et al. (2014), "Going deeper with
    convolutions".
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if transform_input and in_channels != 3:
            raise ValueError(
                f"[GoogLeNet] transform_input needs 3 channels, red, green, blue: got {in_channels}"
            )
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.conv1 = normalised(in_channels, 64, kernel_size=7, stride=2)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.conv2 = normalised(64, 64, kernel_size=1)
        self.conv3 = normalised(64, STEM, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(kernel_size=2, stride=2, ceil_mode=True)
        blocks = inceptions(normalised, large=3)
        for name, block in blocks.items():
            self.add_module(f"inception{name}", block)
        if aux_logits:
            self.aux1 = auxiliary(blocks["4a"].out_channels, num_classes, dropout_aux)
            self.aux2 = auxiliary(blocks["4d"].out_channels, num_classes, dropout_aux)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(blocks["5b"].out_channels, num_classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                init.trunc_normal_(layer.weight, mean=0.0, std=0.01, a=-2.0, b=2.0)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        if self.transform_input:
            x = halved(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = early = self.inception4a(x)
        x = late = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.aux_logits and self.training:
            return GoogLeNetOutputs(logits, self.aux2(late), self.aux1(early))
        return logits


def auxiliary(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """A classifier for halfway: (N, in_channels, H, W) -> (N, num_classes)."""
    return nn.Sequential(
        OrderedDict(
            avgpool=nn.AdaptiveAvgPool2d((4, 4)),
            conv=normalised(in_channels, 128, kernel_size=1),
            flatten=nn.Flatten(),
            fc1=nn.Linear(128 * 4 * 4, 1024),
            relu=nn.ReLU(inplace=True),
            dropout=nn.Dropout(p=dropout),
            fc2=nn.Linear(1024, num_classes),
        )
    )


def halved(x: Tensor) -> Tensor:
    """Pixels less ImageNet's mean over its deviation, as pixels less 0.5 over 0.5: (N, 3, H, W)."""
    channels = [
        x[:, c : c + 1] * (std / 0.5) + (mean - 0.5) / 0.5
        for c, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)])
    ]
    return minigrad.cat(channels, 1)


@loadable
def googlenet(
    num_classes: int = 1000,
    aux_logits: bool = True,
    transform_input: bool = False,
    in_channels: int = 3,
) -> GoogLeNet:
    """torchvision's network: see `GoogLeNet`."""
    return GoogLeNet(num_classes, aux_logits, transform_input, in_channels=in_channels)


@loadable
def googlenet_d2l(num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """The network of Dive into Deep Learning: 5,977,530 parameters.

        layer                     output         parameters
        0  7 x 7 / 2              64 x 48 x 48        3,200
           max-pool               64 x 24 x 24
        1  1 x 1, 3 x 3          192 x 24 x 24      114,944
           max-pool              192 x 12 x 12
        2  3a 3b                 480 x 12 x 12      552,432
           max-pool              480 x  6 x  6
        3  4a 4b 4c 4d 4e        832 x  6 x  6    2,809,168
           max-pool              832 x  3 x  3
        4  5a 5b, average       1024              2,487,536
        5  Linear                 10                 10,250

    Images are 96 x 96, so that it trains quickly. It is the paper's network without LRN, dropout
    and auxiliary classifiers. The parts are numbered as in the listing, and named inside an
    Inception block as in torchvision's network.

    Weights begin as the book's do: Glorot's uniform initialisation.

    Source: Zhang et al., Dive into Deep Learning, section 8.4, the PyTorch listing.
    """
    blocks = inceptions(plain, large=5)
    net = nn.Sequential(
        nn.Sequential(plain(in_channels, 64, kernel_size=7, stride=2), halving()),
        nn.Sequential(plain(64, 64, kernel_size=1), plain(64, STEM, kernel_size=3), halving()),
        nn.Sequential(*(blocks[name] for name in ("3a", "3b")), halving()),
        nn.Sequential(*(blocks[name] for name in ("4a", "4b", "4c", "4d", "4e")), halving()),
        nn.Sequential(blocks["5a"], blocks["5b"], nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
        nn.Linear(blocks["5b"].out_channels, num_classes),
    )
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.xavier_uniform_(layer.weight)
    return net


def halving() -> nn.MaxPool2d:
    """The max-pool of the book: (N, C, H, W) -> (N, C, H/2, W/2), rounded up."""
    return nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
