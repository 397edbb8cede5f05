"""Calculus: every operation as a `Function`, its forward beside its backward, the formula above.

Reading order: elementwise, select, rounding, reduce, scan, shape, rearrange, index, matmul, conv,
pool, norm, softmax, loss, dropout.
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
from minigrad.ops.einsum import einsum
from minigrad.ops.elementwise import (
    abs, add, cos, exp, leaky_relu, log, mul, neg, pow, relu, sigmoid, sin, sqrt, square, sub,
    tanh,
)
from minigrad.ops.index import gather, getitem, index_put, index_select
from minigrad.ops.loss import nll_loss
from minigrad.ops.matmul import addmm, bmm, linear, matmul, mm, outer
from minigrad.ops.norm import batch_norm, local_response_norm
from minigrad.ops.order import argsort, sort, topk
from minigrad.ops.p_norm import norm
from minigrad.ops.pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from minigrad.ops.rearrange import (
    broadcast_to, flip, meshgrid, movedim, narrow, roll, select, tril, triu,
)
from minigrad.ops.reduce import all, amax, amin, any, argmax, argmin, max, mean, min, std, sum, var
from minigrad.ops.rounding import ceil, div, floor, floor_divide, round, sign, trunc
from minigrad.ops.scan import cumsum, prod
from minigrad.ops.select import clamp, clip, masked_fill, maximum, minimum, where
from minigrad.ops.shape import (
    cat, chunk, expand, flatten, pad, permute, repeat, reshape, split, squeeze, stack, t, transpose,
    unbind, unflatten, unsqueeze, view,
)
from minigrad.ops.softmax import log_softmax, logsumexp, softmax
from minigrad.ops.spelling import numpys_names as _numpys_names

for _name in (
    "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "cat", "cumsum", "flip",
    "logsumexp", "max", "mean", "min", "norm", "prod", "sort", "softmax", "split", "squeeze",
    "stack", "std", "sum", "unsqueeze", "var",
):
    globals()[_name] = _numpys_names(globals()[_name])
