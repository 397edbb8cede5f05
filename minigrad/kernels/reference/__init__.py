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
from minigrad.kernels.reference.matmul import einsum, linear, matmul
from minigrad.kernels.reference.norm import (
    batch_norm, batch_norm_backward, batch_norm_stats, local_response_norm,
    local_response_norm_backward,
)
from minigrad.kernels.reference.pool import (
    adaptive_avg_pool2d, adaptive_avg_pool2d_backward, avg_pool2d, avg_pool2d_backward, max_pool2d,
    max_pool2d_backward,
)
from minigrad.kernels.reference.reduce import (
    amax, amin, argmax, cumsum, logsumexp, max, mean, min, norm, prod, std, sum, var,
)
from minigrad.kernels.reference.select import clamp, maximum, minimum, where
from minigrad.kernels.reference.softmax import (
    log_softmax, log_softmax_backward, softmax, softmax_backward,
)

__all__ = [
    "abs", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward", "add", "amax", "amin", "argmax",
    "avg_pool2d", "avg_pool2d_backward", "batch_norm", "batch_norm_backward", "batch_norm_stats",
    "binary_cross_entropy", "clamp", "conv2d", "conv2d_backward_input", "conv2d_backward_weight",
    "cross_entropy", "cumsum", "div", "dropout", "einsum", "elu", "exp", "fold", "gelu", "hardtanh",
    "leaky_relu", "linear", "local_response_norm", "local_response_norm_backward", "log",
    "log_softmax", "log_softmax_backward", "logsumexp", "matmul", "max", "max_pool2d",
    "max_pool2d_backward", "maximum", "mean", "min", "minimum", "mse_loss", "mul", "neg",
    "nll_loss", "norm", "pow", "prod", "relu", "sigmoid", "silu", "softmax", "softmax_backward",
    "softplus", "sqrt", "std", "sub", "sum", "tanh", "unfold", "var", "where",
]
