# Network in Network: every convolution is followed by two of 1 x 1, and nothing is fully connected.
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(5)


def mlpconv(first):
    width = first.out_channels
    return nn.Sequential(first, nn.ReLU(), nn.Conv2d(width, width, kernel_size=1), nn.ReLU(),
                         nn.Conv2d(width, width, 1), nn.ReLU())


nin = nn.Sequential(
    mlpconv(nn.Conv2d(1, 24, kernel_size=11, stride=4)), nn.MaxPool2d(3, stride=2),
    mlpconv(nn.Conv2d(24, 32, 5, 1, 2)), nn.MaxPool2d(3, stride=2),
    mlpconv(nn.Conv2d(32, 48, 3, 1, 1)), nn.MaxPool2d(3, stride=2), nn.Dropout(0.5),
    mlpconv(nn.Conv2d(48, 10, 3, padding=1)), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())
X = torch.rand(size=(1, 1, 95, 95))
for layer in nin:
    X = layer(X)
    print(layer.__class__.__name__, "output shape:\t", X.shape)

lazy = nn.Sequential(mlpconv(nn.LazyConv2d(4, 3, 1, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
print(lazy(torch.ones(2, 3, 8, 8)).shape, lazy)
x, y = torch.rand(2, 1, 95, 95), torch.tensor([3, 8], dtype=torch.long)
probabilities = F.softmax(nin(x), dim=1)
loss = F.cross_entropy(nin(x), y)
loss.backward()
print(probabilities.sum(dim=1).detach(), loss.item())
