# A first tutorial, with PyTorch's newer questions about devices, and a file at the end.
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import ToTensor

torch.manual_seed(17)
torch.backends.cudnn.benchmark = True
device = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
if torch.backends.mps.is_available():
    device = torch.device("mps")
print(f"device: {device}")
seen, unseen = (
    datasets.FashionMNIST(root="data", train=train, download=True, transform=ToTensor())
    for train in (True, False))
loader = DataLoader(unseen, batch_size=8)
for X, y in loader:
    print(f"a batch: {X.shape}, {y.shape} {y.dtype}")
    break


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.layers = nn.Sequential(nn.Linear(28 * 28, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        return self.layers(self.flatten(x))


model = TwoLayers().to(device)
print(model)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-1)
for batch, (X, y) in enumerate(DataLoader(seen, batch_size=8, shuffle=True)):
    loss = nn.functional.cross_entropy(model(X.to(device)), y.to(device))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f"{(batch + 1) * len(X):>5d} of {len(seen)}: {loss.item():>7f}")
model.eval()
right = 0
with torch.inference_mode():
    for X, y in loader:
        right += (model(X.to(device)).argmax(1) == y.to(device)).type(torch.float).sum().item()
print(f"{100 * right / len(loader.dataset):>0.1f} % right")

torch.save(model.state_dict(), "model.pth")
again = TwoLayers().to(device)
again.load_state_dict(torch.load("model.pth", weights_only=True))
with torch.no_grad():
    image, truth = unseen[0]
    print("this is", unseen.classes[again(image)[0].argmax(0)], "and should be", unseen.classes[truth])
