# Batch normalisation written out, beside the layer.
import torch
from torch import nn

torch.manual_seed(7)


class Normalised(nn.Module):
    """Moving averages are plain attributes here, moved to the device of the input by hand."""

    def __init__(self, channels, dims, keep=0.9):
        super().__init__()
        shape = (1, channels) + (1,) * (dims - 2)
        self.axes, self.keep = ((0,), (0, 2, 3))[dims == 4], keep
        self.scale = nn.Parameter(torch.ones(shape))
        self.shift = nn.Parameter(torch.zeros(shape))
        self.mean, self.var = torch.zeros(shape), torch.ones(shape)

    def forward(self, X):
        if self.mean.device != X.device:
            self.mean, self.var = self.mean.to(X.device), self.var.to(X.device)
        if torch.is_grad_enabled():
            mean = X.mean(dim=self.axes, keepdim=True)
            var = ((X - mean) ** 2).mean(dim=self.axes, keepdim=True)
            self.mean = (self.keep * self.mean + (1.0 - self.keep) * mean).data
            self.var = (self.keep * self.var + (1.0 - self.keep) * var).data
        else:
            mean, var = self.mean, self.var
        return self.scale * (X - mean) / torch.sqrt(var + 1e-5) + self.shift


written = nn.Sequential(
    nn.Conv2d(1, 6, kernel_size=5), Normalised(6, dims=4), nn.Sigmoid(), nn.AvgPool2d(2, 2),
    nn.Conv2d(6, 16, kernel_size=5), Normalised(16, dims=4), nn.Sigmoid(), nn.AvgPool2d(2, 2),
    nn.Flatten(), nn.Linear(16 * 4 * 4, 120), Normalised(120, dims=2), nn.Sigmoid(),
    nn.Linear(120, 10))
given = nn.Sequential(
    nn.LazyConv2d(6, kernel_size=5), nn.LazyBatchNorm2d(), nn.Sigmoid(), nn.AvgPool2d(2, 2),
    nn.Flatten(), nn.LazyLinear(120), nn.LazyBatchNorm1d(), nn.Sigmoid(), nn.LazyLinear(10))
print(written, given)
X, y = torch.randn(6, 1, 28, 28), torch.tensor([0, 1, 2, 3, 4, 5])
criterion = nn.CrossEntropyLoss()
losses = [criterion(model(X), y) for model in (written, given)]
for loss in losses:
    loss.backward()
print(given, written[1].scale.reshape((-1,)).shape)
means = [layer.mean.squeeze() for layer in written if isinstance(layer, Normalised)]
given.eval()
with torch.no_grad():
    evaluated = written(X), given(X)
