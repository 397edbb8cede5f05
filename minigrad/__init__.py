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
from minigrad import accelerator, autograd, backends, cuda, nn, optim, utils
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
from minigrad.ops import (
    abs, add, all, allclose, amax, amin, any, argmax, argmin, cat, chunk, clone, conv2d, div, eq,
    equal, exp, flatten, ge, gt, is_floating_point, is_tensor, isfinite, isinf, isnan, le, log,
    log_softmax, logical_and, logical_not, logical_or, lt, matmul, max, mean, min, mul, ne, neg,
    permute, pow, relu, reshape, sigmoid, softmax, split, sqrt, squeeze, stack, sub, sum, t, tanh,
    transpose, unbind, unflatten, unsqueeze, var,
)
from minigrad.utils import load, save

device, inference_mode = Device, no_grad
__version__ = "0.1.0"

__all__ = [
    "Device", "Function", "Generator", "Size", "Tensor", "abs", "accelerator", "add", "all",
    "allclose", "amax", "amin", "any", "arange", "argmax", "argmin", "as_tensor", "autograd",
    "backends", "bool", "cat", "chunk", "clone", "conv2d", "cuda", "detect_anomaly", "device",
    "div", "double", "empty", "empty_cache", "enable_grad", "eq", "equal", "exp", "eye", "flatten",
    "float", "float16", "float32", "float64", "from_dlpack", "from_numpy", "full", "full_like",
    "ge", "get_num_threads", "get_rng_state", "gradcheck", "gt", "half", "inference_mode",
    "initial_seed", "int", "int16", "int32", "int64", "int8", "is_floating_point",
    "is_grad_enabled", "is_tensor", "isfinite", "isinf", "isnan", "le", "linspace", "load", "log",
    "log_softmax", "logical_and", "logical_not", "logical_or", "long", "lt", "manual_seed",
    "matmul", "max", "mean", "min", "mul", "ne", "neg", "nn", "no_grad", "normal", "ones",
    "ones_like", "optim", "permute", "pow", "promote_types", "rand", "rand_like", "randint",
    "randn", "randn_like", "randperm", "relu", "reshape", "save", "set_grad_enabled",
    "set_num_threads", "set_rng_state", "short", "sigmoid", "softmax", "split", "sqrt", "squeeze",
    "stack", "sub", "sum", "t", "tanh", "tensor", "transpose", "uint8", "unbind", "unflatten",
    "unsqueeze", "utils", "var", "zeros", "zeros_like",
]

explain_missing_names(
    sys.modules[__name__], accelerator, autograd, backends, cuda, nn, nn.functional, nn.init,
    nn.utils, optim, optim.lr_scheduler, utils, utils.data,
)
