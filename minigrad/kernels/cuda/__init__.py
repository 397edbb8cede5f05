"""The same kernels as in `kernels.cpu`, on a GPU: CuPy, cuBLAS, and our `.cu` files.

This package is imported when the first CuPy array arrives, and not before. It is meant to be read
beside `kernels/cpu`: `cublas.py` and `matmul.py`, `module.py` (how the sources become kernels),
`common.cuh`, `columns.cu` and `im2col.py`, then the others. No kernel uses atomics: every sum is
gathered in a fixed order.

How it was checked: nobody has run it on a GPU yet. The sources are compiled for three generations
of GPUs without register spills, and the same sources, with the Python around them, run on the CPU
under a C++ shim, with stand-ins for CuPy and cuBLAS, and are compared with `kernels/reference`
(tests/kernels/test_cuda_sources.py). That checks indices, arguments and barriers. It cannot check
CuPy and cuBLAS themselves, races between warps, what the GPU does with memory, or speed.
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
