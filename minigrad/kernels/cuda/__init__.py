"""The same kernels as in `kernels.cpu`, on a GPU: CuPy, cuBLAS, and our `.cu` files.

This package is imported when the first CuPy array arrives, and not before. It is meant to be read
beside `kernels/cpu`: `module.py` (how the sources become kernels), `common.cuh`, then the kernels,
each `.cu` with its formula and its bytes beside the `.py` that launches it; `cublas.py` and
`matmul.py`; `conv.py`, which names six ways to convolve. What only a GPU has: `one_pass.py`
(several operations as one), `images.py` (batches out of bytes), `capture.py` and `live.py` (what a
recorded step needs). No kernel uses atomics: every sum is gathered in a fixed order.

How it was checked: nobody has run it on a GPU yet. The sources are compiled for three generations
of GPUs without register spills. The same sources run on the CPU under a C++ shim, and the Python
around them on a double of CuPy that is a device of its own: kernels are compared with
`kernels/reference`, and operations, networks, graphs and the training program with the CPU's
(tests/kernels/cuda_double.py). That checks indices, arguments, barriers, and that no step waits. It
cannot check CuPy and cuBLAS themselves, races between warps, what a GPU does with memory, or speed.
"""

from minigrad.kernels.cuda.conv import conv2d, conv2d_backward_input, conv2d_backward_weight
from minigrad.kernels.cuda.elementwise import (
    abs, add, ceil, copy, cos, div, exp, floor, floor_divide, fused, leaky_relu,
    leaky_relu_backward, log, maximum, minimum, mul, neg, normal_cdf, pow, relu, relu_backward,
    round, sigmoid, sigmoid_backward, sign, sin, sqrt, sub, tanh, tanh_backward, trunc, where,
)
from minigrad.kernels.cuda.im2col import fold, unfold
from minigrad.kernels.cuda.index import index_add
from minigrad.kernels.cuda.lrn import local_response_norm, local_response_norm_backward
from minigrad.kernels.cuda.matmul import linear, matmul
from minigrad.kernels.cuda.memory import empty, zeros
from minigrad.kernels.cuda.norm import batch_norm, batch_norm_backward, batch_norm_stats
from minigrad.kernels.cuda.optim import (
    adam_step, counter, live, sgd_step, unscale, update_scale,
)
from minigrad.kernels.cuda.pool import (
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward, max_pool2d,
    max_pool2d_backward,
)
from minigrad.kernels.cuda.random import dropout, dropout_backward
from minigrad.kernels.cuda.softmax import (
    log_softmax, log_softmax_backward, softmax, softmax_backward,
)
from minigrad.kernels.cuda.sums import sum_over_channels
