"""Each network is the published one: order, shapes and counts of its layers, PyTorch's numbers.

Shapes are seen on a batch of no images, which costs nothing. Equality with PyTorch and learning are
seen on small images, and where parameters would only cost time on narrower layers: `twins.py`.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

import minigrad as mg
from alexnet import models
from alexnet.errors import InputError
from alexnet.layers import trace_or_explain
from alexnet.models import MODELS
from alexnet.train import scores_and_loss
from alexnet.twin import network_twin
from minigrad import nn, optim
from tests.alexnet.published import TABLES
from tests.alexnet.twins import eighth, hidden, narrowed, same

# The smallest images that each network takes, or almost; those published where none is said.
SIDES = {"googlenet": 32, "googlenet_d2l": 32, "nin": 68, "vgg": 32, "resnet": 32}


def image_shape(name):
    """Small images for a network: (C, H, W)."""
    published = MODELS[name].input_shape
    side = SIDES.get(name) or SIDES.get(name.rstrip("_bn0123456789")) or published[1]
    return published[0], min(side, published[1]), min(side, published[2])


def test_every_network_has_a_table():
    assert TABLES.keys() == MODELS.keys() == set(models.list_models())


def outputs(model, image_shape):
    """What each module makes of a batch of no images, {path: (module, shape without the batch)};
    and the shape of the scores."""
    seen = {}

    def watch(path, module):
        def hook(module, args, y):
            seen[path] = module, tuple(y.shape)[1:]

        module.register_forward_hook(hook)

    for path, module in model.eval().named_modules():
        if path:
            watch(path, module)
    model.training = True  # the whole, not its layers: GoogLeNet's auxiliary classifiers run
    with mg.no_grad():
        result = model(mg.zeros(0, *image_shape))
    scores = result[0] if isinstance(result, tuple) else result
    return seen, tuple(scores.shape)


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_are_those_of_the_published_table(name, undrawn):
    model = models.get_model(name)
    seen, _ = outputs(model, MODELS[name].input_shape)
    table, total = TABLES[name]
    lines = [line.split() for line in table.strip().splitlines()]
    found = []
    for path, *_ in lines:
        module, shape = seen[path]
        parameters = sum(p.numel() for p in module.parameters())
        found.append([path, type(module).__name__, *map(str, shape), str(parameters)])
    assert found == lines
    assert sum(int(line[-1]) for line in lines) == total
    assert sum(p.numel() for p in model.parameters()) == total
    # The lines stand in the order in which the layers run, and none is left out.
    order = list(seen)
    listed = [path for path, *_ in lines]
    assert all(order.index(a) < order.index(b) for a, b in pairwise(listed))
    leaves = [path for path, (module, _) in seen.items() if not list(module.children())]
    assert all(any(f"{leaf}.".startswith(f"{path}.") for path in listed) for leaf in leaves)


@pytest.mark.parametrize("name", MODELS)
def test_classes_and_channels_can_be_chosen(name, undrawn):
    _, *size = MODELS[name].input_shape
    model = models.get_model(name, num_classes=7, in_channels=5)
    assert outputs(model, (5, *size))[1] == (0, 7)


# ------------------------------------------------------------------------------------- PyTorch


# How wide each network is for this; the deeper ones of a family have the layers of the others.
WIDTHS = {
    **dict.fromkeys(["alexnet_2012", "alexnet", "alexnet_tf"], hidden),
    **dict.fromkeys(["alexnet_d2l", "alexnet_d2l_pad0"], hidden),
    **dict.fromkeys(["vgg11", "vgg11_bn", "vgg16"], hidden),
    **dict.fromkeys(["vgg13", "vgg13_bn", "vgg16_bn", "vgg19", "vgg19_bn"], eighth),
    **dict.fromkeys(["resnet101", "resnet152"], eighth),
}
CLASSES = 7


def without_dropout(*nets):
    """The networks in training mode, but for their dropouts."""
    for net in nets:
        for layer in net.train().modules():
            if isinstance(layer, (nn.Dropout, torch.nn.Dropout)):
                layer.eval()


def backward_on_both(model, net, images):
    """A step on both sides, to the gradients; returns the scores, ours and PyTorch's, as arrays."""
    ours, theirs = model(mg.Tensor(images)), net(torch.from_numpy(images))
    if isinstance(ours, tuple):
        assert ours._fields == theirs._fields
        ours, theirs = mg.cat(list(ours), 1), torch.cat(list(theirs), 1)
    g = np.random.default_rng(1).standard_normal(ours.shape).astype(images.dtype)
    for module in (model, net):
        module.zero_grad()
    ours.backward(mg.Tensor(g))
    theirs.backward(torch.from_numpy(g))
    return ours.detach().numpy(), theirs.detach().numpy()


def relative_errors(model, net, floor=0.0):
    """|ours - PyTorch's| / |PyTorch's| of each gradient, by its parameter.

    `floor`: the least that is divided by, as a part of the largest |PyTorch's|.
    """
    expected = {key: p.grad.numpy() for key, p in net.named_parameters() if p.grad is not None}
    found = {key: p.grad.numpy() for key, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    least = floor * max(map(np.linalg.norm, expected.values()))
    return {
        key: np.linalg.norm(found[key] - g) / max(np.linalg.norm(g), least)
        for key, g in expected.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_gradients_are_pytorchs(name):
    """To 1e-4 in float32, evaluating, so that batch normalisation has seen other images.

    A number that rounding alone keeps from 0 may be positive for one engine and not for the other.
    The ReLU behind it then passes a gradient or does not, and that is no rounding any more: of five
    images one must go through both alike. A wrong derivative is wrong for all of them.
    """
    shape = image_shape(name)
    rng = np.random.default_rng(0)
    with narrowed(WIDTHS.get(name, same)):
        model = models.get_model(name, num_classes=CLASSES)
        if list(model.buffers()):
            with mg.no_grad():
                model(mg.Tensor(rng.standard_normal((4, *shape), np.float32)))
        net = network_twin(name, model.eval(), num_classes=CLASSES)
    worst = []
    while not worst or min(worst) > 1e-4:
        assert len(worst) < 5, worst
        found, expected = backward_on_both(model, net, rng.standard_normal((1, *shape), np.float32))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=1e-4 * scale, rtol=0)
        worst.append(max(relative_errors(model, net).values()))


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50", "vgg11_bn", "googlenet"])
def test_training_through_batch_normalisation_is_pytorchs(name):
    """In float64: the statistics of four images would make much of float32's rounding.

    The gradient of a bias before a normalisation is 0 but for rounding, hence the floor.
    """
    shape = image_shape(name)
    with narrowed(eighth if name in ("resnet50", "vgg11_bn") else same):
        model = models.get_model(name, num_classes=CLASSES).double()
        net = network_twin(name, model, num_classes=CLASSES)
    without_dropout(model, net)
    images = np.random.default_rng(0).standard_normal((4, *shape))
    found, expected = backward_on_both(model, net, images)
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max(), rtol=0)
    assert max(relative_errors(model, net, floor=1e-3).values()) < 1e-9
    for (key, ours), theirs in zip(model.named_buffers(), net.buffers(), strict=True):
        ours, theirs = ours.numpy(), theirs.numpy()
        assert np.linalg.norm(ours - theirs) <= 1e-9 * np.linalg.norm(theirs), key


# ------------------------------------------------------------------------------- what is AlexNet's


def test_the_paper_begins_with_biases_of_one_where_it_says():
    with narrowed(eighth):
        model = models.alexnet_2012()
    biases = {
        key: set(tensor.tolist())
        for key, tensor in model.state_dict().items()
        if key.endswith("bias")
    }
    ones = {"conv2.bias", "conv4.bias", "conv5.bias", "fc6.bias", "fc7.bias"}
    assert biases == {key: {1.0} if key in ones else {0.0} for key in biases}
    assert len(biases) == 8


@pytest.mark.parametrize(
    ("name", "radius", "bias", "alpha"),
    [("alexnet_2012", 2, 2.0, 1e-4), ("alexnet_tf", 4, 1.0, 0.001 / 9)],
)
def test_neighbours_are_normalised_as_the_source_says(name, radius, bias, alpha, undrawn):
    """Neither the paper nor TensorFlow divides alpha by the number of neighbours."""
    model = models.get_model(name)
    x = 50 * np.random.default_rng(0).standard_normal((1, 12, 2, 2))
    sums = [(x[:, max(c - radius, 0) : c + radius + 1] ** 2).sum(1) for c in range(12)]
    expected = x / (bias + alpha * np.stack(sums, 1)) ** 0.75
    for layer in (model.norm1, model.norm2):
        np.testing.assert_allclose(layer(mg.Tensor(x)).numpy(), expected, rtol=1e-6)


def test_the_odd_pixel_of_tensorflows_padding_goes_after(undrawn):
    padded = models.alexnet_tf().pad1(mg.ones(1, 1, 224, 224)).numpy()[0, 0]
    for side in (padded.any(axis=0), padded.any(axis=1)):
        assert (side.size, *np.flatnonzero(side)[[0, -1]]) == (3 + 224 + 4, 3, 3 + 223)


@pytest.mark.parametrize(
    ("name", "chances"),
    [
        *((name, [0.5, 0.5]) for name in MODELS if name.startswith(("alexnet", "vgg"))
          if name != "alexnet_small"),
        *(("alexnet_small", [0.2]), ("nin", [0.5])),
        ("googlenet", [0.7, 0.7, 0.2]),
    ],
)
def test_how_much_is_dropped(name, chances, undrawn):
    dropouts = [m for m in models.get_model(name).modules() if isinstance(m, nn.Dropout)]
    assert [layer.p for layer in dropouts] == chances


def test_where_the_windows_of_the_d2l_network_end():
    """Padded, no window sees the last two pixels of the image; unpadded, only the last."""
    for padding, blind in ((1, 2), (0, 1)):
        with narrowed(eighth):
            first = models.alexnet_d2l(padding=padding)[0]
        images = mg.zeros(1, 1, 224, 224, requires_grad=True)
        first(images).sum().backward()
        seen = np.flatnonzero((images.grad.numpy()[0, 0] != 0).any(axis=0))
        assert seen[0] == 0
        assert seen[-1] == 223 - blind


@pytest.mark.parametrize(
    ("name", "layer", "kernel", "left"),
    [
        ("alexnet_2012", "pool2", 3, 2),
        ("alexnet", "features.5", 3, 2),
        ("alexnet_d2l", "5", 3, 2),
        ("alexnet_d2l_pad0", "5", 3, 2),
        ("alexnet_tf", "pool5", 3, 1),
        ("vgg11", "features.20", 2, 1),
        ("vgg19_bn", "features.52", 2, 1),
        ("nin", "3", 3, 2),
    ],
)
def test_small_images_in_a_large_network(undrawn, name, layer, kernel, left):
    with narrowed(hidden):
        model = models.get_model(name, num_classes=10, in_channels=1)
    with pytest.raises(InputError) as caught:
        trace_or_explain(model, name, (1, 28, 28))
    message = str(caught.value)
    assert f"the size reaches 0 in layer {layer} (MaxPool2d)" in message
    assert (
        f"the kernel {(kernel, kernel)} is larger than the padded input {(left, left)}" in message
    )  # the engine's words
    assert f"alexnet train --model {name} --resize {MODELS[name].input_shape[1]}" in message
    assert "--model alexnet_small" in message
    assert "\n" not in message


def test_an_odd_size_names_the_layer_that_stops_it(undrawn):
    with pytest.raises(InputError, match=r"it stops in layer 14 \(Linear\)"):
        trace_or_explain(models.alexnet_d2l(), "alexnet_d2l", (1, 180, 180))


def test_an_unknown_name_lists_the_known_ones():
    message = r"^\[get_model\] unknown model 'lenet'; near it: lenet5, .*; there are alexnet_small"
    with pytest.raises(ValueError, match=message):
        models.get_model("lenet")
    with pytest.raises(ValueError, match="'densenet121'; near it: resnet50, googlenet; there are"):
        models.get_model("densenet121")
    with pytest.raises(ValueError, match="'yolo'; nothing here is near it; there are alexnet"):
        models.get_model("yolo")


# name, how wide, classes, images, optimizer, learning rate
BY_HEART = [
    ("alexnet_small", same, 4, 32, optim.Adam, 2e-3),
    ("alexnet_2012", eighth, 4, 4, optim.Adam, 3e-4),
    ("alexnet", eighth, 4, 4, optim.Adam, 1e-3),
    ("alexnet_d2l", eighth, 4, 4, optim.Adam, 1e-3),
    ("alexnet_tf", eighth, 4, 4, optim.Adam, 1e-3),
    ("lenet5", same, 4, 4, optim.Adam, 2e-2),
    ("vgg11", eighth, 4, 4, optim.Adam, 1e-3),
    ("vgg13", eighth, 4, 4, optim.Adam, 1e-3),
    ("vgg16", eighth, 4, 4, optim.Adam, 1e-3),
    ("vgg19", eighth, 4, 4, optim.Adam, 5e-4),
    ("vgg11_bn", eighth, 4, 4, optim.Adam, 3e-3),
    ("vgg13_bn", eighth, 4, 4, optim.Adam, 3e-3),
    ("vgg16_bn", eighth, 4, 4, optim.Adam, 3e-3),
    ("vgg19_bn", eighth, 4, 4, optim.Adam, 3e-3),
    ("nin", same, 5, 2, optim.Adam, 2e-3),  # a class whose last ReLU never opens learns nothing
    ("googlenet", same, 4, 4, optim.Adam, 1e-3),
    ("googlenet_d2l", eighth, 4, 4, optim.Adam, 3e-3),
    ("resnet20", same, 4, 4, optim.Adam, 1e-2),
    ("resnet18", same, 4, 4, optim.Adam, 1e-3),
    ("resnet34", eighth, 4, 4, optim.Adam, 1e-2),
    ("resnet50", eighth, 4, 4, optim.Adam, 1e-2),
    ("resnet101", eighth, 4, 8, optim.Adam, 1e-2),
    ("resnet152", eighth, 4, 4, optim.Adam, 1e-2),
]


@pytest.mark.parametrize(
    ("name", "width", "classes", "count", "optimizer", "rate"),
    [pytest.param(*case, id=case[0]) for case in BY_HEART],
)
def test_each_network_learns_one_batch_by_heart(name, width, classes, count, optimizer, rate):
    """Noise, brighter in one quarter of the image: the class is which."""
    with narrowed(width):
        model = models.get_model(name, num_classes=classes)
    without_dropout(model)
    shape = image_shape(name)
    images = np.random.default_rng(0).standard_normal((count, *shape), np.float32)
    labels = np.arange(count) % 4
    h, w = shape[1] // 2, shape[2] // 2
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[:, row * h : (row + 1) * h, column * w : (column + 1) * w] += 2
    x, y = mg.Tensor(images), mg.Tensor(labels)
    steps = optimizer(model.parameters(), lr=rate)
    for _ in range(100):
        _, loss = scores_and_loss(model(x), y)
        if loss.item() < 0.01:
            break
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss.item() < 0.01


def test_no_network_is_left_out():
    assert {case[0] for case in BY_HEART} | {"alexnet_d2l_pad0"} == MODELS.keys()
