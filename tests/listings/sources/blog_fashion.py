# A blog post on clothes: transforms, halves, a small AlexNet with batch normalisation, a plateau.
import torch
import torch.nn as nn
import torchvision
import torchvision.transforms as transforms
from torch.utils.data import DataLoader, random_split

torch.manual_seed(15)
varied = transforms.Compose([
    transforms.Resize((32, 32)),
    transforms.RandomCrop(32, padding=2),
    transforms.RandomHorizontalFlip(),
    transforms.ColorJitter(brightness=0.2, contrast=0.2),
    transforms.ToTensor(),
    transforms.Normalize((0.2860,), (0.3530,)),
])
plain = transforms.Compose([
    transforms.Resize(40), transforms.CenterCrop(32), transforms.ToTensor(),
    transforms.Lambda(lambda x: x.repeat(3, 1, 1)), transforms.Lambda(lambda x: x[:1] * 2 - 1)])
clothes = torchvision.datasets.FashionMNIST(
    root="./data", train=True, download=True, transform=varied)
others = torchvision.datasets.FashionMNIST(
    "./data", train=False, transform=plain, target_transform=lambda y: (y + 1) % 10)
print(varied)
print(len(clothes), clothes.classes[:3], clothes[0][0].shape, type(clothes[0][1]))
print(clothes.data.shape, clothes.data.dtype, clothes.targets[:5], others[0][1])
part, rest = random_split(clothes, [24, 8])
batches = DataLoader(part, batch_size=8, shuffle=True, num_workers=0, drop_last=True)
checks = DataLoader(dataset=rest, batch_size=8)
images, labels = next(iter(DataLoader(others, batch_size=8, shuffle=False)))
print(images.shape, labels.shape, labels.dtype)


def conv(before, after, size, **how):
    return nn.Sequential(nn.Conv2d(before, after, size, **how), nn.BatchNorm2d(after),
                         nn.LeakyReLU(0.1), nn.MaxPool2d(kernel_size=3, stride=2))


class Little(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = conv(1, 16, 5, stride=1, padding=2)
        self.deep = conv(16, 32, 3, padding="same")
        self.hidden = nn.Sequential(nn.Dropout(0.5), nn.Linear(32 * 7 * 7, 32), nn.ReLU())
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        x = self.deep(self.wide(x))
        return self.out(self.hidden(x.reshape(x.size(0), -1)))


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
little = Little().to(device)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(little.parameters(), lr=0.02, weight_decay=0.005, momentum=0.9)
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
for epoch in range(2):
    little.train()
    for i, (images, labels) in enumerate(batches):
        loss = criterion(little(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print("epoch {}/2, batch {}/{}: {:.3f}".format(epoch + 1, i + 1, len(batches), loss.item()))
    little.eval()
    correct = total = 0
    with torch.no_grad():
        for images, labels in checks:
            _, guessed = torch.max(little(images).data, 1)
            total += labels.size(0)
            correct += (guessed == labels).sum().item()
    print(f"{100 * correct / total} % of {total}")
    plateau.step(total - correct)
with torch.no_grad():
    values, indices = torch.max(nn.Softmax(dim=1)(little(images)), dim=1)
