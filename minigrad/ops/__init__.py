"""Calculus: every operation as a `Function`, its forward beside its backward, the formula above.

Reading order: elementwise, reduce, shape, index, matmul, conv, pool, norm, softmax, loss, dropout.
The lower-case functions are what users call: they check their arguments and apply the Function.
What runs on the arrays is in `kernels/`.
"""

from minigrad.ops.convert import clone, to  # isort: skip
from minigrad.ops.compare import (
    allclose, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, eq, equal, ge, gt,
    is_floating_point, is_tensor, isfinite, isinf, isnan, le, logical_and, logical_not, logical_or,
    lt, ne,
)
from minigrad.ops.conv import conv2d, fold, unfold
from minigrad.ops.dropout import dropout
from minigrad.ops.elementwise import (
    abs, add, div, exp, leaky_relu, log, mul, neg, pow, relu, sigmoid, sqrt, sub, tanh,
)
from minigrad.ops.index import getitem, index_put
from minigrad.ops.loss import cross_entropy, mse_loss, nll_loss
from minigrad.ops.matmul import linear, matmul
from minigrad.ops.norm import batch_norm, local_response_norm
from minigrad.ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from minigrad.ops.reduce import all, amax, amin, any, argmax, argmin, max, mean, min, sum, var
from minigrad.ops.shape import (
    cat, chunk, expand, flatten, pad, permute, repeat, reshape, split, squeeze, stack, t, transpose,
    unbind, unflatten, unsqueeze, view,
)
from minigrad.ops.softmax import log_softmax, softmax
from minigrad.ops.spelling import numpys_names as _numpys_names

for _name in (
    "all", "amax", "amin", "any", "argmax", "argmin", "cat", "max", "mean", "min", "softmax",
    "squeeze", "stack", "sum", "unsqueeze", "var",
):
    globals()[_name] = _numpys_names(globals()[_name])
