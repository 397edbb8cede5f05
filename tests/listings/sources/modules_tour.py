# What tutorials on modules show: own layers, buffers, containers, sharing, hooks, groups of options.
from collections import OrderedDict

import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.nn.parameter import Parameter

torch.manual_seed(16)


class Affine(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.matrix = Parameter(torch.randn(inputs, outputs))
        self.offset = Parameter(torch.zeros(outputs,))
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int64))
        self.fixed = torch.rand((inputs, inputs), requires_grad=False)

    def forward(self, x):
        self.calls += 1
        return torch.matmul(torch.matmul(x, self.fixed), self.matrix) + self.offset

    def extra_repr(self):
        return f"{self.matrix.shape[0]}, {self.matrix.shape[1]}"


class Chain(nn.Module):
    def __init__(self, *links):
        super().__init__()
        for number, link in enumerate(links):
            self._modules[str(number)] = link

    def forward(self, x):
        for link in self._modules.values():
            x = link(x)
        return x - x.mean()


class Halving(nn.Module):
    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(6, 6)

    def forward(self, x):
        x = self.twice(F.relu(self.twice(x)))
        while x.abs().sum() > 1:
            x /= 2
        return x.sum()


x = torch.rand(2, 6)
chain, halving = Chain(Affine(6, 5), nn.Tanh(), nn.Linear(5, 4)), Halving()
print(chain, chain(x).shape, chain(x).mean().abs().item() < 1e-6, halving(x).shape)
print([n for n, _ in chain.named_parameters()], chain.state_dict().keys())
print(chain.get_submodule("0").calls)

named = nn.Sequential(OrderedDict([("first", nn.Linear(4, 8)), ("act", nn.ReLU())]))
named.add_module("last", nn.Linear(8, 1))
longer = named.append(nn.Tanh()) + nn.Sequential(nn.Flatten())
print(named, longer, longer.get_submodule("1"), named[0] is named.first)
rows = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
choices = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 3), "pool": nn.MaxPool2d(3)})
print(rows, choices, "conv" in choices)

shared = nn.Linear(8, 8)
tied = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared)
print(len(list(tied.parameters())), tied[2].weight.data[0] == tied[4].weight.data[0])


def sparse(module):
    if type(module) == nn.Linear:
        print("init", [(name, param.shape) for name, param in module.named_parameters()])
        nn.init.uniform_(module.weight, -1, 1)
        module.weight.data *= module.weight.data.abs() >= 0.5
        module.bias.data[:] += 1
        module.bias.data[0] = 0.5


tied.apply(sparse)
seen = {}


def remember(name):
    def hook(module, inputs, output):
        seen[name] = output.detach()
    return hook


handle = tied[0].register_forward_hook(remember("first"))
tied(torch.ones(1, 4))
handle.remove()
optimizer = optim.AdamW([{"params": chain.get_submodule("0").parameters()},
                         {"params": chain.get_submodule("2").parameters(), "lr": 1e-2}], lr=1e-3, eps=1e-3)
cosine = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)


@torch.no_grad()
def evaluate(model, x):
    return model(x)


for _ in range(3):
    optimizer.zero_grad(set_to_none=True)
    loss = nn.MSELoss()(chain(x), torch.ones(2, 4))
    loss.backward()
    optimizer.step()
    cosine.step()
    print([group["lr"] for group in optimizer.param_groups], loss.item())
result = evaluate(chain, x)
print(result.requires_grad, result.size(), result.dim(), len(result), result.shape[-1])
