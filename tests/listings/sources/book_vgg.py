# VGG as a list of blocks, once with all sizes given and once lazy.
import torch
from torch import nn

torch.manual_seed(4)


def block(count, width, before=None):
    layers = []
    for _ in range(count):
        if before is None:
            layers.append(nn.LazyConv2d(width, kernel_size=3, padding=1))
        else:
            layers.append(nn.Conv2d(before, width, kernel_size=3, padding=1))
            before = width
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(kernel_size=2, stride=2))


def head(inputs, classes):
    first = nn.LazyLinear(64) if inputs is None else nn.Linear(inputs, 64)
    return [nn.Flatten(), first, nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, classes)]


plan = [(1, 4), (1, 8), (2, 16), (2, 32), (2, 32)]
blocks, channels = [], 1
for count, width in plan:
    blocks.append(block(count, width, channels))
    channels = width
vgg = nn.Sequential(*blocks, *head(channels, 10))
lazy = nn.Sequential(*(block(count, width) for count, width in plan), *head(None, 10))

X = torch.randn(size=(1, 1, 32, 32))
for part in vgg:
    X = part(X)
    print(part.__class__.__name__, "output shape:\t", X.shape)
print(lazy)
batch, truth = torch.randn(2, 1, 32, 32), torch.tensor([0, 9])
lazy(batch).mean().backward()
print(lazy)
loss = nn.CrossEntropyLoss()(vgg(batch), truth)
loss.backward()
print(vgg, len(vgg), vgg[-1].out_features, len(list(vgg.modules())))
print(f"{sum(p.numel() for p in vgg.parameters() if p.requires_grad):,} parameters")
