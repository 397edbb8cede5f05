"""What ONNX's operators compute, in minigrad's operations.

A function takes the node's inputs by position, None for those left out, and its attributes by
keyword, under ONNX's names and with ONNX's defaults: an attribute that it does not name is refused.
Where the meaning changed over time it takes `opset` as well. Operators that can make much out of
little ask `room` first. Source: the ONNX operator specification, opsets 7 to 25.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad
from minigrad import Tensor
from minigrad.kernels.geometry import Pair, pool_output_size, span
from minigrad.nn import functional as F

LARGEST = 1 << 31  # bytes of one tensor: as much as an ONNX file can hold
IMAGES_ONLY = "only two-dimensional images (N, C, H, W)"

OPERATORS: dict[str, Callable[..., Tensor]] = {}


def operator(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function below computes the operator of its name."""
    OPERATORS[function.__name__] = function
    return function


def room(shape: Sequence[int], itemsize: int = 4) -> None:
    """Raises ValueError if a tensor of this shape would be absurdly large, or cannot be."""
    if min(shape, default=0) < 0:
        raise ValueError(f"its result cannot have the shape {tuple(shape)}")
    if math.prod(map(int, shape)) * itemsize > LARGEST:
        raise ValueError(
            f"its result of shape {tuple(shape)} would be larger than {LARGEST / 2**30:g} GiB"
        )


def numbers(x: Tensor | None) -> list[int]:
    """Sizes or axes that came as a tensor."""
    return [] if x is None else x.cpu().numpy().reshape(-1).tolist()


# ------------------------------------------------------------------------------- windows of images

Sides = tuple[int, int, int, int]  # top, left, bottom, right: ONNX's order


def around(
    x: Tensor, kernel: Sequence[int], strides: Any, pads: Any, dilations: Any, auto_pad: str,
    ceil_mode: int = 0, channels: int = 0,
) -> tuple[Pair, Pair, Sides, Sides]:
    """Strides, dilations, padding, and what the last windows look at beyond it; all in numbers."""
    if x.ndim != 4 or len(kernel) != 2:
        raise NotImplementedError(f"{IMAGES_ONLY}, not {tuple(x.shape)}")
    strides, dilations, pads = strides or (1, 1), dilations or (1, 1), pads or (0, 0, 0, 0)
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError(f"sizes must be positive: {kernel}, {strides}, {dilations}, {pads}")
    before, after, over, outs = [], [], [], []
    for i, size in enumerate(x.shape[2:]):
        step, reach = strides[i], span(kernel[i], dilations[i])
        a, b = pads[i], pads[i + 2]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-size // step) - 1) * step + reach - size, 0)
            a = total // 2 if auto_pad == "SAME_UPPER" else -(-total // 2)
            b = total - a
        elif auto_pad != "NOTSET":  # VALID
            a = b = 0
        out = pool_output_size(size, kernel[i], step, a, b, dilations[i], bool(ceil_mode))
        before.append(a)
        after.append(b)
        outs.append(out)
        over.append(max((out - 1) * step + reach - size - a - b, 0))
    borders = zip(x.shape[2:], before, after, over, strict=True)
    room((*x.shape[:2], *map(sum, borders)))
    room((x.shape[0], channels, *(max(out, 0) for out in outs)))
    return tuple(strides), tuple(dilations), (*before, *after), (0, 0, *over)


def enlarged(x: Tensor, sides: Sides, value: float) -> Tensor:
    """x with a border."""
    top, left, bottom, right = sides
    return F.pad(x, (left, right, top, bottom), value=value) if any(sides) else x


def sum_of(a: Sides, b: Sides) -> Sides:
    top, left, bottom, right = (i + j for i, j in zip(a, b, strict=True))
    return top, left, bottom, right


def is_even(sides: Sides) -> bool:
    """Whether the border is the same on opposite sides."""
    return sides[:2] == sides[2:]


@operator
def Conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None,
) -> Tensor:
    kernel = w.shape[2:]
    if kernel_shape and tuple(kernel_shape) != kernel:
        raise ValueError(f"kernel_shape {kernel_shape} is not that of its weight {tuple(w.shape)}")
    stride, dilation, sides, _ = around(
        x, kernel, strides, pads, dilations, auto_pad, channels=w.shape[0]
    )
    if not is_even(sides):
        x, sides = enlarged(x, sides, 0.0), (0, 0, 0, 0)
    return F.conv2d(x, w, b, stride, sides[:2], dilation, group)


@operator
def MaxPool(
    x: Tensor, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
) -> Tensor:
    stride, dilation, sides, over = around(
        x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode
    )
    sides = sum_of(sides, over)
    if not is_even(sides) or any(2 * p > k for p, k in zip(sides, kernel_shape, strict=False)):
        x, sides = enlarged(x, sides, -math.inf), (0, 0, 0, 0)
    return F.max_pool2d(x, tuple(kernel_shape), stride, sides[:2], dilation)


@operator
def AveragePool(
    x: Tensor, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Tensor:
    """Where a border is not even, the mean over all of a window divided by the share that counts.
    """
    stride, dilation, sides, over = around(
        x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode
    )
    if dilation != (1, 1):
        raise NotImplementedError(f"dilations {dilation}")
    kernel = tuple(kernel_shape)
    if is_even(sides) and not any(over) and 2 * sides[0] <= kernel[0] and 2 * sides[1] <= kernel[1]:
        return F.avg_pool2d(
            x, kernel, stride, sides[:2], count_include_pad=bool(count_include_pad)
        )
    counted = minigrad.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
    counted = enlarged(enlarged(counted, sides, float(count_include_pad)), over, 0.0)
    x = enlarged(x, sum_of(sides, over), 0.0)
    return F.avg_pool2d(x, kernel, stride) / F.avg_pool2d(counted, kernel, stride)


@operator
def GlobalAveragePool(x: Tensor) -> Tensor:
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


@operator
def GlobalMaxPool(x: Tensor) -> Tensor:
    return x.amax(tuple(range(2, x.ndim)), keepdim=True)


# ------------------------------------------------------------------------------- layers of weights


@operator
def Gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Tensor:
    """alpha A B + beta C."""
    y = MatMul(a.T if transA else a, b.T if transB else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


@operator
def MatMul(a: Tensor, b: Tensor) -> Tensor:
    room((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:]))
    return a @ b


@operator
def BatchNormalization(
    x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
    momentum: float = 0.9, spatial: int = 1, training_mode: int = 0,
) -> Tensor:
    if training_mode or not spatial:
        raise NotImplementedError("only as it is at inference, with one mean a channel")
    return F.batch_norm(x, mean, var, scale, b, eps=epsilon)


@operator
def LRN(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """PyTorch's convention, but where the size is even the window has one channel more above."""
    if size % 2 == 0:
        raise NotImplementedError(f"an even size ({size})")
    reach = min(size, 2 * x.shape[1] - 1)  # as far as there are channels
    return F.local_response_norm(x, reach, alpha * reach / size, beta, bias)


@operator
def Dropout(
    x: Tensor, rate: Tensor | None = None, training_mode: Tensor | None = None, *,
    ratio: float = 0.5, seed: int = 0,
) -> Tensor:
    if training_mode is not None and training_mode.item():
        raise NotImplementedError("training_mode")
    return x


@operator
def Softmax(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
    return along(F.softmax, x, axis, opset)


@operator
def LogSoftmax(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
    return along(F.log_softmax, x, axis, opset)


def along(compute: Callable[..., Tensor], x: Tensor, axis: int | None, opset: int) -> Tensor:
    """Before opset 13 all dimensions from `axis` (1) on are one; since then it is `axis` (-1)."""
    if opset >= 13:
        return compute(x, -1 if axis is None else axis)
    return compute(Flatten(x, axis=1 if axis is None else axis), 1).reshape(x.shape)


# ------------------------------------------------------------------------------- element by element


def binary(name: str, compute: Callable[[Any, Any], Any]) -> None:
    """An operator of two tensors that broadcast."""

    def function(a: Tensor, b: Tensor) -> Tensor:
        room(np.broadcast_shapes(a.shape, b.shape))
        if name == "Div" and not a.is_floating_point():
            raise NotImplementedError("integers")
        return compute(a, b)

    OPERATORS[name] = function


binary("Add", lambda a, b: a + b)
binary("Sub", lambda a, b: a - b)
binary("Mul", lambda a, b: a * b)
binary("Div", lambda a, b: a / b)
binary("Pow", lambda a, b: a**b)


def unary(name: str, compute: Callable[[Any], Any]) -> None:
    OPERATORS[name] = lambda x: compute(x)


unary("Relu", F.relu)
unary("Sigmoid", F.sigmoid)
unary("Tanh", F.tanh)
unary("Sin", minigrad.sin)
unary("Cos", minigrad.cos)
unary("Exp", minigrad.exp)
unary("Log", minigrad.log)
unary("Sqrt", minigrad.sqrt)
unary("Abs", minigrad.abs)
unary("Neg", minigrad.neg)
unary("Identity", lambda x: x)


@operator
def LeakyRelu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


def several(name: str, compute: Callable[[Tensor, Tensor], Tensor]) -> None:
    """An operator of any number of tensors that broadcast, two by two."""

    def function(*tensors: Tensor) -> Tensor:
        total = tensors[0]
        for x in tensors[1:]:
            room(np.broadcast_shapes(total.shape, x.shape))
            total = compute(total, x)
        return total

    OPERATORS[name] = function


several("Sum", minigrad.add)
several("Max", minigrad.maximum)
several("Min", minigrad.minimum)


def reduction(
    compute: Callable[..., Tensor], x: Tensor, axes: list[int], keepdims: int, noop: int
) -> Tensor:
    """Over `axes`; where there are none over all, or none if `noop`."""
    return x if noop and not axes else compute(x, tuple(axes), bool(keepdims))


@operator
def ReduceMean(
    x: Tensor, given: Tensor | None = None, *, axes: Any = (), keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Tensor:
    return reduction(minigrad.mean, x, numbers(given) or axes, keepdims, noop_with_empty_axes)


@operator
def ReduceSum(
    x: Tensor, given: Tensor | None = None, *, axes: Any = (), keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Tensor:
    return reduction(minigrad.sum, x, numbers(given) or axes, keepdims, noop_with_empty_axes)


# ------------------------------------------------------------------------- constants, other shapes


@operator
def Constant(
    *, value: Any = None, value_float: Any = None, value_floats: Any = None, value_int: Any = None,
    value_ints: Any = None,
) -> Tensor:
    floats = value_float if value_floats is None else value_floats
    integers = value_int if value_ints is None else value_ints
    if value is not None:
        return Tensor(value)
    return Tensor(np.asarray(integers, np.int64) if floats is None else np.float32(floats))


@operator
def ConstantOfShape(shape: Tensor, *, value: Any = None) -> Tensor:
    value = np.zeros(1, np.float32) if value is None else value
    sizes = numbers(shape)
    room(sizes, value.itemsize)
    return minigrad.empty(*sizes, dtype=value.dtype).fill_(value.item())


DTYPES = {  # by ONNX's numbers for them
    1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64",
}


@operator
def Cast(x: Tensor, *, to: int) -> Tensor:
    if to not in DTYPES:
        raise NotImplementedError(f"dtype number {to}")
    return x.to(np.dtype(DTYPES[to]))


@operator
def Shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return Tensor(np.asarray(x.shape[start:end], np.int64))


@operator
def Reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    """0 stands for the size that is there, -1 for what is left."""
    sizes = numbers(shape)
    if not allowzero:
        sizes = [n or x.shape[i] for i, n in enumerate(sizes)]
    return x.reshape(sizes)


@operator
def Flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator
def Transpose(x: Tensor, *, perm: Any = None) -> Tensor:
    return x.permute(tuple(perm or range(x.ndim)[::-1]))


@operator
def Squeeze(x: Tensor, given: Tensor | None = None, *, axes: Any = None) -> Tensor:
    return x.squeeze(numbers(given) or axes)


@operator
def Unsqueeze(x: Tensor, given: Tensor | None = None, *, axes: Any = ()) -> Tensor:
    """The axes are the result's."""
    axes = numbers(given) or axes
    for axis in sorted(axis + x.ndim + len(axes) if axis < 0 else axis for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator
def Concat(*tensors: Tensor, axis: int) -> Tensor:
    room((sum(x.numel() for x in tensors),))
    return minigrad.cat(tensors, axis)


@operator
def Expand(x: Tensor, shape: Tensor) -> Tensor:
    sizes = np.broadcast_shapes(x.shape, numbers(shape))
    room(sizes)
    return x.expand(sizes)


@operator
def Gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    axis = axis + x.ndim if axis < 0 else axis
    room((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return x[(slice(None),) * axis + (indices,)]


@operator
def Slice(
    x: Tensor, from_: Tensor | None = None, to: Tensor | None = None, dims: Tensor | None = None,
    by: Tensor | None = None, *, starts: Any = (), ends: Any = (), axes: Any = (),
) -> Tensor:
    starts, ends, axes = numbers(from_) or starts, numbers(to) or ends, numbers(dims) or axes
    steps = numbers(by) or [1] * len(starts)
    if min(steps, default=1) < 1:
        raise NotImplementedError(f"steps {steps}")
    index = [slice(None)] * x.ndim
    for axis, *bounds in zip(axes or range(len(starts)), starts, ends, steps, strict=True):
        index[axis] = slice(*bounds)
    return x[tuple(index)]


@operator
def Pad(
    x: Tensor, widths: Tensor | None = None, fill: Tensor | None = None,
    dims: Tensor | None = None, *, mode: str = "constant", pads: Any = (), value: float = 0.0,
) -> Tensor:
    if mode != "constant" or dims is not None:
        raise NotImplementedError(f"mode {mode!r}" if dims is None else "axes")
    pads = numbers(widths) or pads
    before, after = pads[: x.ndim], pads[x.ndim :]
    room([n + a + b for n, a, b in zip(x.shape, before, after, strict=True)])
    pairs = [width for pair in zip(before[::-1], after[::-1], strict=True) for width in pair]
    return F.pad(x, pairs, value=value if fill is None else fill.item())
