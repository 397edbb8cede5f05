# AlexNet as a library has it, and as it was in 2012: with local response normalisation and view.
import torch
import torch.nn as nn

torch.manual_seed(10)


class Modern(nn.Module):
    def __init__(self, num_classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        layers, before = [], 3
        for width, size, stride, padding, pool in (
            (16, 11, 4, 2, True), (24, 5, 1, 2, True), (48, 3, 1, 1, False), (32, 3, 1, 1, True)
        ):
            layers += [nn.Conv2d(before, width, kernel_size=size, stride=stride, padding=padding),
                       nn.ReLU(inplace=True)]
            if pool:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2))
            before = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(before * 36, 64), nn.ReLU(inplace=True),
            nn.Dropout(p=dropout), nn.Linear(64, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Original(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.first = nn.Conv2d(in_channels=3, out_channels=8, kernel_size=11, stride=4)
        self.second = nn.Conv2d(8, 16, 5, padding=2, groups=2)
        self.third = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.norm = nn.LocalResponseNorm(size=5, alpha=0.0005, beta=0.75, k=2)
        self.pool, self.relu = nn.MaxPool2d(3, 2), nn.ReLU()
        self.out = nn.Sequential(nn.Dropout(0.5, inplace=True), nn.Linear(16, 32), nn.ReLU(),
                                 nn.Linear(in_features=32, out_features=classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, mean=0, std=0.05)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
        self.second.bias.data.fill_(1)

    def forward(self, x):
        x = self.pool(self.norm(self.relu(self.first(x))))
        x = self.pool(self.norm(self.relu(self.second(x))))
        x = self.pool(self.relu(self.third(x)))
        return self.out(x.view(x.size(0), -1))


device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
modern, original = Modern().to(device), Original()
print(modern, original, original.first.kernel_size, modern.classifier[-1])
x, y = torch.randn(2, 3, 96, 96, device=device), torch.tensor([2, 7], device=device)
optimizer = torch.optim.SGD(modern.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
optimizer.zero_grad()
loss = nn.CrossEntropyLoss().to(device)(modern(x), y)
loss.backward()
optimizer.step()
print("loss %.4f" % loss.item())
logits = original(torch.randn(2, 3, 67, 67))
logits.sum().backward()
print(modern.features[:2], list(modern.children())[0][-1], len(modern.features))
