# VGG from strings, with the weights set by kind of layer.
from typing import Dict, List

import torch
import torch.nn as nn

torch.manual_seed(11)
PLANS: Dict[str, str] = {"small": "8 M 16 M 32 32 M 64 M 64 M", "normed": "8 8 M 16 M 32 M 64 M 64 M"}


class VGG(nn.Module):
    def __init__(self, features: nn.Module, num_classes: int = 10, init_weights: bool = True):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(64 * 7 * 7, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, num_classes))
        if init_weights:
            self._initialize_weights()

    def _initialize_weights(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.constant_(layer.weight, 1)
            if getattr(layer, "bias", None) is not None:
                nn.init.constant_(layer.bias, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


def layers_of(plan: str, norm: bool = False) -> nn.Sequential:
    layers: List[nn.Module] = []
    before = 3
    for word in plan.split():
        if word == "M":
            layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            continue
        layers += [nn.Conv2d(before, int(word), kernel_size=3, padding=1)]
        layers += [nn.BatchNorm2d(int(word))] * norm + [nn.ReLU(inplace=True)]
        before = int(word)
    return nn.Sequential(*layers)


small, normed = VGG(layers_of(PLANS["small"])), VGG(layers_of(PLANS["normed"], norm=True))
print(normed)
x, y = torch.randn(3, 3, 32, 32), torch.tensor([0, 1, 2])
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
losses = criterion(small(x), y), criterion(normed(x), y)
(losses[0] + losses[1]).backward()
for name, param in small.named_parameters():
    print(name, param.shape, param.requires_grad, param.grad is not None)
