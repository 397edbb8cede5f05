"""The networks that follow torchvision have its keys and shapes, and begin as its networks do."""

import math

import numpy as np
import pytest

import minigrad as mg
from alexnet import models
from minigrad import nn
from tests.alexnet.twins import hidden, narrowed

# The positions of the convolutions in `features`.
VGG_CONVOLUTIONS = {
    "vgg11": [0, 3, 6, 8, 11, 13, 16, 18],
    "vgg13": [0, 2, 5, 7, 10, 12, 15, 17, 20, 22],
    "vgg16": [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28],
    "vgg19": [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
    "vgg11_bn": [0, 4, 8, 11, 15, 18, 22, 25],
    "vgg13_bn": [0, 3, 7, 10, 14, 17, 21, 24, 28, 31],
    "vgg16_bn": [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40],
    "vgg19_bn": [0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49],
}
VGG_WIDTHS = {
    "vgg11": [64, 128, 256, 256, 512, 512, 512, 512],
    "vgg13": [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    "vgg16": [64, 64, 128, 128, 256, 256, 256, *[512] * 6],
    "vgg19": [64, 64, 128, 128, 256, 256, 256, 256, *[512] * 8],
}
RESNET_BLOCKS = {  # of layer1 to layer4; a bottleneck's convolutions are 1 x 1, 3 x 3, 1 x 1
    "resnet18": ([2, 2, 2, 2], [3, 3]),
    "resnet34": ([3, 4, 6, 3], [3, 3]),
    "resnet50": ([3, 4, 6, 3], [1, 3, 1]),
    "resnet101": ([3, 4, 23, 3], [1, 3, 1]),
    "resnet152": ([3, 8, 36, 3], [1, 3, 1]),
}
# Inputs; 1 x 1; 1 x 1 and 3 x 3; 1 x 1 and "5 x 5", which is 3 x 3; 1 x 1 after the pool.
GOOGLENET_BLOCKS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def layer(path, *shape):
    """A convolution or linear layer with a bias."""
    return {f"{path}.weight": shape, f"{path}.bias": shape[:1]}


def normalisation(path, channels):
    keys = ("weight", "bias", "running_mean", "running_var")
    return {f"{path}.{key}": (channels,) for key in keys} | {f"{path}.num_batches_tracked": ()}


def alexnet():
    return {
        **layer("features.0", 64, 3, 11, 11),
        **layer("features.3", 192, 64, 5, 5),
        **layer("features.6", 384, 192, 3, 3),
        **layer("features.8", 256, 384, 3, 3),
        **layer("features.10", 256, 256, 3, 3),
        **layer("classifier.1", 4096, 9216),
        **layer("classifier.4", 4096, 4096),
        **layer("classifier.6", 1000, 4096),
    }


def vgg(name):
    keys, channels = {}, 3
    widths = VGG_WIDTHS[name.removesuffix("_bn")]
    for position, width in zip(VGG_CONVOLUTIONS[name], widths, strict=True):
        keys |= layer(f"features.{position}", width, channels, 3, 3)
        if name.endswith("_bn"):
            keys |= normalisation(f"features.{position + 1}", width)
        channels = width
    linear = {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}
    for position, shape in linear.items():
        keys |= layer(f"classifier.{position}", *shape)
    return keys


def resnet(name):
    depths, kernels = RESNET_BLOCKS[name]
    expansion = 4 if len(kernels) == 3 else 1
    keys, channels = {"conv1.weight": (64, 3, 7, 7), **normalisation("bn1", 64)}, 64
    for number, depth in enumerate(depths, start=1):
        width = 32 * 2**number
        for i in range(depth):
            path, before = f"layer{number}.{i}", channels
            for n, kernel in enumerate(kernels, start=1):
                out = width * expansion if n == len(kernels) else width
                keys[f"{path}.conv{n}.weight"] = (out, before, kernel, kernel)
                keys |= normalisation(f"{path}.bn{n}", out)
                before = out
            if i == 0 and (number > 1 or expansion > 1):
                keys[f"{path}.downsample.0.weight"] = (out, channels, 1, 1)
                keys |= normalisation(f"{path}.downsample.1", out)
            channels = out
    return keys | layer("fc", 1000, 512 * expansion)


def googlenet():
    def unit(path, *shape):
        return {f"{path}.conv.weight": shape, **normalisation(f"{path}.bn", shape[0])}

    keys = {
        **unit("conv1", 64, 3, 7, 7),
        **unit("conv2", 64, 64, 1, 1),
        **unit("conv3", 192, 64, 3, 3),
    }
    for name, (inputs, one, reduced2, two, reduced3, three, four) in GOOGLENET_BLOCKS.items():
        keys |= {
            **unit(f"inception{name}.branch1", one, inputs, 1, 1),
            **unit(f"inception{name}.branch2.0", reduced2, inputs, 1, 1),
            **unit(f"inception{name}.branch2.1", two, reduced2, 3, 3),
            **unit(f"inception{name}.branch3.0", reduced3, inputs, 1, 1),
            **unit(f"inception{name}.branch3.1", three, reduced3, 3, 3),
            **unit(f"inception{name}.branch4.1", four, inputs, 1, 1),
        }
    for name, inputs in (("aux1", 512), ("aux2", 528)):
        keys |= unit(f"{name}.conv", 128, inputs, 1, 1)
        keys |= layer(f"{name}.fc1", 1024, 2048) | layer(f"{name}.fc2", 1000, 1024)
    return keys | layer("fc", 1000, 1024)


KEYS = {
    "alexnet": alexnet(),
    "googlenet": googlenet(),
    **{name: vgg(name) for name in VGG_CONVOLUTIONS},
    **{name: resnet(name) for name in RESNET_BLOCKS},
}


@pytest.mark.parametrize("name", KEYS)
def test_keys_and_shapes(name, undrawn):
    state = models.get_model(name).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == KEYS[name]
    assert list(state) == list(KEYS[name])  # and their order


@pytest.mark.parametrize(
    ("name", "key", "deviation"),
    [
        ("vgg11", "features.3.weight", math.sqrt(2 / (9 * 128))),
        ("vgg11", "classifier.0.weight", 0.01),
        ("vgg11_bn", "features.4.weight", math.sqrt(2 / (9 * 128))),
        ("googlenet", "conv3.conv.weight", 0.01),
        ("googlenet", "inception4e.branch2.1.conv.weight", 0.01),
        ("googlenet", "aux1.fc1.weight", 0.01),
        ("googlenet", "fc.weight", 0.01),
        ("resnet18", "conv1.weight", math.sqrt(2 / (49 * 64))),
        ("resnet18", "layer2.0.conv1.weight", math.sqrt(2 / (9 * 128))),
        ("resnet18", "layer2.0.downsample.0.weight", math.sqrt(2 / 128)),
        # What is left of a normal distribution within two deviations has 0.8796 of its deviation.
        ("alexnet_tf", "conv2.weight", 0.1 * 0.8796),
        ("alexnet_tf", "fc6.weight", 0.1 * 0.8796),
    ],
)
def test_how_weights_begin(name, key, deviation):
    with narrowed(hidden):
        weight = models.get_model(name, num_classes=100).state_dict()[key].numpy()
    assert abs(weight.mean()) < 0.03 * deviation
    assert weight.std() == pytest.approx(deviation, rel=0.03)
    if name == "alexnet_tf":
        assert 0.19 < np.abs(weight).max() <= 0.2


def test_how_biases_and_normalisations_begin():
    with narrowed(hidden):
        nets = {name: models.get_model(name, num_classes=10) for name in ("vgg11_bn", "resnet18")}
    for name, net in nets.items():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                assert set(layer.weight.tolist()) == {1.0}
            if name == "vgg11_bn" and getattr(layer, "bias", None) is not None:
                assert set(layer.bias.tolist()) == {0.0}


# ---------------------------------------------------------------------------- GoogLeNet's habits


def test_auxiliary_classifiers_speak_in_training_alone():
    net, images = models.googlenet(num_classes=10), mg.zeros(2, 3, 32, 32)
    result = net(images)
    assert result._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [tuple(scores.shape) for scores in result] == [(2, 10)] * 3
    assert isinstance(net.eval()(images), mg.Tensor)


def test_googlenet_without_auxiliary_classifiers(undrawn):
    net = models.googlenet(aux_logits=False)
    assert sum(p.numel() for p in net.parameters()) == 6_624_904
    assert list(net.state_dict()) == [key for key in KEYS["googlenet"] if not key.startswith("aux")]
    assert net.training
    assert isinstance(net.eval()(mg.zeros(0, 3, 224, 224)), mg.Tensor)


def test_googlenet_normalises_with_its_own_epsilon(undrawn):
    layers = [m for m in models.googlenet().modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(layers) == 3 + 9 * 6 + 2
    assert {layer.eps for layer in layers} == {0.001}


def test_transform_input_undoes_imagenets_normalisation():
    """A pixel of 0.7, normalised as for the other networks, becomes (0.7 - 0.5) / 0.5."""
    mean = np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    seen = []
    net = models.googlenet(num_classes=2, aux_logits=False, transform_input=True).double().eval()
    net.conv1.register_forward_hook(lambda layer, args, y: seen.append(args[0].numpy()))
    net(mg.Tensor((np.full((1, 3, 32, 32), 0.7) - mean) / std))
    np.testing.assert_allclose(seen[0], np.full((1, 3, 32, 32), 0.4), rtol=1e-12)


def test_transform_input_needs_colours():
    with pytest.raises(ValueError, match=r"\[GoogLeNet\] transform_input needs 3 channels.*got 1"):
        models.googlenet(transform_input=True, in_channels=1)
