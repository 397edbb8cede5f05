"""minigrad: a small deep-learning engine on NumPy and CuPy, with PyTorch's names.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4., 6.])

Reading order: tensor.py, autograd.py, ops/elementwise.py, ops/conv.py, kernels/reference/conv.py,
kernels/cpu/layout.py, nn/module.py, optim/sgd.py.
"""

import sys

from minigrad.tensor import Size, Tensor  # isort: skip
from minigrad import accelerator, amp, autograd, backends, cuda, nn, optim, utils
from minigrad.amp import (
    GradScaler, autocast, get_autocast_dtype, is_autocast_available, is_autocast_enabled,
)
from minigrad.autograd import (
    Function, detect_anomaly, enable_grad, is_grad_enabled, no_grad, set_grad_enabled,
)
from minigrad.backend import (
    Device, Generator, get_rng_state, initial_seed, manual_seed, set_rng_state,
)
from minigrad.creation import (
    arange, as_tensor, empty, eye, from_dlpack, from_numpy, full, full_like, linspace, normal, ones,
    ones_like, rand, rand_like, randint, randn, randn_like, randperm, tensor, zeros, zeros_like,
)
from minigrad.dtypes import (
    bool, double, float, float16, float32, float64, half, int, int8, int16, int32, int64, long,
    promote_types, short, uint8,
)
from minigrad.gradcheck import gradcheck
from minigrad.missing import explain_missing_names
from minigrad.kernels.cpu.memory import empty_cache
from minigrad.kernels.cpu.cores import get_num_threads, set_num_threads
from minigrad.kernels.precision import get_float32_matmul_precision, set_float32_matmul_precision
from minigrad.nn.functional import (
    avg_pool1d, celu, conv1d, conv_transpose1d, conv_transpose2d, group_norm, layer_norm,
    max_pool1d, selu,
)
from minigrad.ops import (
    abs, add, addmm, all, allclose, amax, amin, any, argmax, argmin, argsort, bmm, broadcast_to,
    cat, ceil, chunk, clamp, clip, clone, conv2d, cos, cumsum, div, einsum, eq, equal, exp, flatten,
    flip, floor, floor_divide, gather, ge, gt, index_select, is_floating_point, is_tensor, isfinite,
    isinf, isnan, le, log, log_softmax, logical_and, logical_not, logical_or, logsumexp, lt,
    masked_fill, matmul, max, maximum, mean, meshgrid, min, minimum, mm, movedim, mul, narrow, ne,
    neg, norm, outer, permute, pow, prod, relu, reshape, roll, round, select, sigmoid, sign, sin,
    softmax, sort, split, sqrt, square, squeeze, stack, std, sub, sum, t, tanh, topk, transpose,
    tril, triu, trunc, unbind, unflatten, unsqueeze, var, where,
)
from minigrad.utils import load, save

device, inference_mode = Device, no_grad
__version__ = "0.1.0"

__all__ = [
    "Device", "Function", "Generator", "GradScaler", "Size", "Tensor", "abs", "accelerator", "add",
    "addmm", "all", "allclose", "amax", "amin", "amp", "any", "arange", "argmax", "argmin",
    "argsort", "as_tensor", "autocast", "autograd", "avg_pool1d", "backends", "bmm", "bool",
    "broadcast_to", "cat", "ceil", "celu", "chunk", "clamp", "clip", "clone", "conv1d", "conv2d",
    "conv_transpose1d", "conv_transpose2d", "cos", "cuda", "cumsum", "detect_anomaly", "device",
    "div", "double", "einsum", "empty", "empty_cache", "enable_grad", "eq", "equal", "exp", "eye",
    "flatten", "flip", "float", "float16", "float32", "float64", "floor", "floor_divide",
    "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "get_autocast_dtype",
    "get_float32_matmul_precision", "get_num_threads", "get_rng_state", "gradcheck", "group_norm",
    "gt", "half", "index_select", "inference_mode", "initial_seed", "int", "int16", "int32",
    "int64", "int8", "is_autocast_available", "is_autocast_enabled", "is_floating_point",
    "is_grad_enabled", "is_tensor", "isfinite", "isinf", "isnan", "layer_norm", "le", "linspace",
    "load", "log", "log_softmax", "logical_and", "logical_not", "logical_or", "logsumexp", "long",
    "lt", "manual_seed", "masked_fill", "matmul", "max", "max_pool1d", "maximum", "mean",
    "meshgrid", "min", "minimum", "mm", "movedim", "mul", "narrow", "ne", "neg", "nn", "no_grad",
    "norm", "normal", "ones", "ones_like", "optim", "outer", "permute", "pow", "prod",
    "promote_types", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "relu",
    "reshape", "roll", "round", "save", "select", "selu", "set_float32_matmul_precision",
    "set_grad_enabled", "set_num_threads", "set_rng_state", "short", "sigmoid", "sign", "sin",
    "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t",
    "tanh", "tensor", "topk", "transpose", "tril", "triu", "trunc", "uint8", "unbind", "unflatten",
    "unsqueeze", "utils", "var", "where", "zeros", "zeros_like",
]

explain_missing_names(
    sys.modules[__name__], accelerator, amp, autograd, backends, cuda, cuda.amp, nn, nn.functional,
    nn.init, nn.utils, optim, optim.lr_scheduler, utils, utils.data,
)
