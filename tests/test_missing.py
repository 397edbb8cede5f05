"""A name that does not exist: which one, and what is near it; nothing else notices."""

import copy
import importlib
import inspect
import pickle
import re
import subprocess
import sys

import pytest

import alexnet as torchvision
import minigrad as torch
from minigrad import missing, nn

NEAR = [  # owner, the name that a listing uses, what is offered instead
    ("minigrad", "conj_physical", "clone"),
    ("minigrad", "rnadn", "randn"),
    ("minigrad", "uint16", "int16, uint8"),
    ("minigrad", "multiply", "mul"),
    ("minigrad", "numel", "Tensor.numel"),
    ("minigrad", "hstack", "cat, stack"),
    ("minigrad.nn", "Embedding", "one_hot and Linear"),
    ("minigrad.nn.functional", "upsample", "interpolate"),
    ("minigrad.nn", "Transformer", "Linear"),
    ("minigrad.nn", "Conv3d", "Conv2d"),
    ("minigrad.nn.functional", "grid_sample", "Resize"),
    ("minigrad.nn.init", "xavier_", "xavier_normal_, xavier_uniform_"),
    ("minigrad.nn.utils", "clip_grad_norm", "clip_grad_norm_"),
    ("minigrad.optim", "LBFGS", "Adam, SGD"),
    ("minigrad.optim.lr_scheduler", "StepLr", "StepLR"),
    ("minigrad.utils.data", "DataLoder", "DataLoader"),
    ("minigrad.cuda", "is_avaliable", "is_available"),
    ("alexnet", "model", "models"),
    ("alexnet.models", "ResNet50_Weights", "the keyword pretrained"),
    ("alexnet.models", "densenet121", "resnet50"),
    ("alexnet.datasets", "CIFAR10", "FashionMNIST"),
    ("alexnet.datasets", "MNIST", "FashionMNIST"),
    ("alexnet.transforms", "RandAugment", "RandomResizedCrop"),
]


@pytest.mark.parametrize(("module", "name", "near"), NEAR)
def test_modules_name_what_is_near(module, name, near):
    text = rf"module '{module}' has no attribute '{name}'; near it: .*{near}"
    with pytest.raises(AttributeError, match=text):
        getattr(importlib.import_module(module), name)
    with pytest.raises(ImportError, match=text):
        exec(f"from {module} import {name}")


def test_tensors_and_layers_name_what_is_near():
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'cdist'; near it"):
        torch.ones(2).cdist(torch.ones(2))
    with pytest.raises(AttributeError, match="no attribute 'reshap'; near it: reshape"):
        torch.ones(2).reshap(1)
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with pytest.raises(AttributeError, match="'Linear' object has no .* near it: weight"):
        net[0].wieght  # noqa: B018
    with pytest.raises(AttributeError, match="'Sequential' object has no .* near it: 0.weight"):
        net.weight  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'qqq'; nothing here is near it"):
        net.qqq  # noqa: B018


def test_inside_forward_the_error_says_in_which_layer():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Linear(2, 2)

        def forward(self, x):
            return self.conv2(x)

    with pytest.raises(AttributeError, match="near it: conv1") as caught:
        nn.Sequential(nn.Identity(), Block())(torch.ones(1, 2))
    assert caught.value.__notes__ == ["in 1 (Block), input (1, 2)"]


def test_before_the_constructor_of_module_it_is_said_too():
    class Net(nn.Module):
        def __init__(self):
            self.width = self.size

    with pytest.raises(AttributeError, match="'Net' object has no attribute 'size'"):
        Net()


def test_what_is_offered_exists():
    places = (torch, torch.cuda, nn, torch.optim, torch.optim.lr_scheduler, torch.utils.data,
              torchvision.models, torchvision.datasets, torchvision.transforms)
    functions = torch.Tensor, nn.functional
    for offer in missing.RELATIVES.values():
        for name in re.findall(r"\b(?!None|True)[A-Z]\w+|resnet50|googlenet|clone", offer):
            assert any(hasattr(place, name) for place in places), offer
        if re.fullmatch(r"[a-z_]+(, [a-z_]+)*", offer):
            for name in offer.split(", "):
                assert any(hasattr(place, name) for place in (*places, *functions)), offer


def test_questions_are_answered_as_before():
    for owner in (torch, nn, torchvision.models, torch.ones(1), nn.ReLU()):
        assert not hasattr(owner, "nonesuch") and getattr(owner, "nonesuch", 3) == 3
        assert not hasattr(owner, "__nonesuch__")
        assert inspect.unwrap(owner) is owner
    with pytest.raises(ModuleNotFoundError, match="minigrad.nonesuch"):
        importlib.import_module("minigrad.nonesuch")


def test_copies_and_pickles():
    for copied in (copy.deepcopy(torch.ones(2)), pickle.loads(pickle.dumps(torch.ones(2)))):
        assert copied.tolist() == [1, 1]
    assert repr(copy.deepcopy(nn.Sequential(nn.ReLU()))) == repr(nn.Sequential(nn.ReLU()))
    with pytest.raises(AttributeError) as caught:
        torch.rnadn  # noqa: B018
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, AttributeError) and str(again) == str(caught.value)


def test_nobody_pays_before_the_error_is_read():
    code = "import sys, alexnet, minigrad; hasattr(minigrad, 'nonesuch'); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "difflib" not in run.stdout.split()
