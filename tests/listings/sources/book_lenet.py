# A chapter on LeNet: a Sequential that reshapes first, a table of shapes, a small training loop.
import torch
from torch import nn

torch.manual_seed(2)


class AsImage(nn.Module):
    def forward(self, rows):
        return rows.view(-1, 1, 28, 28)


def stage(before, after, **how):
    return [nn.Conv2d(before, after, kernel_size=5, **how), nn.Sigmoid(), nn.AvgPool2d(2, stride=2)]


lenet = nn.Sequential(
    AsImage(), *stage(1, 6, padding=2), *stage(6, 16), nn.Flatten(),
    nn.Linear(16 * 5 * 5, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10))
X = torch.rand(size=(1, 1, 28, 28), dtype=torch.float32)
for layer in lenet:
    X = layer(X)
    print(layer.__class__.__name__, "output shape:\t", X.shape)


def xavier(module):
    if type(module) == nn.Linear or type(module) == nn.Conv2d:
        nn.init.xavier_uniform_(module.weight)


def share_right(model, batches):
    model.eval()
    where = next(iter(model.parameters())).device
    right = total = 0
    with torch.no_grad():
        for X, y in batches:
            y_hat = model(X.to(where))
            right += float((y_hat.argmax(dim=1) == y.to(where)).float().sum())
            total += y.numel()
    return right / total


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
lenet.apply(xavier)
lenet.to(device)
print("training on", device)
everything = torch.utils.data.TensorDataset(torch.rand(20, 28, 28), torch.randint(0, 10, (20,)))
shuffled = torch.utils.data.DataLoader(everything, 8, shuffle=True)
in_order = torch.utils.data.DataLoader(everything, batch_size=8, shuffle=False)
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(lenet.parameters(), lr=0.9)
for epoch in range(2):
    lenet.train()
    summed = 0.0
    for X, y in shuffled:
        optimizer.zero_grad()
        loss = criterion(lenet(X.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            summed += float(loss * X.shape[0])
    print(f"epoch {epoch}: loss {summed / len(everything):.3f}, right {share_right(lenet, in_order)}")
