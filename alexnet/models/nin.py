"""Network in Network: no linear layers, a map for each class instead, and its mean is the score.

A 1 x 1 convolution is a linear layer that all pixels share. NiN puts two of them behind each
convolution, so that what looks at a window is itself a small network: 2 million parameters, where
`alexnet_d2l` has 47, nearly all of them in its linear layers. Next: `googlenet.py`, which uses
1 x 1 convolutions to save arithmetic.
"""

from __future__ import annotations

from alexnet.weights import loadable
from minigrad import nn
from minigrad.nn import init


@loadable
def nin(num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """The network of Dive into Deep Learning: 1,992,166 parameters.

        layer    kernel                output         parameters
        0        11 x 11 / 4           96 x 54 x 54       30,336    `window`
        1         3 x 3 / 2            96 x 26 x 26                 MaxPool2d
        2         5 x 5, pad 2        256 x 26 x 26      746,240    `window`
        3         3 x 3 / 2           256 x 12 x 12                 MaxPool2d
        4         3 x 3, pad 1        384 x 12 x 12    1,180,800    `window`
        5 6       3 x 3 / 2           384 x  5 x  5                 MaxPool2d, Dropout
        7         3 x 3, pad 1         10 x  5 x  5       34,790    `window`
        8 9      adaptive              10                           AdaptiveAvgPool2d, Flatten

    Images are 224 x 224. Weights begin as the book's do: Glorot's uniform initialisation. The last
    `window` ends in a ReLU as the others do, so that no score is below 0.

    Source: Zhang et al., Dive into Deep Learning, section 8.3, the PyTorch listing; after Lin,
    Chen, Yan (2013), "Network in network".
    """
    net = nn.Sequential(
        window(in_channels, 96, kernel_size=11, stride=4, padding=0),
        nn.MaxPool2d(kernel_size=3, stride=2),
        window(96, 256, kernel_size=5, stride=1, padding=2),
        nn.MaxPool2d(kernel_size=3, stride=2),
        window(256, 384, kernel_size=3, stride=1, padding=1),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Dropout(p=0.5),
        window(384, num_classes, kernel_size=3, stride=1, padding=1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            init.xavier_uniform_(layer.weight)
    return net


def window(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int
) -> nn.Sequential:
    """A convolution and two of 1 x 1 behind it, each with a ReLU: the paper's mlpconv layer."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, kernel_size=1),
        nn.ReLU(),
    )
