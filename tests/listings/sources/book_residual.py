# Residual blocks, where `Y += X` adds the shortcut in place; eager and lazy.
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(8)


class Eager(nn.Module):
    def __init__(self, before, after, stride=1):
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel_size=3, padding=1, stride=stride)
        self.second = nn.Conv2d(after, after, kernel_size=3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
        self.shortcut = None
        if stride != 1 or before != after:
            self.shortcut = nn.Conv2d(before, after, kernel_size=1, stride=stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, X):
        Y = self.relu(self.norm1(self.first(X)))
        Y = self.norm2(self.second(Y))
        if self.shortcut:
            X = self.shortcut(X)
        Y += X
        return F.relu(Y)


class Lazy(Eager):
    def __init__(self, after, stride=1, shortcut=False):
        nn.Module.__init__(self)
        self.first = nn.LazyConv2d(after, kernel_size=3, padding=1, stride=stride)
        self.second = nn.LazyConv2d(after, kernel_size=3, padding=1)
        self.norm1, self.norm2 = nn.LazyBatchNorm2d(), nn.LazyBatchNorm2d()
        self.shortcut = nn.LazyConv2d(after, kernel_size=1, stride=stride) if shortcut else None
        self.relu = nn.ReLU(inplace=True)


eager = nn.Sequential(
    nn.Conv2d(1, 8, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(8), nn.ReLU(),
    nn.MaxPool2d(kernel_size=3, stride=2, padding=1), Eager(8, 8), Eager(8, 16, stride=2),
    Eager(16, 16), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(16, 10))
X = torch.rand(size=(1, 1, 48, 48))
for layer in eager:
    X = layer(X)
    print(layer.__class__.__name__, "output shape:\t", X.shape)
lazy = nn.Sequential(nn.LazyConv2d(8, 7, 2, 3), nn.LazyBatchNorm2d(), nn.ReLU())
for number, (width, stride) in enumerate([(8, 1), (16, 2)], start=2):
    lazy.add_module(f"stage{number}", nn.Sequential(Lazy(width, stride, stride != 1), Lazy(width)))
lazy.add_module("last", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)))
print(lazy)
x, y = torch.randn(4, 1, 48, 48), torch.tensor([1, 2, 3, 4])
loss = F.cross_entropy(lazy(x), y) + F.cross_entropy(eager(x), y)
loss.backward()
print(lazy, [name for name, _ in lazy.named_children()])
