"""Each network is the published one: order, shapes and counts of its layers, PyTorch's numbers."""

import numpy as np
import pytest
import torch

import minigrad as mg
from alexnet import models
from alexnet.errors import InputError
from alexnet.layers import trace, trace_or_explain
from alexnet.models import MODELS
from minigrad import nn, optim
from minigrad.nn import functional as F

# Path, kind, output without the batch, parameters.
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
TABLES = {
    "alexnet_small": (ALEXNET_SMALL, 133_930),
    "alexnet_2012": (ALEXNET_2012, 60_965_224),
    "alexnet": (ALEXNET, 61_100_840),
    "alexnet_d2l": (ALEXNET_D2L, 46_764_746),
    "alexnet_d2l_pad0": (
        ALEXNET_D2L,
        46_764_746,
    ),  # the same shapes: (224 + 2 - 11) // 4 == (224 - 11) // 4
}


def test_every_network_has_a_table():
    assert TABLES.keys() == MODELS.keys() == set(models.list_models())


@pytest.fixture(scope="module", params=TABLES)
def network(request):
    """A published network by name; built once for the tests of this module."""
    mg.manual_seed(0)
    return request.param, models.get_model(request.param)


def test_the_layers_are_those_of_the_published_table(network):
    name, model = network
    layers = trace(model.eval(), mg.zeros(2, *MODELS[name].input_shape))
    found = [
        [layer.path, layer.kind, *map(str, layer.output_shape[1:]), str(layer.parameters)]
        for layer in layers
    ]
    table, total = TABLES[name]
    assert found == [line.split() for line in table.strip().splitlines()]
    assert sum(p.numel() for p in model.parameters()) == total
    assert {layer.output_shape[0] for layer in layers} == {2}


def in_pytorch(layer):
    """A layer of the engine as PyTorch's, with the same parameters."""
    kind = type(layer).__name__
    if kind == "Sequential":
        return torch.nn.Sequential(*map(in_pytorch, layer))
    if kind == "AlexNet":
        parts = layer.features, layer.avgpool, nn.Flatten(), layer.classifier
        return torch.nn.Sequential(*map(in_pytorch, parts))
    options = {
        "Conv2d": ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups"),
        "Linear": ("in_features", "out_features"),
        "MaxPool2d": ("kernel_size", "stride"),
        "LocalResponseNorm": ("size", "alpha", "beta", "k"),
        "AdaptiveAvgPool2d": ("output_size",),
        "Dropout": ("p",),
    }.get(kind, ())
    twin = getattr(torch.nn, kind)(**{option: getattr(layer, option) for option in options})
    for name, p in layer.named_parameters():
        twin.get_parameter(name).data = torch.from_numpy(p.detach().numpy().copy())
    return twin


def test_logits_and_gradients_are_pytorchs(network):
    name, model = network
    x = np.random.default_rng(0).standard_normal((2, *MODELS[name].input_shape), np.float32)
    twin = in_pytorch(model).eval()
    expected = twin(torch.from_numpy(x))
    found = model.eval()(mg.Tensor(x))
    scale = float(expected.detach().abs().max())
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-4 * scale)
    (expected**2).sum().backward()
    (found**2).sum().backward()
    first, expected_first = next(model.parameters()), next(twin.parameters())
    scale = float(expected_first.grad.abs().max())
    np.testing.assert_allclose(
        first.grad.numpy(), expected_first.grad.numpy(), atol=1e-3 * scale, rtol=0
    )
    model.zero_grad()


def test_torchvisions_keys_and_shapes():
    state = models.alexnet().state_dict()
    weights = {
        "features.0": (64, 3, 11, 11),
        "features.3": (192, 64, 5, 5),
        "features.6": (384, 192, 3, 3),
        "features.8": (256, 384, 3, 3),
        "features.10": (256, 256, 3, 3),
        "classifier.1": (4096, 9216),
        "classifier.4": (4096, 4096),
        "classifier.6": (1000, 4096),
    }
    expected = {}
    for path, shape in weights.items():
        expected |= {f"{path}.weight": shape, f"{path}.bias": shape[:1]}
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == expected
    assert list(state) == list(expected)


@pytest.mark.parametrize("name", MODELS)
def test_classes_and_channels_can_be_chosen(name):
    channels, height, width = MODELS[name].input_shape
    model = models.get_model(name, num_classes=7, in_channels=5)
    shape = trace(model.eval(), mg.zeros(1, 5, height, width))[-1].output_shape
    assert shape == (1, 7)


def test_the_paper_begins_with_biases_of_one_where_it_says():
    biases = {
        key: set(tensor.tolist())
        for key, tensor in models.alexnet_2012().state_dict().items()
        if key.endswith("bias")
    }
    ones = {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    assert biases == {key: {1.0} if key in ones else {0.0} for key in biases}
    assert len(biases) == 8


def test_where_the_windows_of_the_d2l_network_end():
    """Padded, no window sees the last two pixels of the image; unpadded, only the last."""
    for padding, blind in ((1, 2), (0, 1)):
        first = models.alexnet_d2l(padding=padding)[0]
        images = mg.zeros(1, 1, 224, 224, requires_grad=True)
        first(images).sum().backward()
        seen = np.flatnonzero((images.grad.numpy()[0, 0] != 0).any(axis=0))
        assert seen[0] == 0
        assert seen[-1] == 223 - blind


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("alexnet_2012", "the size reaches 0 in layer pool2 (MaxPool2d)"),
        ("alexnet", "the size reaches 0 in layer features.5 (MaxPool2d)"),
        ("alexnet_d2l", "the size reaches 0 in layer 5 (MaxPool2d)"),
        ("alexnet_d2l_pad0", "the size reaches 0 in layer 5 (MaxPool2d)"),
    ],
)
def test_small_images_in_a_large_network(name, where):
    model = models.get_model(name, num_classes=10, in_channels=1)
    with pytest.raises(InputError) as caught:
        trace_or_explain(model, name, (1, 28, 28))
    message = str(caught.value)
    assert where in message
    assert (
        "the kernel (3, 3) is larger than the padded input (2, 2)" in message
    )  # the engine's words
    assert f"alexnet train --model {name} --resize {MODELS[name].input_shape[1]}" in message
    assert "--model alexnet_small" in message
    assert "\n" not in message


def test_an_odd_size_names_the_layer_that_stops_it():
    with pytest.raises(InputError, match=r"it stops in layer 14 \(Linear\)"):
        trace_or_explain(models.alexnet_d2l(), "alexnet_d2l", (1, 180, 180))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown model 'lenet'; there are alexnet_small, "):
        models.get_model("lenet")


@pytest.mark.parametrize(
    ("name", "count", "rate"),
    [
        ("alexnet_small", 32, 2e-3),
        ("alexnet_2012", 4, 2e-5),
        ("alexnet", 4, 3e-4),
        ("alexnet_d2l", 4, 1e-4),
    ],
)
def test_each_network_learns_one_batch_by_heart(name, count, rate):
    """Noise, brighter in one quarter of the image: the class is which."""
    mg.manual_seed(0)
    model = models.get_model(name, num_classes=4).eval()  # no dropout
    channels, height, width = MODELS[name].input_shape
    rng = np.random.default_rng(0)
    images = rng.standard_normal((count, channels, height, width), np.float32)
    labels = np.arange(count) % 4
    h, w = height // 2, width // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[:, row * h : (row + 1) * h, column * w : (column + 1) * w] += 2
    x, y = mg.Tensor(images), mg.Tensor(labels)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    for _ in range(100):
        loss = F.cross_entropy(model(x), y)
        if loss.item() < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
