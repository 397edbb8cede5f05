"""`autocast`: inside it, each operation gets its inputs in the precision that suits it.

Products lose little in 16 bits, for they are summed in float32 whatever their inputs are, and gain
most; exponentials, powers and losses lose much and gain little. So there are two lists of
operations, PyTorch's, and what is in neither takes its inputs as they come, the widest deciding. A
cast is an operation with a derivative: weights stay float32 (the "master weights"), and so do
their gradients. `Function.apply` asks here before it computes.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import autograd, backend, dtypes
from minigrad.ops.convert import Cast, to
from minigrad.tensor import Tensor

# Functions by name. Functions of `nn.functional` that are composed of others have `in_single`.
LOWER = frozenset({"Conv2d", "ConvTranspose2d", "Linear", "MatMul"})
SINGLE = frozenset({"BCELoss", "LocalResponseNorm", "NLLLoss", "Prod", "SoftmaxCrossEntropy"})
SINGLE_ON = {
    "cpu": SINGLE | {"Nuclear"},
    "cuda": SINGLE | {
        "CumSum", "Exp", "Log", "LogSoftmax", "LogSumExp", "Norm", "Nuclear", "Pow", "Softmax",
        "Softplus", "Square", "Sum",
    },
}  # fmt: skip


class Casts:
    """What `autocast` has switched on: a dtype for each kind of device, or None."""

    def __init__(self, types: dict[str, np.dtype | None], caching: bool, cache: dict) -> None:
        self.types, self.caching, self.cache = types, caching, cache

    def dtype_on(self, x: Tensor) -> np.dtype | None:
        return self.types["cuda" if backend.is_cupy(x.array) else "cpu"]

    def __call__(self, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs of the operation `name`, cast."""
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        lower = self.dtype_on(tensors[0]) if tensors else None
        if lower is None:
            return inputs
        if name in LOWER:
            return tuple(self.lowered(x, lower) for x in inputs)
        if name in SINGLE_ON["cuda" if tensors[0].is_cuda else "cpu"]:
            return tuple(map(_single, inputs))
        return inputs

    def lowered(self, x: Any, dtype: np.dtype) -> Any:
        """x in 16 bits. Of a weight it is kept until the outermost `autocast` ends, unless the
        weight changes: a weight may be used several times, and its gradient is then cast once."""
        if not isinstance(x, Tensor) or not _castable(x) or x.dtype == dtype:
            return x
        weight = x.requires_grad and x.is_leaf and x.dtype == dtypes.float32
        if not (weight and self.caching and autograd.is_grad_enabled()):
            return Cast.apply(x, dtype=dtype)
        state = x._version, x._version.count
        if self.cache.get(x, (None,))[:3] != (*state, dtype):
            self.cache[x] = (*state, dtype, Cast.apply(x, dtype=dtype))
        return self.cache[x][3]


def _castable(x: Tensor) -> bool:
    """Of float64 PyTorch's autocast keeps off, too."""
    return dtypes.is_floating_point(x.dtype) and x.dtype != dtypes.float64 and x.dtype.kind != "c"


def _single(x: Any) -> Any:
    half = isinstance(x, Tensor) and dtypes.is_half(x.dtype)
    return to(x, dtypes.float32) if half else x


def in_single(*devices: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function whose tensors, under `autocast` on one of these devices, are float32: one that is
    composed of several operations, each of which might lose digits in 16 bits."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(input: Tensor, *args: Any, **options: Any) -> Any:
            casts = autograd.casts()
            if casts and casts.dtype_on(input) is not None and input.device.type in devices:
                input, args = _single(input), tuple(map(_single, args))
                options = {name: _single(value) for name, value in options.items()}
            return function(input, *args, **options)

        return called

    return decorate


class autocast:
    """Run what follows in mixed precision: `with autocast("cuda"):`, or `@autocast("cuda")`.

    In `dtype` are computed convolutions, `linear` and matrix products; in float32 losses, local
    response normalisation and `prod`, and on CUDA also softmax, exponentials, logarithms, powers,
    sums, norms, layer and group normalisation; all else in the dtype of its inputs, the widest
    where they differ. float64 stays as it is. Put the forward pass and the loss inside, and
    `backward` outside: each gradient has the dtype of what it is the gradient of.

    On the CPU a 16-bit operation is computed in float32 and rounded: it is no faster, but shows
    what rounding does.

    Args:
        device_type: "cuda" or "cpu"; tensors elsewhere are left alone.
        dtype: float16 or bfloat16; by default float16 on CUDA, bfloat16 on the CPU. float16 has a
            small range: use a `GradScaler`.
        enabled: False switches it off inside of another.
        cache_enabled: cast each weight only once, until the outermost `autocast` ends.

    Raises:
        RuntimeError: another device_type.

    Warns, and does nothing, for another dtype and for CUDA where there is none. Source: PyTorch,
    `torch.autocast`, whose lists of operations these are.
    """

    def __init__(
        self, device_type: str, dtype: np.dtype | None = None, enabled: bool = True,
        cache_enabled: bool = True,
    ) -> None:
        _check(device_type)
        if enabled and device_type == "cuda" and (problem := backend.cuda_problem()):
            warnings.warn(f"[autocast] disabled: {problem}", stacklevel=2)
            enabled = False
        if enabled and dtype is None:
            dtype = dtypes.float16 if device_type == "cuda" else dtypes.load_bfloat16()
        if enabled and not dtypes.is_half(np.dtype(dtype)):
            what = f"[autocast] disabled: dtype must be float16 or bfloat16, not {dtype}"
            warnings.warn(what, stacklevel=2)
            enabled = False
        self.device_type, self.caching = device_type, cache_enabled
        self.dtype = np.dtype(dtype) if enabled else None
        self.before: list[Casts | None] = []  # a stack, as it may be entered again inside itself

    def __enter__(self) -> autocast:
        outer = autograd.casts()
        self.before.append(outer)
        types = {**(outer.types if outer else {"cpu": None, "cuda": None})}
        types[self.device_type] = self.dtype
        autograd.set_casts(Casts(types, self.caching, outer.cache if outer else {}))
        return self

    def __exit__(self, *error: object) -> None:
        autograd.set_casts(self.before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **options: Any) -> Any:
            with self:
                return function(*args, **options)

        return wrapped


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether `autocast` is on for this kind of device."""
    return _switched_on(device_type) is not None


def get_autocast_dtype(device_type: str) -> np.dtype:
    """The 16-bit dtype in which `autocast` computes there, or would by default."""
    default = dtypes.float16 if device_type == "cuda" else None
    return _switched_on(device_type) or default or dtypes.load_bfloat16()


def is_autocast_available(device_type: str) -> bool:
    """Whether there is an `autocast` for this kind of device."""
    return device_type in SINGLE_ON


def _switched_on(device_type: str) -> np.dtype | None:
    _check(device_type)
    casts = autograd.casts()
    return casts.types[device_type] if casts else None


def _check(device_type: str) -> None:
    if not is_autocast_available(device_type):
        raise RuntimeError(
            f"[autocast] unsupported device_type {device_type!r}: expected 'cuda' or 'cpu'"
        )
