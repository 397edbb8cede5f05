# Mixed precision in its three spellings; without a GPU all but the last are switched off.
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.cuda.amp import GradScaler, autocast

device = "cuda" if torch.cuda.is_available() else "cpu"
use_amp = device == "cuda"
torch.manual_seed(0)
images, labels = torch.rand(12, 1, 8, 8), torch.randint(0, 4, (12,))


def make():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4))
    net.to(device)
    return net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def train(net, optimizer, scaler, context):
    for epoch in range(3):
        optimizer.zero_grad(set_to_none=True)
        with context():
            output = net(images.to(device))
            loss = F.cross_entropy(output, labels.to(device))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
        scaler.step(optimizer)
        scaler.update()
        print(f"epoch {epoch}: {loss.item():.4f}, {norm.item():.4f}, {scaler.get_scale()}")
    return scaler.state_dict()


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the oldest spelling is deprecated
    first, optimizer = make()
    old = train(first, optimizer, GradScaler(enabled=use_amp), lambda: autocast(enabled=use_amp))
    scaler = torch.cuda.amp.GradScaler(enabled=use_amp)
    second, optimizer = make()
    older = train(second, optimizer, scaler, lambda: torch.cuda.amp.autocast(use_amp))

third, optimizer = make()
new = train(
    third, optimizer, torch.amp.GradScaler("cuda", enabled=use_amp),
    lambda: torch.autocast(device_type=device, dtype=torch.float16, enabled=use_amp))

fourth, optimizer = make()
newest = train(
    fourth, optimizer, torch.GradScaler(device, init_scale=64.0, growth_interval=2),
    lambda: torch.amp.autocast("cuda", enabled=use_amp))
print(newest["scale"], torch.is_autocast_enabled())
with torch.autocast("cpu", dtype=torch.bfloat16):
    half = images.flatten(1) @ torch.ones(64, 1)
    print(half.dtype, half.float().dtype, torch.get_autocast_dtype("cpu"))
half = half.float().mean().item() > 0
