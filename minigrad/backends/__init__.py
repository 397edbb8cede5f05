"""How things are computed, for those who want to choose: `minigrad.backends.conv.algorithm =
"im2col"` forces one algorithm on the CPU's convolutions, "auto" leaves the choice to their shapes.
"""

from types import SimpleNamespace

from minigrad.kernels.cpu import conv

__all__ = ["conv", "cudnn", "mps"]

# What listings switch or ask before they begin. There is no cuDNN here, and no Apple GPU.
cudnn = SimpleNamespace(
    benchmark=False, deterministic=True, enabled=False, is_available=lambda: False
)
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
