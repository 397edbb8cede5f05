# An example script without its command line: a class, train and test functions, Adadelta, StepLR.
import io

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


class Digits(nn.Module):
    def __init__(self):
        super(Digits, self).__init__()
        self.near = nn.Conv2d(1, 8, 3, 1)
        self.far = nn.Conv2d(8, 16, 3, 1)
        self.some, self.many = nn.Dropout(0.25), nn.Dropout(0.5)
        self.hidden = nn.Linear(16 * 6 * 6, 32)
        self.scores = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.far(F.relu(self.near(x)))), 2)
        x = torch.flatten(self.some(x), 1)
        x = self.many(F.relu(self.hidden(x)))
        return F.log_softmax(self.scores(x), dim=1)


def train(model, device, loader, optimizer, epoch):
    model.train()
    for number, (images, digits) in enumerate(loader):
        images, digits = images.to(device), digits.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), digits)
        loss.backward()
        optimizer.step()
        done = 100. * number / len(loader)
        print("epoch {}: {:3.0f} % of {}, {:.4f}".format(
            epoch, done, len(loader.dataset), loss.item()))


def test(model, device, loader):
    model.eval()
    summed, right = 0, 0
    with torch.no_grad():
        for images, digits in loader:
            images, digits = images.to(device), digits.to(device)
            out = model(images)
            summed += F.nll_loss(out, digits, reduction="sum").item()
            best = out.argmax(dim=1, keepdim=True)
            right += best.eq(digits.view_as(best)).sum().item()
    print(f"test: {summed / len(loader.dataset):.4f}, {right} of {len(loader.dataset)} right")


def main():
    torch.manual_seed(1)
    use_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if use_cuda else "cpu")
    options = {"batch_size": 8, "shuffle": True}
    if use_cuda:
        options.update({"num_workers": 1, "pin_memory": True})
    data = TensorDataset(torch.rand(24, 1, 16, 16), torch.randint(0, 10, (24,)))
    loader, checks = DataLoader(data, **options), DataLoader(data, batch_size=10)
    model = Digits().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in range(1, 3):
        train(model, device, loader, optimizer, epoch)
        test(model, device, checks)
        schedule.step()
        print(schedule.get_last_lr())
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = Digits()
    print(again.load_state_dict(torch.load(file)))
    test(again, device, checks)
    return model


if __name__ == "__main__":
    model = main()
