"""How each operation is written in ONNX: one function for each kind of `Function`.

Such a function gets the step that it writes, and then what the operation's `forward` got, with a
`Value` for each array. It adds nodes by calling the step, and returns the last one's value. Sizes
of images are known here, so whatever ONNX's versions read differently is said in numbers: windows
that hang over the edge, for instance, are padding. Next: `reader.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import Function, Tensor
from minigrad.kernels.geometry import Pad as Sides
from minigrad.kernels.geometry import Pair, adaptive_windows, span
from minigrad.ops import elementwise
from minigrad.ops.conv import Conv2d
from minigrad.ops.convert import Clone
from minigrad.ops.index import GetItem
from minigrad.ops.matmul import Linear, MatMul
from minigrad.ops.norm import BatchNorm, LocalResponseNorm
from minigrad.ops.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from minigrad.ops.reduce import Mean, Sum
from minigrad.ops.select import Clamp, Maximum
from minigrad.ops.shape import Concatenate, Pad, Permute, Reshape
from minigrad.ops.softmax import LogSoftmax, Softmax

if TYPE_CHECKING:
    from alexnet.interchange.writer import Graph


class Value(NamedTuple):
    """What flows along an edge of the graph. Only of batched ones is axis 0 the images' number."""

    name: str
    shape: tuple[int, ...]
    batched: bool


@dataclass
class Node:
    """An ONNX node of one output, which has the node's name."""

    op: str
    inputs: list[str]
    name: str
    attributes: dict[str, Any]


class Step:
    """An operation that is being written: `step("Relu", x)` adds a node and returns its value."""

    def __init__(
        self, graph: Graph, kind: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.graph, self.kind, self.shape, self.dtype = graph, kind, shape, dtype
        self.path = graph.path[-1] if graph.path else ""

    def __call__(self, op: str, *inputs: Value | None, **attributes: Any) -> Value:
        """Add a node that gives what the operation gave. Its name: "features.0/Conv"."""
        values = [value for value in inputs if value]  # what is optional stands last
        name = self._unused(op)
        self.graph.nodes.append(Node(op, [value.name for value in values], name, attributes))
        return Value(name, self.shape, any(value.batched for value in values))

    def member(self, array: Any) -> Value:
        """A parameter or a buffer of the network, by its array."""
        if id(array) not in self.graph.members:
            raise self.refusal(
                "it reads a tensor that is no parameter, no buffer, and not made of such or of the "
                "images by operations that have gradients: in a file it could not change"
            )
        name, _ = self.graph.members[id(array)]
        self.graph.weights[name] = Tensor(array).cpu().numpy()
        return Value(name, array.shape, False)

    def constant(self, numbers: Any) -> Value:
        """Numbers that are not learned: a factor, or sizes."""
        array, name = np.asarray(numbers), self._unused("constant")
        self.graph.constants[name] = array
        return Value(name, array.shape, False)

    def demand_apart(self, x: Value, apart: bool) -> None:
        """Raises NotImplementedError if not every image of a batch keeps its place in it."""
        if x.batched and not apart:
            raise self.refusal("it moves, mixes or drops images of the batch, dimension 0")

    def refusal(self, why: str) -> NotImplementedError:
        """The error that says what cannot be written, and where it is."""
        return NotImplementedError(f"[export] {self.kind} in {self.path or 'the network'}: {why}")

    def _unused(self, name: str) -> str:
        name = f"{self.path}/{name}" if self.path else name
        count, unique = 1, name
        while unique in self.graph.taken:
            count, unique = count + 1, f"{name}_{count}"
        self.graph.taken.add(unique)
        return unique


WRITERS: dict[type[Function], Callable[..., Value]] = {}


def writes(*kinds: type[Function]) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """The function below writes operations of these kinds."""

    def register(function: Callable[..., Value]) -> Callable[..., Value]:
        WRITERS.update(dict.fromkeys(kinds, function))
        return function

    return register


# ------------------------------------------------------------------------------ windows of images


def corners(pad: Sides, overhang: Pair = (0, 0)) -> tuple[int, ...]:
    """Padding in ONNX's order: top, left, bottom, right."""
    top, bottom, left, right = pad
    return top, left, bottom + overhang[0], right + overhang[1]


def hanging(step: Step, x: Value, kernel: Pair, stride: Pair, pad: Sides, dilation: Pair) -> Pair:
    """How far the last windows (ceil_mode) reach beyond the padded images, below and right."""
    h, w = (
        max((step.shape[2 + i] - 1) * stride[i] + span(kernel[i], dilation[i])
            - x.shape[2 + i] - pad[2 * i] - pad[2 * i + 1], 0)
        for i in range(2)
    )
    return h, w


@writes(Conv2d)
def conv2d(
    step: Step, x: Value, w: Value, b: Value | None, *, stride: Pair, pad: Sides, dilation: Pair,
    groups: int,
) -> Value:
    return step(
        "Conv", x, w, b, kernel_shape=w.shape[2:], strides=stride, pads=corners(pad),
        dilations=dilation, group=groups,
    )


@writes(MaxPool2d)
def max_pool2d(
    step: Step, x: Value, *, kernel_size: Pair, stride: Pair, pad: Sides, dilation: Pair,
    ceil_mode: bool, return_indices: bool,
) -> Value:
    overhang = hanging(step, x, kernel_size, stride, pad, dilation)
    return step(
        "MaxPool", x, kernel_shape=kernel_size, strides=stride, pads=corners(pad, overhang),
        dilations=dilation,
    )


@writes(AvgPool2d)
def avg_pool2d(
    step: Step, x: Value, *, kernel_size: Pair, stride: Pair, pad: Sides, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> Value:
    if divisor_override is not None:
        raise step.refusal("ONNX has no divisor_override")
    overhang = hanging(step, x, kernel_size, stride, pad, (1, 1))
    if any(overhang) and count_include_pad:  # zeros that count, and beyond them what does not
        x = step("Pad", x, step.constant([0, 0, *corners(pad)[:2], 0, 0, *corners(pad)[2:]]))
        pad, count_include_pad = (0, 0, 0, 0), False
    return step(
        "AveragePool", x, kernel_shape=kernel_size, strides=stride, pads=corners(pad, overhang),
        count_include_pad=int(count_include_pad),
    )


@writes(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(step: Step, x: Value, *, output_size: Pair) -> Value:
    """Where the windows differ in size, the mean over rows is a matrix product, and so over
    columns."""
    (h, w), (oh, ow) = x.shape[2:], output_size
    if output_size == (1, 1):
        return step("GlobalAveragePool", x)
    if h % oh == w % ow == 0:
        size = (h // oh, w // ow)
        return step("AveragePool", x, kernel_shape=size, strides=size)
    rows, columns = means(h, oh).astype(step.dtype), means(w, ow).astype(step.dtype)
    return step("MatMul", step("MatMul", step.constant(rows), x), step.constant(columns.T))


def means(size: int, out: int) -> np.ndarray:
    """The matrix (out, size) that takes the mean of each of the adaptive windows."""
    matrix = np.zeros((out, size))
    for row, (start, stop) in zip(matrix, adaptive_windows(size, out), strict=True):
        row[start:stop] = 1 / (stop - start)
    return matrix


# ------------------------------------------------------------------------------ layers of weights


@writes(Linear)
def linear(step: Step, x: Value, w: Value, b: Value | None) -> Value:
    if len(x.shape) == 2:
        return step("Gemm", x, w, b, transB=1)
    y = step("MatMul", x, step("Transpose", w, perm=(1, 0)))
    return step("Add", y, b) if b else y


@writes(BatchNorm)
def batch_norm(
    step: Step, x: Value, w: Value | None, b: Value | None, *, mean: Any, var: Any, eps: float,
    training: bool,
) -> Value:
    if training:
        raise step.refusal("it uses the batch's statistics, because it keeps no running ones")
    w = w or step.constant(np.ones(x.shape[1], step.dtype))
    b = b or step.constant(np.zeros(x.shape[1], step.dtype))
    return step("BatchNormalization", x, w, b, step.member(mean), step.member(var), epsilon=eps)


@writes(LocalResponseNorm)
def local_response_norm(
    step: Step, x: Value, *, size: int, alpha: float, beta: float, k: float
) -> Value:
    """ONNX too divides alpha by the size; but of an even size's window it puts more above."""
    if size % 2 == 0:
        raise step.refusal(f"ONNX's window of {size} channels lies differently: take an odd size")
    return step("LRN", x, size=size, alpha=alpha, beta=beta, bias=k)


# ------------------------------------------------------------------------------- element by element

NAMES: dict[type[Function], str] = {
    elementwise.Sigmoid: "Sigmoid", elementwise.Tanh: "Tanh", elementwise.Exp: "Exp",
    elementwise.Log: "Log", elementwise.Sqrt: "Sqrt", elementwise.Abs: "Abs",
    elementwise.Neg: "Neg", elementwise.Add: "Add", elementwise.Sub: "Sub",
    elementwise.Mul: "Mul", elementwise.Div: "Div", elementwise.Pow: "Pow",
    elementwise.Sin: "Sin", elementwise.Cos: "Cos", MatMul: "MatMul",
}


def same(name: str) -> Callable[..., Value]:
    """For operations without options, and alike in ONNX."""
    return lambda step, *inputs: step(name, *inputs)


WRITERS.update({kind: same(name) for kind, name in NAMES.items()})


@writes(elementwise.Square)
def square(step: Step, x: Value) -> Value:
    return step("Mul", x, x)


@writes(Maximum)
def maximum(step: Step, a: Value, b: Value, *, largest: bool) -> Value:
    return step("Max" if largest else "Min", a, b)


@writes(Clamp)
def clamp(step: Step, x: Value, lo: Value | None, hi: Value | None) -> Value:
    y = x if lo is None else step("Max", x, lo)
    return y if hi is None else step("Min", y, hi)


@writes(elementwise.ReLU)
def relu(step: Step, x: Value, *, inplace: bool) -> Value:
    return step("Relu", x)


@writes(elementwise.LeakyReLU)
def leaky_relu(step: Step, x: Value, *, negative_slope: float) -> Value:
    return step("LeakyRelu", x, alpha=negative_slope)


@writes(Softmax, LogSoftmax)
def softmax(step: Step, x: Value, *, axis: int) -> Value:
    return step(step.kind, x, axis=axis)  # both have ONNX's names


@writes(Clone)
def clone(step: Step, x: Value) -> Value:
    return x


# ---------------------------------------------------------------------------------- other shapes


@writes(Reshape)
def reshape(step: Step, x: Value, *, shape: tuple[int, ...]) -> Value:
    if not x.batched:
        return step("Reshape", x, step.constant(step.shape))
    step.demand_apart(x, step.shape[:1] == x.shape[:1])
    if len(step.shape) == 2:
        return step("Flatten", x, axis=1)
    return step("Reshape", x, step.constant((0, *step.shape[1:])))  # 0: as many as there are


@writes(Permute)
def permute(step: Step, x: Value, *, dims: tuple[int, ...]) -> Value:
    step.demand_apart(x, dims[0] == 0)
    return step("Transpose", x, perm=dims)


@writes(Concatenate)
def concatenate(step: Step, *arrays: Value, axis: int) -> Value:
    for x in arrays:
        step.demand_apart(x, axis != 0)
    return step("Concat", *arrays, axis=axis)


@writes(Pad)
def pad(step: Step, x: Value, *, widths: list[tuple[int, int]], value: float) -> Value:
    step.demand_apart(x, widths[0] == (0, 0))
    before, after = zip(*widths, strict=True)
    fill = step.constant(np.asarray(value, step.dtype))
    return step("Pad", x, step.constant([*before, *after]), fill)


@writes(GetItem)
def getitem(step: Step, x: Value, *, index: Any) -> Value:
    parts = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, slice) and (part.step or 1) > 0 for part in parts):
        raise step.refusal("only slices that go forward can be written")
    step.demand_apart(x, parts[0] == slice(None))
    cuts = [
        (axis, *part.indices(x.shape[axis]))
        for axis, part in enumerate(parts) if part != slice(None)
    ]
    if not cuts:
        return x
    axes, starts, ends, steps = (step.constant(column) for column in zip(*cuts, strict=True))
    return step("Slice", x, starts, ends, axes, steps)


@writes(Mean)
def reduce_mean(step: Step, x: Value, *, axes: tuple[int, ...], keepdim: bool) -> Value:
    step.demand_apart(x, 0 not in axes)
    return step("ReduceMean", x, axes=axes, keepdims=int(keepdim))


@writes(Sum)
def reduce_sum(step: Step, x: Value, *, axes: tuple[int, ...], keepdim: bool) -> Value:
    step.demand_apart(x, 0 not in axes)
    return step("ReduceSum", x, step.constant(axes), keepdims=int(keepdim))
