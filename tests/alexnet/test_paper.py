"""The update rule of 2012 against its recursion written out, and its first weights."""

import numpy as np
import pytest

import minigrad as mg
from alexnet import models
from alexnet.paper import SGD2012, initialize
from minigrad import nn, optim
from tests.alexnet.twins import hidden, narrowed
from tests.optim import common


@pytest.mark.parametrize("dtype", common.TOLERANCE)
@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("decay", [0.0005, 0.2, 0.0])
def test_the_rule_of_the_paper(dtype, momentum, decay, device):
    """Also while the learning rate changes, where PyTorch's SGD does something else."""
    params = common.parameters(mg, dtype, device)
    opt = SGD2012(params, lr=0.1, momentum=momentum, weight_decay=decay)
    w = [p.detach().cpu().numpy().astype(np.float64) for p in params]
    v = [np.zeros_like(array) for array in w]
    for step in range(7):
        lr = 0.1 if step < 3 else 0.01
        opt.param_groups[0]["lr"] = lr
        common.set_gradients(mg, params, step)
        for i, p in enumerate(params):
            if p.grad is not None:
                g = p.grad.cpu().numpy().astype(np.float64)
                v[i] = momentum * v[i] - decay * lr * w[i] - lr * g
                w[i] = w[i] + v[i]
        opt.step()
        for p, expected in zip(common.values(params), w, strict=True):
            np.testing.assert_allclose(p, expected, rtol=0, atol=2 * common.TOLERANCE[dtype])


def test_it_is_sgd_until_the_rate_changes():
    """What was gathered at the old rate goes on at the old rate: ten times as far as in SGD."""
    ends = []
    for kind in (SGD2012, optim.SGD):
        p = nn.Parameter(mg.tensor([1.0], dtype=np.float64))
        opt = kind([p], lr=0.1, momentum=0.9, weight_decay=0.0)
        p.grad = mg.tensor([1.0], dtype=np.float64)
        opt.step()
        ends.append([p.item()])
        opt.param_groups[0]["lr"] = 0.01
        p.grad = mg.tensor([0.0], dtype=np.float64)
        opt.step()
        ends[-1].append(p.item())
    assert ends[0] == pytest.approx([0.9, 0.9 - 0.09])
    assert ends[1] == pytest.approx([0.9, 0.9 - 0.009])


@pytest.mark.parametrize("option", ["lr", "momentum", "weight_decay"])
def test_negative_options_are_refused(option):
    with pytest.raises(ValueError, match=f"Invalid {option}: -1"):
        SGD2012([nn.Parameter(mg.zeros(1))], **{option: -1})


def biases(model):
    """The layers whose biases are 1, and those whose are 0."""
    found = {0.0: [], 1.0: []}
    for name, layer in model.named_modules():
        if getattr(layer, "bias", None) is not None:
            (value,) = set(layer.bias.tolist())
            found[value].append(name)
    return found[1.0], found[0.0]


def test_first_weights_of_the_paper():
    with narrowed(hidden):
        model = models.alexnet_2012(num_classes=10, in_channels=1)
    initialize(model)
    assert biases(model) == (["conv2", "conv4", "conv5", "fc6", "fc7"], ["conv1", "conv3", "fc8"])
    for name, p in model.named_parameters():
        if name.endswith("weight"):
            assert p.detach().numpy().std() == pytest.approx(0.01, rel=0.05), name
            assert abs(p.detach().numpy().mean()) < 1e-3


def test_first_weights_of_other_networks():
    small = models.alexnet_small()
    initialize(small)
    assert biases(small) == (["conv2", "fc4"], ["conv1", "conv3", "fc5"])
    initialize(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU()))  # no bias, no linear layer
