"""The CPU kernels: NumPy, all cores and cache-sized blocks.

Start with `layout.py`; `memory.py`, `workers.py` and `cores.py` are what makes all of them fast.
"""

from minigrad.kernels.cpu.conv import (
    conv2d, conv2d_backward_input, conv2d_backward_weight,
)
from minigrad.kernels.cpu.elementwise import (
    abs, add, ceil, copy, cos, div, dropout, dropout_backward, exp, floor, floor_divide, fused,
    index_add, leaky_relu, leaky_relu_backward, log, maximum, minimum, mul, neg, normal_cdf, pow,
    relu, relu_backward, round, sigmoid, sigmoid_backward, sign, sin, sqrt, sub, sum_over_channels,
    tanh, tanh_backward, trunc, where,
)
from minigrad.kernels.cpu.im2col import fold, unfold
from minigrad.kernels.cpu.lrn import local_response_norm, local_response_norm_backward
from minigrad.kernels.cpu.matmul import linear, matmul
from minigrad.kernels.cpu.memory import empty, zeros
from minigrad.kernels.cpu.norm import batch_norm, batch_norm_backward, batch_norm_stats
from minigrad.kernels.cpu.optim import adam_step, counter, live, sgd_step, unscale, update_scale
from minigrad.kernels.cpu.pool import (
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward, max_pool2d,
    max_pool2d_backward,
)
from minigrad.kernels.cpu.softmax import (
    log_softmax, log_softmax_backward, softmax, softmax_backward,
)
