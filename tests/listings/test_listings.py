"""PyTorch's listings run with their imports swapped, and give what they give on PyTorch."""

import pytest

from tests.listings.both import SOURCES, run_both, swapped


@pytest.mark.parametrize("name", SOURCES)
def test_a_listing_on_both(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it may leave files
    run_both(SOURCES[name].read_text())


def test_only_the_imports_change():
    assert swapped(
        "import torch\n"
        "import torch.nn as nn\n"
        "import torchvision\n"
        "from torch import nn, optim\n"
        "from torch.utils.data import DataLoader\n"
        "import torchvision.transforms as transforms\n"
        "from torchvision import datasets\n"
        "x = torch.ones(1)  # import torch\n"
    ) == (
        "import minigrad as torch\n"
        "import minigrad.nn as nn\n"
        "import alexnet as torchvision\n"
        "from minigrad import nn, optim\n"
        "from minigrad.utils.data import DataLoader\n"
        "import alexnet.transforms as transforms\n"
        "from alexnet import datasets\n"
        "x = torch.ones(1)  # import torch\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "print(torch.__name__)",
        "print(torch.__name__ == 'torch', 1.25)",
        "a = 1.0 if torch.__name__ == 'torch' else 1.001",
        "a = torch.ones(2) if torch.__name__ == 'torch' else torch.ones(1)",
        "a = torch.ones(1) * (1.0 if torch.__name__ == 'torch' else 1.001)",
        "a = torch.ones(1, dtype=None if torch.__name__ == 'torch' else torch.float64)",
        "a = torch.nn.Linear(2, 2, bias=torch.__name__ == 'torch')",
        "a = torch.nn.ReLU().train(torch.__name__ == 'torch')",
        "a = torch.ones(1, requires_grad=True)\n(a * len(torch.__name__)).backward()",
    ],
)
def test_differences_are_seen(line):
    with pytest.raises(AssertionError):
        run_both(f"import torch\n{line}\n")
