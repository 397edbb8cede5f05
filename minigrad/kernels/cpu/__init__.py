"""The CPU kernels: NumPy, threads and cache-sized blocks.

Start with `conv.py`; `threads.py` and `memory.py` are what makes all of them fast.
"""

from minigrad.kernels.cpu.conv import (
    conv2d, conv2d_backward_input, conv2d_backward_weight, fold, unfold,
)
from minigrad.kernels.cpu.elementwise import (
    abs, add, copy, div, dropout, exp, index_add, leaky_relu, leaky_relu_backward, log, mul, neg,
    pow, relu, relu_backward, sigmoid, sigmoid_backward, sqrt, sub, sum_over_channels, tanh,
    tanh_backward,
)
from minigrad.kernels.cpu.matmul import linear, matmul
from minigrad.kernels.cpu.memory import empty, zeros
