"""How things are computed, for those who want to choose: `minigrad.backends.conv.algorithm =
"im2col"` forces one algorithm on the CPU's convolutions, "auto" leaves the choice to their shapes.
"""

from minigrad.kernels.cpu import conv

__all__ = ["conv"]
