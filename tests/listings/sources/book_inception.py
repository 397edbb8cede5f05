# Inception blocks, whose four paths are joined along the channels; eager and lazy.
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(6)


class Block(nn.Module):
    def __init__(self, a, b, c, d, inputs=None, **kwargs):
        super(Block, self).__init__(**kwargs)

        def conv(out, size, of=inputs):
            if inputs is None:
                return nn.LazyConv2d(out, kernel_size=size, padding=size // 2)
            return nn.Conv2d(of, out, kernel_size=size, padding=size // 2)

        self.one = conv(a, 1)
        self.narrow3, self.three = conv(b[0], 1), conv(b[1], 3, of=b[0])
        self.narrow5, self.five = conv(c[0], 1), conv(c[1], 5, of=c[0])
        self.pool = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.after = conv(d, 1)

    def forward(self, x):
        paths = (
            F.relu(self.one(x)),
            F.relu(self.three(F.relu(self.narrow3(x)))),
            F.relu(self.five(F.relu(self.narrow5(x)))),
            F.relu(self.after(self.pool(x))),
        )
        return torch.cat(paths, dim=1)


stem = nn.Sequential(nn.Conv2d(1, 8, kernel_size=7, stride=2, padding=3), nn.ReLU(),
                     nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
middle = nn.Sequential(Block(8, (12, 16), (2, 4), 4, inputs=8),
                       Block(16, (16, 24), (4, 12), 8, inputs=32),
                       nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
net = nn.Sequential(stem, middle, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(60, 10))
X = torch.rand(size=(1, 1, 64, 64))
for layer in net:
    X = layer(X)
    print(layer.__class__.__name__, "output shape:\t", X.shape)
lazy = nn.Sequential(nn.LazyConv2d(8, 3, stride=2), Block(8, (12, 16), (2, 4), 4),
                     nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(10))
print(lazy)
x, y = torch.randn(2, 1, 64, 64), torch.tensor([4, 4])
scores = lazy(x)
print(lazy)
loss = F.cross_entropy(scores, y) + F.nll_loss(F.log_softmax(net(x), dim=1), y)
loss.backward()
