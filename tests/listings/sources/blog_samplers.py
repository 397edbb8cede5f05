# Another blog: training and validation parts by samplers, a warm-up, a checkpoint an epoch.
import io

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from torch.utils.data.sampler import SubsetRandomSampler

torch.manual_seed(18)
torch.cuda.empty_cache()
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pictures = torch.rand(16, 3, 67, 67)
reddest = TensorDataset(pictures, pictures.mean(dim=(2, 3)).argmax(dim=1))
places = list(range(len(reddest)))
cut = int(np.floor(0.25 * len(places)))
train_loader, valid_loader = (
    DataLoader(reddest, batch_size=4, sampler=SubsetRandomSampler(part))
    for part in (places[cut:], places[:cut]))
thirds = random_split(range(10), [7, 3], generator=torch.Generator().manual_seed(42))
print(len(train_loader), len(valid_loader), [len(part) for part in thirds])


class Net(nn.Module):
    def __init__(self, widths=(12, 16, 16), classes=3):
        super(Net, self).__init__()
        sizes, before = ((11, 4, 0), (5, 1, 2), (3, 1, 1)), 3
        for number, (width, (size, stride, padding)) in enumerate(zip(widths, sizes), start=1):
            parts = [nn.Conv2d(before, width, kernel_size=size, stride=stride, padding=padding),
                     nn.BatchNorm2d(width), nn.ReLU()]
            if number < 3:
                parts.append(nn.MaxPool2d(kernel_size=3, stride=2))
            setattr(self, f"layer{number}", nn.Sequential(*parts))
            before = width
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(before * 9, 32), nn.ReLU(),
                                  nn.Linear(32, classes))

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.head(x.reshape(x.size(0), -1))


model = Net().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.005, weight_decay=0.005, momentum=0.9)
schedules = torch.optim.lr_scheduler
schedule = schedules.SequentialLR(
    optimizer, [schedules.LinearLR(optimizer, start_factor=0.1, total_iters=2),
                schedules.CosineAnnealingLR(optimizer, T_max=4)], milestones=[2])
checkpoint = io.BytesIO()
for epoch in range(3):
    for images, labels in train_loader:
        images, labels = images.to(device), labels.to(device)
        loss = nn.CrossEntropyLoss()(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    schedule.step()
    correct = 0
    with torch.no_grad():
        for images, labels in valid_loader:
            outputs = model(images)
            _, predicted = torch.max(outputs.data, 1)
            correct += (predicted == labels).sum().item()
            del images, labels, outputs
    print("{}: loss {:.4f}, {} right, lr {}".format(
        epoch, loss.item(), correct, schedule.get_last_lr()[0]))
    checkpoint.seek(0)
    torch.save(model.state_dict(), checkpoint)
