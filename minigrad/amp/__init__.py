"""Automatic mixed precision: products in 16 bits, weights and sums in 32.

    scaler = amp.GradScaler()                          # for float16; bfloat16 needs none
    for x, t in batches:
        optimizer.zero_grad()
        with amp.autocast("cuda", dtype=minigrad.float16):
            loss = F.cross_entropy(net(x), t)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

Read `autocast_mode.py`, then `grad_scaler.py`. Source: Micikevicius et al., "Mixed precision
training" (2018), arXiv:1710.03740; PyTorch, `torch.amp`.
"""

from minigrad.amp.autocast_mode import (
    autocast, get_autocast_dtype, is_autocast_available, is_autocast_enabled,
)
from minigrad.amp.grad_scaler import GradScaler

__all__ = [
    "GradScaler", "autocast", "get_autocast_dtype", "is_autocast_available", "is_autocast_enabled",
]
