# ResNet whose two kinds of block differ in their convolutions alone.
from functools import partial

import torch
import torch.nn as nn
from torch import Tensor

torch.manual_seed(12)


class Residual(nn.Module):
    expansion: int = 1
    sizes, strided = (3, 3), 1  # of the convolutions, and which of them has the stride

    def __init__(self, before: int, width: int, stride: int = 1, norm=nn.BatchNorm2d):
        super().__init__()
        after, inputs = width * self.expansion, before
        for number, size in enumerate(self.sizes, start=1):
            out = after if number == len(self.sizes) else width
            step = stride if number == self.strided else 1
            conv = nn.Conv2d(inputs, out, size, stride=step, padding=size // 2, bias=False)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", norm(out))
            inputs = out
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False), norm(after))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number in range(1, len(self.sizes) + 1):
            out = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(out))
            if number < len(self.sizes):
                out = self.relu(out)
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(Residual):
    expansion: int = 4
    sizes, strided = (1, 3, 1), 2


class ResNet(nn.Module):
    def __init__(self, block, depths, num_classes=10, zero_last=False, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = norm(16), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        before = 16
        for number, depth in enumerate(depths, start=1):
            blocks = []
            for i in range(depth):
                blocks.append(block(before, 8 * 2**number, 2 if i == 0 and number > 1 else 1, norm))
                before = 8 * 2**number * block.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(before, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d)):
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
            if zero_last and isinstance(m, Residual):
                nn.init.constant_(getattr(m, f"bn{len(m.sizes)}").weight, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


basic = ResNet(Residual, [2, 2])
deep = ResNet(Bottleneck, [2, 1], zero_last=True, norm=partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01))
print(basic)
print(deep.layer2[0].downsample, deep.layer1[0].bn3)
x, y = torch.randn(4, 3, 40, 40), torch.tensor([0, 3, 6, 9])
criterion = nn.CrossEntropyLoss()
first, second = basic(x), deep(x)
(criterion(first, y) + criterion(second, y)).backward()
basic.eval()
evaluated = basic(x)
