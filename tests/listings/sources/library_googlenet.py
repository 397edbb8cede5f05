# GoogLeNet in small, with one auxiliary head that speaks up in training only.
from collections import namedtuple
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

torch.manual_seed(13)
Outputs = namedtuple("Outputs", ["logits", "aux"])


class Unit(nn.Module):
    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    def __init__(self, before: int, one: int, three: tuple, five: tuple, pooled: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            Unit(before, one, kernel_size=1),
            nn.Sequential(Unit(before, three[0], kernel_size=1),
                          Unit(*three, kernel_size=3, padding=1)),
            nn.Sequential(Unit(before, five[0], kernel_size=1),
                          Unit(*five, kernel_size=3, padding=1)),
            nn.Sequential(nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
                          Unit(before, pooled, kernel_size=1)),
        ])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Small(nn.Module):
    def __init__(self, num_classes: int = 10, aux: bool = True) -> None:
        super().__init__()
        self.stem = Unit(3, 8, kernel_size=7, stride=2, padding=3)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.a, self.b = Mixed(8, 8, (12, 16), (2, 4), 4), Mixed(32, 16, (16, 24), (4, 12), 8)
        self.aux = nn.Sequential(nn.AdaptiveAvgPool2d((4, 4)), Unit(32, 16, kernel_size=1),
                                 nn.Flatten(), nn.Linear(256, num_classes)) if aux else None
        self.dropout, self.fc = nn.Dropout(p=0.2), nn.Linear(60, num_classes)
        for m in self.modules():
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                torch.nn.init.trunc_normal_(m.weight, mean=0.0, std=1.0, a=-1e9, b=1e9)
                m.weight.data.mul_(0.1)

    def rescaled(self, x: Tensor) -> Tensor:
        planes = []
        for i, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
            planes.append(torch.unsqueeze(x[:, i], 1) * (std / 0.5) + (mean - 0.5) / 0.5)
        return torch.cat(planes, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.a(self.pool(self.stem(self.rescaled(x))))
        aux: Optional[Tensor] = self.aux(x) if self.aux is not None and self.training else None
        x = F.adaptive_avg_pool2d(self.b(x), (1, 1))
        x = self.fc(self.dropout(torch.flatten(x, 1)))
        return Outputs(x, aux) if aux is not None else x


net = Small()
print(net)
x, y = torch.randn(4, 3, 48, 48), torch.tensor([1, 0, 1, 0])
outputs = net(x)
loss = F.cross_entropy(outputs.logits, y) + 0.3 * F.cross_entropy(outputs.aux, y)
loss.backward()
net.eval()
logits = net(x)
