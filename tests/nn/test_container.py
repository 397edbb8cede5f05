"""Sequential, ModuleList and ModuleDict do what PyTorch's do, printed form included."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn


def sizes(module):
    """What tells the layers of a container apart: names, types and widths."""
    return [
        (name, type(child).__name__, getattr(child, "in_features", None))
        for name, child in module.named_children()
    ]


def edited(lib, container, edit):
    layers = [lib.nn.Linear(i, i + 1) for i in range(1, 5)]
    module = container(lib.nn)(layers)
    result = edit(module, lib.nn)
    parts = result if isinstance(result, lib.nn.Module) else module
    return sizes(module), sizes(parts), repr(module), repr(parts), len(module)


def delete(index):
    def edit(module, nn):
        del module[index]

    return edit


def assign(module, nn):
    module[-2] = nn.ReLU()


EDITS = {
    "index": lambda m, nn: m[1],
    "negative index": lambda m, nn: m[-1],
    "slice": lambda m, nn: m[1:3],
    "slice from behind": lambda m, nn: m[:-1],
    "empty slice": lambda m, nn: m[2:2],
    "slice with a step": lambda m, nn: m[::2],
    "delete": delete(1),
    "delete last": delete(-1),
    "delete slice": delete(slice(1, 3)),
    "assign": assign,
    "append": lambda m, nn: m.append(nn.Linear(9, 9)),
    "extend": lambda m, nn: m.extend([nn.Linear(9, 9), nn.Tanh()]),
    "insert": lambda m, nn: m.insert(1, nn.Linear(9, 9)),
}
CONTAINERS = {
    "Sequential": lambda nn: lambda layers: nn.Sequential(*layers),
    "ModuleList": lambda nn: nn.ModuleList,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_edits_as_pytorch(container, edit):
    assert edited(mg, container, edit) == edited(torch, container, edit)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_slices_hold_the_same_modules(container):
    module = container(nn)([nn.ReLU(), nn.Tanh(), nn.Sigmoid()])
    assert module[1:][0] is module[1]
    assert list(module) == [module[0], module[1], module[2]]


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_errors(container):
    module = container(nn)([nn.ReLU()])
    with pytest.raises(IndexError, match="index 1 is out of range"):
        module[1]
    with pytest.raises(IndexError, match="index -2 is out of range"):
        module[-2] = nn.ReLU()
    with pytest.raises(TypeError, match="'int' as module"):
        container(nn)([3])
    with pytest.raises(TypeError):
        module["0"]


def test_sequential_runs_in_order_and_takes_names():
    layers = OrderedDict(fc=nn.Linear(1, 1, bias=False), relu=nn.ReLU())
    module = nn.Sequential(layers)
    nn.init.constant_(module.fc.weight, -2.0)
    assert module(mg.tensor([[-3.0]])).item() == 6.0
    assert module(mg.tensor([[3.0]])).item() == 0.0
    assert module[0] is module.fc
    assert list(module[:1].state_dict()) == ["fc.weight"]
    assert repr(module) == repr(
        torch.nn.Sequential(
            OrderedDict(fc=torch.nn.Linear(1, 1, bias=False), relu=torch.nn.ReLU())
        )
    )


def test_module_list_collects_parameters_and_folds_equal_lines():
    def build(nn):
        blocks = [nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)]
        return nn.ModuleList([nn.Tanh(), *blocks, nn.Tanh()])

    assert repr(build(nn)) == repr(build(torch.nn))
    assert "(1-3): 3 x Sequential(" in repr(build(nn))
    assert len(list(build(nn).parameters())) == 6
    with pytest.raises(NotImplementedError):
        build(nn)(mg.ones(2))


def test_module_dict():
    def build(nn):
        module = nn.ModuleDict({"relu": nn.ReLU(), "fc": nn.Linear(2, 3)})
        module["tanh"] = nn.Tanh()
        module["relu"] = nn.LeakyReLU()
        del module["tanh"]
        return module

    module = build(nn)
    assert repr(module) == repr(build(torch.nn))
    assert list(module) == list(module.keys()) == ["relu", "fc"]
    assert len(module) == 2 and "fc" in module and "tanh" not in module
    assert module["fc"] is dict(module.items())["fc"] is list(module.values())[1]
    assert list(module.state_dict()) == ["fc.weight", "fc.bias"]


def test_a_relu_waits_for_the_pool_that_follows_it() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 3, (4, 2, 7, 7)).astype(np.float32)  # many ties, many below 0
    weights = mg.tensor(rng.standard_normal((4, 2, 3, 3)), dtype=mg.float32)
    layers = [nn.Identity(), nn.ReLU(), nn.MaxPool2d(3, 2)]
    outputs, gradients = [], []
    for forward in (nn.Sequential(*layers), lambda x: layers[2](layers[1](x))):
        x = mg.tensor(values, requires_grad=True)
        outputs.append(forward(x))
        (outputs[-1] * weights).sum().backward()
        gradients.append(x.grad.numpy())
    assert [type(y.grad_fn).__name__ for y in outputs] == ["ReLU", "MaxPool2d"]
    np.testing.assert_array_equal(*(y.detach().numpy() for y in outputs))
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("layers", [
    [nn.ReLU(inplace=True), nn.MaxPool2d(2)],
    [nn.Identity(), nn.ReLU(), nn.MaxPool2d(2, return_indices=True)],
    [nn.Identity(), nn.Tanh(), nn.MaxPool2d(2)],
])
def test_other_layers_run_in_the_order_of_the_listing(layers: list[nn.Module]) -> None:
    x = mg.randn(1, 1, 4, 4, requires_grad=True)
    y = nn.Sequential(*layers)(x * 1)
    assert type((y[0] if isinstance(y, tuple) else y).grad_fn).__name__ == "MaxPool2d"


def test_a_hook_sees_the_order_of_the_listing() -> None:
    net = nn.Sequential(nn.Identity(), nn.ReLU(), nn.MaxPool2d(2))
    shapes = []
    net[1].register_forward_hook(lambda layer, args, y: shapes.append(tuple(y.shape)))
    net(mg.randn(1, 1, 4, 4))
    assert shapes == [(1, 1, 4, 4)]


def test_sequentials_add_up():
    first, second = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Sequential(nn.Linear(3, 1))
    both = first + second
    assert [name for name, _ in both.named_children()] == ["0", "1", "2"]
    assert both[0] is first[0] and both[2] is second[0] and len(first) == 2
    with pytest.raises(TypeError):
        first + nn.ReLU()
