"""How things are computed, for those who want to choose.

`conv.algorithm = "im2col"` forces one algorithm on all convolutions, "auto" leaves the choice to
their shapes; `kernels/cpu/conv.py` and `kernels/cuda/conv.py` list the names.
`cuda.matmul.allow_tf32` and `cudnn.allow_tf32` let a GPU multiply float32 in TF32: see
`kernels/precision.py`. Unlike PyTorch's, the second is False at first, as the first is in both:
here float32 means IEEE float32 until somebody asks for less, and one who compares losses or
gradients with the CPU's need not know of a switch.
"""

from types import SimpleNamespace

from minigrad.kernels import precision
from minigrad.kernels.cpu import conv
from minigrad.kernels.precision import cudnn

__all__ = ["conv", "cuda", "cudnn", "mps"]

# What listings switch or ask before they begin. There is no cuDNN here, and no Apple GPU.
cuda = precision.Switches(matmul=precision.matmul)
mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
