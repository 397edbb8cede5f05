"""LeNet-5, where convolutional networks begin: two convolutions, two pools, three linear layers.

What later networks changed is easily seen here: its activations are sigmoids, whose slope is at
most 1/4, so that little of a gradient is left after four of them, and its pools take the mean.
Next: `alexnet.py`, with ReLU and max-pools.
"""

from __future__ import annotations

from alexnet.weights import loadable
from minigrad import nn
from minigrad.nn import init


@loadable
def lenet5(num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """LeNet-5 as it is taught today: 61,706 parameters.

        layer     kernel          output       parameters
        0  1      5 x 5, pad 2     6 x 28 x 28        156    Conv2d, Sigmoid
        2         2 x 2 / 2        6 x 14 x 14               AvgPool2d
        3  4      5 x 5           16 x 10 x 10      2,416    Conv2d, Sigmoid
        5  6      2 x 2 / 2      400                         AvgPool2d, Flatten
        7  8                     120               48,120    Linear, Sigmoid
        9  10                     84               10,164    Linear, Sigmoid
        11                        10                  850    Linear

    Images are 28 x 28, and the first layer's padding makes them the 32 x 32 of 1998. The network
    of 1998 had scaled tanh, pools with a weight and a bias for each map, a second convolution that
    saw only some of the maps, and an output that measured distances.

    Weights begin as the book's do: Glorot's uniform initialisation.

    Source: Zhang et al., Dive into Deep Learning, section 7.6, the PyTorch listing; after LeCun,
    Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document recognition".
    """
    net = nn.Sequential(
        nn.Conv2d(in_channels, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, num_classes),
    )
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.xavier_uniform_(layer.weight)
    return net
