# AlexNet without a single number of input channels, initialised after a first look at the data.
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(3)


def conv(channels, size, pool=False, **how):
    layers = [nn.LazyConv2d(channels, kernel_size=size, **how), nn.ReLU()]
    return layers + [nn.MaxPool2d(kernel_size=3, stride=2)] if pool else layers


def hidden(width):
    return [nn.LazyLinear(width), nn.ReLU(), nn.Dropout(p=0.5)]


class Classifier(nn.Module):
    def __init__(self, classes, lr):
        super().__init__()
        self.lr = lr
        self.body = nn.Sequential(
            *conv(24, 11, pool=True, stride=4, padding=1), *conv(32, 5, pool=True, padding=2),
            *conv(48, 3, padding=1), *conv(48, 3, padding=1), *conv(32, 3, pool=True, padding=1),
            nn.Flatten(), *hidden(64), *hidden(64), nn.LazyLinear(classes))

    def forward(self, X):
        return self.body(X)

    def look_at(self, X, init):
        self.forward(X)
        self.body.apply(init)
        return self

    def shapes_of(self, *size):
        X = torch.randn(*size)
        for layer in self.body:
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)

    def accuracy(self, X, Y):
        guessed = self(X).argmax(axis=1).type(Y.dtype)
        return (guessed == Y.reshape(-1)).type(torch.float32).mean()


def xavier(module):
    if type(module) == nn.Linear or type(module) == nn.Conv2d:
        nn.init.xavier_uniform_(module.weight)


untouched = Classifier(10, 0.1).apply(xavier)  # finds no plain layer yet
print(untouched)
print([type(p).__name__ for p in untouched.parameters()], list(untouched.state_dict()))
Classifier(10, 0.1).shapes_of(1, 1, 96, 96)

model = Classifier(10, lr=0.01)
optimizer = torch.optim.SGD(model.parameters(), lr=model.lr)  # made before there are shapes
X, Y = torch.rand(4, 1, 96, 96), torch.tensor([1, 3, 5, 7])
model.look_at(X, xavier)
print(model)
for step in range(2):
    loss = F.cross_entropy(model(X), Y, reduction="mean")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
model.eval()
logits = model(X)
print(model.accuracy(X, Y), type(model.body[0]) == nn.Conv2d, model.body[-1].in_features)
