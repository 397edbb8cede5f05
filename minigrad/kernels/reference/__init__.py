"""The obvious loops: what every op computes, before anybody made it fast.

Start here to learn what a convolution or a pool *is*. Each function says its formula in loops that
can be followed with a finger, and every fast kernel is tested against it. Sums are kept in float64
and the result has the dtype of the input. Elementwise functions and reductions are in
`elementwise.py` and `reduce.py`; read `windows.py` and `conv.py` for the heart of the matter.
"""

from minigrad.kernels.reference.conv import (
    conv2d, conv2d_backward_input, conv2d_backward_weight, fold, unfold,
)
from minigrad.kernels.reference.elementwise import (
    abs, add, div, dropout, elu, exp, gelu, hardtanh, leaky_relu, log, mul, neg, pow, relu, sigmoid,
    silu, softplus, sqrt, sub, tanh,
)
from minigrad.kernels.reference.loss import binary_cross_entropy, cross_entropy, mse_loss, nll_loss
from minigrad.kernels.reference.matmul import linear, matmul
from minigrad.kernels.reference.norm import (
    batch_norm, batch_norm_backward, batch_norm_stats, local_response_norm,
    local_response_norm_backward,
)
from minigrad.kernels.reference.pool import (
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward, max_pool2d,
    max_pool2d_backward,
)
from minigrad.kernels.reference.reduce import amax, amin, argmax, max, mean, min, sum, var
from minigrad.kernels.reference.softmax import (
    log_softmax, log_softmax_backward, softmax, softmax_backward,
)

__all__ = [
    "abs", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward", "add", "amax", "amin", "argmax",
    "avg_pool2d", "avg_pool2d_backward", "batch_norm", "batch_norm_backward", "batch_norm_stats",
    "binary_cross_entropy", "conv2d", "conv2d_backward_input", "conv2d_backward_weight",
    "cross_entropy", "div", "dropout", "elu", "exp", "fold", "gelu", "hardtanh", "leaky_relu",
    "linear", "local_response_norm", "local_response_norm_backward", "log", "log_softmax",
    "log_softmax_backward", "matmul", "max", "max_pool2d", "max_pool2d_backward", "mean", "min",
    "mse_loss", "mul", "neg", "nll_loss", "pow", "relu", "sigmoid", "silu", "softmax",
    "softmax_backward", "softplus", "sqrt", "sub", "sum", "tanh", "unfold", "var",
]
