# Transfer learning: freeze, replace the head, train it alone, keep the best weights.
import copy

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torchvision import models

torch.manual_seed(14)
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
net = models.resnet18(num_classes=20)
for param in net.parameters():
    param.requires_grad = False
net.fc = nn.Linear(net.fc.in_features, 2)
net = net.to(device)
print(net.fc, [name for name, param in net.named_parameters() if param.requires_grad])

optimizer = optim.Adam(net.fc.parameters(), lr=0.001)
schedule = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
criterion = nn.CrossEntropyLoss()
x, y = torch.randn(8, 3, 33, 33), torch.tensor([0, 1] * 4)
halves = {"train": (x[:4], y[:4]), "val": (x[4:], y[4:])}
best, kept = -1.0, None
for epoch in range(2):
    for phase, (inputs, targets) in halves.items():
        net.train(phase == "train")
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        with torch.set_grad_enabled(phase == "train"):
            outputs = net(inputs)
            _, guessed = torch.max(outputs, 1)
            loss = criterion(outputs, targets)
        if phase == "train":
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.5)
            optimizer.step()
            schedule.step()
        right = torch.sum(guessed == targets.data).double() / inputs.size(0)
        print(f"{epoch} {phase}: {loss.item() * inputs.size(0):.4f}, {right:.4f}")
        if phase == "val" and right > best:
            best, kept = right.item(), copy.deepcopy(net.state_dict())
net.load_state_dict(kept)
