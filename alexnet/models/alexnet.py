"""AlexNet, six times: the network of 2012, the three that today's books and libraries call by its
name (one of them with its first layer padded or not), and a small one for images of 28 x 28.

What they share: convolutions with ReLU, overlapping max-pools (3 x 3 windows, 2 apart), dropout
before large linear layers. Layers have names in the networks that are written here from a paper or
an idea, and numbers in those that follow a listing, so that `state_dict` has its keys. The tables
give outputs without the batch. Next: `vgg.py`, and `__init__.py`, which knows networks by name.
"""

from __future__ import annotations

from collections import OrderedDict

from alexnet.weights import loadable
from minigrad import Tensor, nn
from minigrad.nn import init

PIXEL_STD = 58.0  # of the photographs in ImageNet, for pixels in 0..255


@loadable
def alexnet_small(num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """AlexNet's ideas at the size of Fashion-MNIST.

        layer              kernel           output         parameters
        conv1 relu1 norm1  5 x 5            16 x 24 x 24          416
        pool1              3 x 3 / 2        16 x 11 x 11
        conv2 relu2 norm2  3 x 3, pad 1     32 x 11 x 11        4,640
        pool2              3 x 3 / 2        32 x  5 x  5
        conv3 relu3        3 x 3, pad 1     96 x  5 x  5       27,744
        pool3 flatten      3 x 3 / 2       384
        fc4 relu4 drop4                    256                 98,560
        fc5                                 10                  2,570

    Images are 28 x 28. Weights begin with He's initialisation, the last layer's with the paper's
    deviation of 0.01, and biases with 0: what is to be good after a minute must not wait for small
    weights to grow, nor unlearn large logits. Dropout takes a fifth, not the paper's half: a
    hidden layer of 256 has less to spare than one of 4096.
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 16, kernel_size=5),
            relu1=nn.ReLU(inplace=True),
            norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=1.0),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            conv2=nn.Conv2d(16, 32, kernel_size=3, padding=1),
            relu2=nn.ReLU(inplace=True),
            norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=1.0),
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            conv3=nn.Conv2d(32, 96, kernel_size=3, padding=1),
            relu3=nn.ReLU(inplace=True),
            pool3=nn.MaxPool2d(kernel_size=3, stride=2),
            flatten=nn.Flatten(),
            fc4=nn.Linear(96 * 2 * 2, 256),
            relu4=nn.ReLU(inplace=True),
            drop4=nn.Dropout(0.2),
            fc5=nn.Linear(256, num_classes),
        )
    )
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.kaiming_normal_(layer.weight, nonlinearity="relu")
            init.zeros_(layer.bias)
    init.normal_(net[-1].weight, std=0.01)
    return net


@loadable
def alexnet_2012(num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """The network of the paper: 60,965,224 parameters.

        layer              kernel             output        parameters
        conv1 relu1 norm1  11 x 11 / 4       96 x 55 x 55       34,944
        pool1              3 x 3 / 2         96 x 27 x 27
        conv2 relu2 norm2  5 x 5, pad 2     256 x 27 x 27      307,456    2 groups
        pool2              3 x 3 / 2        256 x 13 x 13
        conv3 relu3        3 x 3, pad 1     384 x 13 x 13      885,120
        conv4 relu4        3 x 3, pad 1     384 x 13 x 13      663,936    2 groups
        conv5 relu5        3 x 3, pad 1     256 x 13 x 13      442,624    2 groups
        pool5 flatten      3 x 3 / 2       9216
        fc6 relu6 drop6                    4096             37,752,832
        fc7 relu7 drop7                    4096             16,781,312
        fc8                                1000              4,097,000

    Images are 227 x 227: the 224 of the paper's text do not give its 55 x 55. The two groups were
    its two GPUs. Weights begin as the paper says: normal with deviation 0.01, biases 0, but 1 in
    conv2, conv4, conv5 and in the hidden linear layers, so that their ReLUs start with something to
    pass on. The paper's pixels were 0..255 less their mean; for pixels of deviation 1, as they are
    fed today, conv1 begins `PIXEL_STD` times larger, which gives the same activations.

    Source: Krizhevsky, Sutskever, Hinton (2012), sections 3 and 5. LRN's alpha = 1e-4 is 5e-4 in
    PyTorch's convention, which divides it by the window; dropout scales while training, not at
    test.
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, kernel_size=11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            conv2=nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),
            relu2=nn.ReLU(inplace=True),
            norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            conv3=nn.Conv2d(256, 384, kernel_size=3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            relu5=nn.ReLU(inplace=True),
            pool5=nn.MaxPool2d(kernel_size=3, stride=2),
            flatten=nn.Flatten(),
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(inplace=True),
            drop6=nn.Dropout(0.5),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            drop7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, num_classes),
        )
    )
    for name, layer in net.named_children():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.normal_(layer.weight, std=0.01 * PIXEL_STD if name == "conv1" else 0.01)
            init.constant_(
                layer.bias, 1.0 if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0.0
            )
    return net


class AlexNet(nn.Module):
    """torchvision's AlexNet: 61,100,840 parameters, and the keys of its published weights.

        layer                    kernel               output        parameters
        features.0  .1           11 x 11 / 4, pad 2   64 x 55 x 55       23,296    Conv2d, ReLU
        features.2               3 x 3 / 2            64 x 27 x 27
        features.3  .4           5 x 5, pad 2        192 x 27 x 27      307,392    Conv2d, ReLU
        features.5               3 x 3 / 2           192 x 13 x 13
        features.6  .7           3 x 3, pad 1        384 x 13 x 13      663,936    Conv2d, ReLU
        features.8  .9           3 x 3, pad 1        256 x 13 x 13      884,992    Conv2d, ReLU
        features.10 .11          3 x 3, pad 1        256 x 13 x 13      590,080    Conv2d, ReLU
        features.12              3 x 3 / 2           256 x  6 x  6
        avgpool                  adaptive            256 x  6 x  6
        classifier.0 .1 .2                            4096       37,752,832    Dropout, Linear, ReLU
        classifier.3 .4 .5                            4096       16,781,312    Dropout, Linear, ReLU
        classifier.6                                  1000        4,097,000    Linear

    Shapes: images (N, in_channels, H, W), best 224 x 224, at least 63 x 63.

    Source: torchvision.models.alexnet, after Krizhevsky (2014), "One weird trick": one GPU, so no
    groups; fewer filters, and no LRN.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, num_classes)
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


@loadable
def alexnet(num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> AlexNet:
    """torchvision's network: see `AlexNet`. `pretrained=True` takes its published weights."""
    return AlexNet(num_classes, dropout, in_channels)


@loadable
def alexnet_d2l(num_classes: int = 10, in_channels: int = 1, padding: int = 1) -> nn.Sequential:
    """The network of Dive into Deep Learning: 46,764,746 parameters.

        layer     kernel               output       parameters
        0  1      11 x 11 / 4, pad 1   96 x 54 x 54       11,712    Conv2d, ReLU
        2         3 x 3 / 2            96 x 26 x 26
        3  4      5 x 5, pad 2        256 x 26 x 26      614,656    Conv2d, ReLU
        5         3 x 3 / 2           256 x 12 x 12
        6  7      3 x 3, pad 1        384 x 12 x 12      885,120    Conv2d, ReLU
        8  9      3 x 3, pad 1        384 x 12 x 12    1,327,488    Conv2d, ReLU
        10 11     3 x 3, pad 1        256 x 12 x 12      884,992    Conv2d, ReLU
        12 13     3 x 3 / 2          6400                           MaxPool2d, Flatten
        14 15 16                     4096             26,218,496    Linear, ReLU, Dropout
        17 18 19                     4096             16,781,312    Linear, ReLU, Dropout
        20                             10                 40,970    Linear

    Images are 224 x 224. With `padding=0` every shape and every count stays the same: both
    floor((224 + 2 - 11) / 4) + 1 and floor((224 - 11) / 4) + 1 are 54. What changes is where the 54
    windows lie: padded they end at pixel 221 and never see the last two, unpadded at 222, missing
    only the last.

    Weights begin as the book's do: Glorot's uniform initialisation.

    Source: Zhang et al., Dive into Deep Learning, section 8.1, the PyTorch listing.
    """
    net = nn.Sequential(
        nn.Conv2d(in_channels, 96, kernel_size=11, stride=4, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(96, 256, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(256, 384, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Flatten(),
        nn.Linear(256 * 5 * 5, 4096),
        nn.ReLU(),
        nn.Dropout(p=0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(p=0.5),
        nn.Linear(4096, num_classes),
    )
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.xavier_uniform_(layer.weight)
    return net


@loadable
def alexnet_tf(num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """The network as TensorFlow's textbooks have it: 62,378,344 parameters.

        layer                kernel             output        parameters
        pad1                 3 before, 4 after   3 x 231 x 231
        conv1 relu1 norm1    11 x 11 / 4        96 x 56 x 56       34,944
        pool1                3 x 3 / 2          96 x 27 x 27
        conv2 relu2 norm2    5 x 5, same       256 x 27 x 27      614,656
        pool2                3 x 3 / 2         256 x 13 x 13
        conv3 relu3          3 x 3, same       384 x 13 x 13      885,120
        conv4 relu4          3 x 3, same       384 x 13 x 13    1,327,488
        conv5 relu5          3 x 3, same       256 x 13 x 13      884,992
        pool5 flatten        3 x 3 / 2        9216
        fc6 relu6 drop6                       4096             37,752,832
        fc7 relu7 drop7                       4096             16,781,312
        fc8                                   1000              4,097,000

    Images are 224 x 224. TensorFlow's SAME gives ceil(224 / 4) = 56 windows, which need
    55 * 4 + 11 = 231 pixels; of the 7 that are missing the odd one goes after. It is so for every
    side that 4 divides. Its pools are VALID: not padded.

    TensorFlow gives LRN a depth_radius r for the window's 2 r + 1 channels, and does not divide
    alpha by them: depth_radius=4, bias=1, alpha=0.001/9, beta=0.75 there is size=9, alpha=0.001
    here.

    Weights begin normal with deviation 0.1, drawn again beyond two deviations, and biases with 0.
    That is large: it was chosen for timing, and the first logits are in the hundred thousands.

    Source: the AlexNet benchmark among TensorFlow's tutorials for LRN, pools and weights, with the
    widths of 2012 in one group.
    """
    net = nn.Sequential(
        OrderedDict(
            pad1=nn.ZeroPad2d((3, 4, 3, 4)),
            conv1=nn.Conv2d(in_channels, 96, kernel_size=11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0),
            pool1=nn.MaxPool2d(kernel_size=3, stride=2),
            conv2=nn.Conv2d(96, 256, kernel_size=5, padding="same"),
            relu2=nn.ReLU(inplace=True),
            norm2=nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0),
            pool2=nn.MaxPool2d(kernel_size=3, stride=2),
            conv3=nn.Conv2d(256, 384, kernel_size=3, padding="same"),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, kernel_size=3, padding="same"),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, kernel_size=3, padding="same"),
            relu5=nn.ReLU(inplace=True),
            pool5=nn.MaxPool2d(kernel_size=3, stride=2),
            flatten=nn.Flatten(),
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(inplace=True),
            drop6=nn.Dropout(0.5),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(inplace=True),
            drop7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, num_classes),
        )
    )
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            init.zeros_(layer.bias)
    return net
