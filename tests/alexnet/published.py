"""The published tables of the networks, written out from their sources.

A line is a path, a class, the output without the batch, and parameters. Of a large network the
lines are its parts, each with everything that is in it.
"""

ALEXNET_SMALL = """
    conv1   Conv2d             16 24 24      416
    relu1   ReLU               16 24 24        0
    norm1   LocalResponseNorm  16 24 24        0
    pool1   MaxPool2d          16 11 11        0
    conv2   Conv2d             32 11 11     4640
    relu2   ReLU               32 11 11        0
    norm2   LocalResponseNorm  32 11 11        0
    pool2   MaxPool2d          32  5  5        0
    conv3   Conv2d             96  5  5    27744
    relu3   ReLU               96  5  5        0
    pool3   MaxPool2d          96  2  2        0
    flatten Flatten                 384        0
    fc4     Linear                  256    98560
    relu4   ReLU                    256        0
    drop4   Dropout                 256        0
    fc5     Linear                   10     2570
"""
ALEXNET_2012 = """
    conv1   Conv2d              96 55 55      34944
    relu1   ReLU                96 55 55          0
    norm1   LocalResponseNorm   96 55 55          0
    pool1   MaxPool2d           96 27 27          0
    conv2   Conv2d             256 27 27     307456
    relu2   ReLU               256 27 27          0
    norm2   LocalResponseNorm  256 27 27          0
    pool2   MaxPool2d          256 13 13          0
    conv3   Conv2d             384 13 13     885120
    relu3   ReLU               384 13 13          0
    conv4   Conv2d             384 13 13     663936
    relu4   ReLU               384 13 13          0
    conv5   Conv2d             256 13 13     442624
    relu5   ReLU               256 13 13          0
    pool5   MaxPool2d          256  6  6          0
    flatten Flatten                 9216          0
    fc6     Linear                  4096   37752832
    relu6   ReLU                    4096          0
    drop6   Dropout                 4096          0
    fc7     Linear                  4096   16781312
    relu7   ReLU                    4096          0
    drop7   Dropout                 4096          0
    fc8     Linear                  1000    4097000
"""
ALEXNET = """
    features.0   Conv2d             64 55 55      23296
    features.1   ReLU               64 55 55          0
    features.2   MaxPool2d          64 27 27          0
    features.3   Conv2d            192 27 27     307392
    features.4   ReLU              192 27 27          0
    features.5   MaxPool2d         192 13 13          0
    features.6   Conv2d            384 13 13     663936
    features.7   ReLU              384 13 13          0
    features.8   Conv2d            256 13 13     884992
    features.9   ReLU              256 13 13          0
    features.10  Conv2d            256 13 13     590080
    features.11  ReLU              256 13 13          0
    features.12  MaxPool2d         256  6  6          0
    avgpool      AdaptiveAvgPool2d 256  6  6          0
    classifier.0 Dropout                9216          0
    classifier.1 Linear                 4096   37752832
    classifier.2 ReLU                   4096          0
    classifier.3 Dropout                4096          0
    classifier.4 Linear                 4096   16781312
    classifier.5 ReLU                   4096          0
    classifier.6 Linear                 1000    4097000
"""
ALEXNET_D2L = """
    0   Conv2d      96 54 54      11712
    1   ReLU        96 54 54          0
    2   MaxPool2d   96 26 26          0
    3   Conv2d     256 26 26     614656
    4   ReLU       256 26 26          0
    5   MaxPool2d  256 12 12          0
    6   Conv2d     384 12 12     885120
    7   ReLU       384 12 12          0
    8   Conv2d     384 12 12    1327488
    9   ReLU       384 12 12          0
    10  Conv2d     256 12 12     884992
    11  ReLU       256 12 12          0
    12  MaxPool2d  256  5  5          0
    13  Flatten         6400          0
    14  Linear          4096   26218496
    15  ReLU            4096          0
    16  Dropout         4096          0
    17  Linear          4096   16781312
    18  ReLU            4096          0
    19  Dropout         4096          0
    20  Linear            10      40970
"""
ALEXNET_TF = """
    pad1    ZeroPad2d            3 231 231        0
    conv1   Conv2d              96 56 56      34944
    relu1   ReLU                96 56 56          0
    norm1   LocalResponseNorm   96 56 56          0
    pool1   MaxPool2d           96 27 27          0
    conv2   Conv2d             256 27 27     614656
    relu2   ReLU               256 27 27          0
    norm2   LocalResponseNorm  256 27 27          0
    pool2   MaxPool2d          256 13 13          0
    conv3   Conv2d             384 13 13     885120
    relu3   ReLU               384 13 13          0
    conv4   Conv2d             384 13 13    1327488
    relu4   ReLU               384 13 13          0
    conv5   Conv2d             256 13 13     884992
    relu5   ReLU               256 13 13          0
    pool5   MaxPool2d          256  6  6          0
    flatten Flatten                 9216          0
    fc6     Linear                  4096   37752832
    relu6   ReLU                    4096          0
    drop6   Dropout                 4096          0
    fc7     Linear                  4096   16781312
    relu7   ReLU                    4096          0
    drop7   Dropout                 4096          0
    fc8     Linear                  1000    4097000
"""
LENET5 = """
    0   Conv2d      6 28 28      156
    1   Sigmoid     6 28 28        0
    2   AvgPool2d   6 14 14        0
    3   Conv2d     16 10 10     2416
    4   Sigmoid    16 10 10        0
    5   AvgPool2d  16  5  5        0
    6   Flatten         400        0
    7   Linear          120    48120
    8   Sigmoid         120        0
    9   Linear           84    10164
    10  Sigmoid          84        0
    11  Linear           10      850
"""
NIN = """
    0.0  Conv2d              96 54 54     11712
    0.1  ReLU                96 54 54         0
    0.2  Conv2d              96 54 54      9312
    0.3  ReLU                96 54 54         0
    0.4  Conv2d              96 54 54      9312
    0.5  ReLU                96 54 54         0
    1    MaxPool2d           96 26 26         0
    2.0  Conv2d             256 26 26    614656
    2.1  ReLU               256 26 26         0
    2.2  Conv2d             256 26 26     65792
    2.3  ReLU               256 26 26         0
    2.4  Conv2d             256 26 26     65792
    2.5  ReLU               256 26 26         0
    3    MaxPool2d          256 12 12         0
    4.0  Conv2d             384 12 12    885120
    4.1  ReLU               384 12 12         0
    4.2  Conv2d             384 12 12    147840
    4.3  ReLU               384 12 12         0
    4.4  Conv2d             384 12 12    147840
    4.5  ReLU               384 12 12         0
    5    MaxPool2d          384  5  5         0
    6    Dropout            384  5  5         0
    7.0  Conv2d              10  5  5     34570
    7.1  ReLU                10  5  5         0
    7.2  Conv2d              10  5  5       110
    7.3  ReLU                10  5  5         0
    7.4  Conv2d              10  5  5       110
    7.5  ReLU                10  5  5         0
    8    AdaptiveAvgPool2d   10  1  1         0
    9    Flatten                   10         0
"""
GOOGLENET = """
    conv1       Sequential          64 112 112     9536
    maxpool1    MaxPool2d           64  56  56        0
    conv2       Sequential          64  56  56     4224
    conv3       Sequential         192  56  56   110976
    maxpool2    MaxPool2d          192  28  28        0
    inception3a Inception          256  28  28   155872
    inception3b Inception          480  28  28   340224
    maxpool3    MaxPool2d          480  14  14        0
    inception4a Inception          512  14  14   364512
    inception4b Inception          512  14  14   425232
    inception4c Inception          512  14  14   486192
    inception4d Inception          528  14  14   573312
    inception4e Inception          832  14  14   803840
    maxpool4    MaxPool2d          832   7   7        0
    inception5a Inception          832   7   7   978944
    inception5b Inception         1024   7   7  1347040
    avgpool     AdaptiveAvgPool2d 1024   1   1        0
    dropout     Dropout                   1024        0
    fc          Linear                    1000  1025000
    aux2        Sequential                1000  3191016
    aux1        Sequential                1000  3188968
"""
GOOGLENET_D2L = """
    0.0  Sequential          64 48 48     3200
    0.1  MaxPool2d           64 24 24        0
    1.0  Sequential          64 24 24     4160
    1.1  Sequential         192 24 24   110784
    1.2  MaxPool2d          192 12 12        0
    2.0  Inception          256 12 12   163696
    2.1  Inception          480 12 12   388736
    2.2  MaxPool2d          480  6  6        0
    3.0  Inception          512  6  6   376176
    3.1  Inception          512  6  6   449160
    3.2  Inception          512  6  6   510104
    3.3  Inception          528  6  6   605376
    3.4  Inception          832  6  6   868352
    3.5  MaxPool2d          832  3  3        0
    4.0  Inception          832  3  3  1043456
    4.1  Inception         1024  3  3  1444080
    4.2  AdaptiveAvgPool2d 1024  1  1        0
    4.3  Flatten                 1024        0
    5    Linear                    10    10250
"""
RESNET20 = """
    conv1   Conv2d            16 28 28     144
    bn1     BatchNorm2d       16 28 28      32
    relu    ReLU              16 28 28       0
    layer1  Sequential        16 28 28   14016
    layer2  Sequential        32 14 14   51648
    layer3  Sequential        64  7  7  205696
    avgpool AdaptiveAvgPool2d 64  1  1       0
    flatten Flatten                 64       0
    fc      Linear                  10     650
"""
RESNET = """
    conv1   Conv2d              64 112 112 9408
    bn1     BatchNorm2d         64 112 112  128
    relu    ReLU                64 112 112    0
    maxpool MaxPool2d           64  56  56    0
    layer1  Sequential        {:>4}  56  56 {}
    layer2  Sequential        {:>4}  28  28 {}
    layer3  Sequential        {:>4}  14  14 {}
    layer4  Sequential        {:>4}   7   7 {}
    avgpool AdaptiveAvgPool2d {:>4}   1   1 0
    flatten Flatten           {:>4}         0
    fc      Linear            1000          {}
"""
# Channels and parameters of the four layers, channels before fc, parameters of fc.
RESNET18 = RESNET.format(
    64, 147_968, 128, 525_568, 256, 2_099_712, 512, 8_393_728, 512, 512, 513_000
)
RESNET34 = RESNET.format(
    64, 221_952, 128, 1_116_416, 256, 6_822_400, 512, 13_114_368, 512, 512, 513_000
)
RESNET50 = RESNET.format(
    256, 215_808, 512, 1_219_584, 1024, 7_098_368, 2048, 14_964_736, 2048, 2048, 2_049_000
)
RESNET101 = RESNET.format(
    256, 215_808, 512, 1_219_584, 1024, 26_090_496, 2048, 14_964_736, 2048, 2048, 2_049_000
)
RESNET152 = RESNET.format(
    256, 215_808, 512, 2_339_840, 1024, 40_613_888, 2048, 14_964_736, 2048, 2048, 2_049_000
)


def vgg(configuration: str, batch_norm: bool = False) -> str:
    """The table of a configuration of the VGG paper: widths of convolutions, M for a max-pool."""
    lines, channels, side = [], 3, 224

    def line(kind: str, parameters: int) -> None:
        lines.append(f"features.{len(lines)} {kind} {channels} {side} {side} {parameters}")

    for word in configuration.split():
        if word == "M":
            side //= 2
            line("MaxPool2d", 0)
            continue
        before, channels = channels, int(word)
        line("Conv2d", 9 * before * channels + channels)
        if batch_norm:
            line("BatchNorm2d", 2 * channels)
        line("ReLU", 0)
    return "\n".join(lines) + """
    avgpool      AdaptiveAvgPool2d 512 7 7         0
    classifier.0 Linear               4096 102764544
    classifier.1 ReLU                 4096         0
    classifier.2 Dropout              4096         0
    classifier.3 Linear               4096  16781312
    classifier.4 ReLU                 4096         0
    classifier.5 Dropout              4096         0
    classifier.6 Linear               1000   4097000
    """


A = "64 M 128 M 256 256 M 512 512 M 512 512 M"
B = "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"
D = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
E = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"

TABLES = {  # and the parameters in all
    "alexnet_small": (ALEXNET_SMALL, 133_930),
    "alexnet_2012": (ALEXNET_2012, 60_965_224),
    "alexnet": (ALEXNET, 61_100_840),
    "alexnet_d2l": (ALEXNET_D2L, 46_764_746),
    # the same shapes: (224 + 2 - 11) // 4 == (224 - 11) // 4
    "alexnet_d2l_pad0": (ALEXNET_D2L, 46_764_746),
    "alexnet_tf": (ALEXNET_TF, 62_378_344),
    "lenet5": (LENET5, 61_706),
    "vgg11": (vgg(A), 132_863_336),
    "vgg13": (vgg(B), 133_047_848),
    "vgg16": (vgg(D), 138_357_544),
    "vgg19": (vgg(E), 143_667_240),
    "vgg11_bn": (vgg(A, batch_norm=True), 132_868_840),
    "vgg13_bn": (vgg(B, batch_norm=True), 133_053_736),
    "vgg16_bn": (vgg(D, batch_norm=True), 138_365_992),
    "vgg19_bn": (vgg(E, batch_norm=True), 143_678_248),
    "nin": (NIN, 1_992_166),
    "googlenet": (GOOGLENET, 13_004_888),
    "googlenet_d2l": (GOOGLENET_D2L, 5_977_530),
    "resnet20": (RESNET20, 272_186),
    "resnet18": (RESNET18, 11_689_512),
    "resnet34": (RESNET34, 21_797_672),
    "resnet50": (RESNET50, 25_557_032),
    "resnet101": (RESNET101, 44_549_160),
    "resnet152": (RESNET152, 60_192_808),
}
