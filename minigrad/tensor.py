"""What users hold: an array, and how it came to be.

A Tensor owns no mathematics. Its operators and methods are one-line calls into `ops/`, where each
operation stands with its derivative; `backward` is one call into `autograd.py`. Names, semantics
and error texts are PyTorch's, with one addition: `.array` is the raw NumPy or CuPy array.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad import backend, dtypes
from minigrad.backend import Array, Device
from minigrad.missing import MissingName
from minigrad.operators import Operators


class _Version:
    """Counts the in-place changes of one piece of memory; views share it with their base."""

    __slots__ = ("count", "recorded")

    def __init__(self) -> None:
        self.count = 0  # all changes: an array that backward saved must not see another
        self.recorded = 0  # those made with a history: every other view's history is then stale


class Tensor(Operators):
    """A multi-dimensional array that can record how it was computed.

    Args:
        array: a NumPy or CuPy array (used as it is, not copied), or what `tensor()` accepts.
        requires_grad: whether `backward` shall accumulate a gradient into `.grad`.

    Raises:
        TypeError: the array's dtype is none of `dtypes.SUPPORTED`.
        RuntimeError: requires_grad for a dtype that is not floating point.
    """

    __slots__ = (
        "__weakref__", "_recorded", "_version", "array", "grad", "grad_fn", "requires_grad",
    )
    __array_ufunc__ = None  # `ndarray * Tensor` asks Tensor, instead of building an object array
    __array_priority__ = 1000

    array: Array
    grad: Tensor | None
    grad_fn: Any
    requires_grad: builtins.bool

    def __init__(self, array: Any, requires_grad: builtins.bool = False) -> None:
        if not (type(array) is np.ndarray or backend.is_cupy(array)):
            array = array_from(array)
        if not dtypes.is_supported(array.dtype):
            raise TypeError(
                f"a Tensor cannot hold dtype {array.dtype}: supported are "
                + ", ".join(sorted(map(str, dtypes.SUPPORTED)))
            )
        self.array = array
        self.grad = None
        self.grad_fn = None
        self.requires_grad = False
        self._version = _Version()
        self._recorded = 0  # the version that this tensor's history describes
        if requires_grad:
            self.requires_grad_()

    # -- what it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def device(self) -> Device:
        return backend.device_of(self.array)

    @property
    def ndim(self) -> builtins.int:
        return self.array.ndim

    @property
    def is_leaf(self) -> builtins.bool:
        return self.grad_fn is None

    @property
    def is_cuda(self) -> builtins.bool:
        return self.device.type == "cuda"

    @property
    def data(self) -> Tensor:
        """The same memory without history; assigning replaces the array."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self.array = value.array if isinstance(value, Tensor) else array_from(value)
        self._version = value._version if isinstance(value, Tensor) else _Version()

    @property
    def T(self) -> Tensor:
        return ops.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        return ops.transpose(self, -2, -1)

    def size(self, dim: builtins.int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> builtins.int:
        return self.array.ndim

    def numel(self) -> builtins.int:
        return self.array.size

    def element_size(self) -> builtins.int:
        return self.array.itemsize

    def is_floating_point(self) -> builtins.bool:
        return dtypes.is_floating_point(self.dtype)

    def is_contiguous(self) -> builtins.bool:
        return self.array.flags.c_contiguous

    def __len__(self) -> builtins.int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> builtins.int:
        return id(self)

    def __repr__(self) -> str:
        from minigrad import printing

        return printing.tensor_repr(self)

    def __getattr__(self, name: str) -> Any:  # called where there is no such attribute
        raise MissingName(f"'{type(self).__name__}' object", name, lambda: dir(self))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.ndim else format(repr(self), spec)

    # -- its values, elsewhere -------------------------------------------------------------------

    def item(self) -> Any:
        """The one value as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar"
            )
        return self.array.item()

    def tolist(self) -> Any:
        return self.array.tolist()

    def numpy(self) -> np.ndarray:
        """The NumPy array itself: it shares memory with the tensor."""
        if self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        if self.is_cuda:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self.array

    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __bool__(self) -> builtins.bool:
        if self.array.size != 1:
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return builtins.bool(self.item())

    def __float__(self) -> builtins.float:
        return builtins.float(self.item())

    def __int__(self) -> builtins.int:
        return builtins.int(self.item())

    def __index__(self) -> builtins.int:
        if self.dtype.kind not in "iu" or self.array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return builtins.int(self.item())

    def type(self, dtype: np.dtype) -> Tensor:
        return ops.to(self, dtype)

    def cpu(self) -> Tensor:
        return ops.to(self, "cpu")

    def cuda(self, device: Any = "cuda") -> Tensor:
        return ops.to(self, f"cuda:{device}" if isinstance(device, builtins.int) else device)

    def half(self) -> Tensor:
        return ops.to(self, dtypes.float16)

    def bfloat16(self) -> Tensor:
        return ops.to(self, dtypes.load_bfloat16())

    def float(self) -> Tensor:
        return ops.to(self, dtypes.float32)

    def double(self) -> Tensor:
        return ops.to(self, dtypes.float64)

    def long(self) -> Tensor:
        return ops.to(self, dtypes.int64)

    def int(self) -> Tensor:
        return ops.to(self, dtypes.int32)

    def bool(self) -> Tensor:
        return ops.to(self, dtypes.bool)

    def contiguous(self) -> Tensor:
        return self if self.is_contiguous() else ops.clone(self)

    # -- history ---------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: builtins.bool = True) -> Tensor:
        """Start, or stop, to record what happens to this leaf."""
        if not self.is_leaf and not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables: "
                "use detach() to take a computed tensor out of the graph"
            )
        if requires_grad and not dtypes.is_floating_point(self.dtype):
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, not {self.dtype}"
            )
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same memory without history."""
        result = Tensor(self.array)
        result._version, result._recorded = self._version, self._version.recorded
        return result

    def retain_grad(self) -> None:
        """Keep `.grad` although this tensor is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if not self.is_leaf:
            autograd.retain_grad(self)

    def backward(
        self, gradient: Any = None, retain_graph: builtins.bool = False,
        create_graph: builtins.bool = False,
    ) -> None:  # fmt: skip
        """Accumulate d(self)/d(leaf) into the `.grad` of every leaf that this was computed from.

        Args:
            gradient: weights of this tensor's elements, of its shape; needed unless it has one.
            retain_graph: keep what the graph saved, for another backward through it.

        Raises:
            NotImplementedError: `create_graph`, which is for derivatives of derivatives.
            RuntimeError: nothing here requires a gradient, the shape of `gradient` is wrong, the
                graph was freed already, or a saved array was changed in place.
        """
        if create_graph:
            raise NotImplementedError("[backward] create_graph: there are only first derivatives")
        if not self.requires_grad:
            raise RuntimeError(
                "this tensor does not require grad and does not have a grad_fn: was it computed "
                "under no_grad(), or from nothing with requires_grad=True?"
            )
        if gradient is None:
            if self.array.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs, not for shape "
                    f"{tuple(self.shape)}: call .sum() or .mean() first, or pass gradient="
                )
            g = backend.array_module(self.array).ones_like(self.array)
        else:
            g = gradient.array if isinstance(gradient, Tensor) else array_from(gradient)
            g = backend.to_device(g, self.device).astype(self.dtype, copy=False)
        if g.shape != self.array.shape:
            raise RuntimeError(
                f"gradient has shape {g.shape}, but this tensor has shape {tuple(self.shape)}"
            )
        autograd.backward(self, g, retain_graph)

    # -- in place --------------------------------------------------------------------------------

    def _view_of(self, base: Tensor) -> None:
        """Share `base`'s version, as this tensor shares its memory."""
        if backend.array_module(self.array).may_share_memory(self.array, base.array):
            self._version, self._recorded = base._version, base._version.recorded

    def _inplace(self, result: Tensor) -> Tensor:
        """Take over `result`: its values into this memory, its history into this tensor."""
        if result.array.shape != self.array.shape:
            raise RuntimeError(
                f"output with shape {tuple(self.shape)} doesn't match the broadcast shape "
                f"{tuple(result.shape)}"
            )
        if result.dtype != self.dtype:
            if not dtypes.can_cast(result.dtype, self.dtype):
                raise RuntimeError(f"result type {result.dtype} can't be cast to {self.dtype}")
            result = ops.to(result, self.dtype)
        recording = self._check_writable(self.requires_grad or result.requires_grad)
        written = result.array is self.array  # by a kernel that works in place
        if recording and result.grad_fn is not None:
            result.grad_fn._before_overwriting(self, written)
        if not written:
            self.array[...] = result.array
        self._version.count += 1
        if recording:
            self._version.recorded += 1
            self._recorded = self._version.recorded
            self.grad_fn, self.requires_grad = result.grad_fn, result.requires_grad
            if self.grad_fn is not None:
                self.grad_fn._output_moved(result, self)
        return self

    def _check_writable(self, requires_grad: builtins.bool) -> builtins.bool:
        """Whether to record that this tensor is changed in place.

        Raises:
            RuntimeError: it must not be.
        """
        recording = autograd.is_grad_enabled() and requires_grad
        if recording and self._writes_to_leaf():
            raise RuntimeError(
                "a leaf Variable that requires grad (or a view of one) is being used in an "
                "in-place operation: do it under no_grad(), or compute a new tensor"
            )
        shape, steps = self.array.shape, self.array.strides
        if 0 in steps and self.numel() and any(  # empty ones have steps 0
            n > 1 and not step for n, step in zip(shape, steps, strict=True)
        ):
            raise RuntimeError(
                "an expanded tensor holds one number for many elements: clone() it to write to it"
            )
        return recording

    def _writes_to_leaf(self) -> builtins.bool:
        origin = self.grad_fn
        while isinstance(origin, autograd.Function) and origin.is_view:
            origin = origin.edges[0]
        return self.requires_grad and not isinstance(origin, autograd.Function)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._inplace(ops.index_put(self, index, value))

    def copy_(self, source: Any) -> Tensor:
        source = source if isinstance(source, Tensor) else Tensor(array_from(source))
        return self._inplace(ops.expand(ops.to(source, self.device, self.dtype), self.shape))

    def fill_(self, value: Any) -> Tensor:
        if isinstance(value, (builtins.int, builtins.float)):  # made there, and not copied there
            with backend.use_device_of(self.array):
                value = Tensor(backend.array_module(self.array).full((), value))
        return self.copy_(value)

    def zero_(self) -> Tensor:
        return self.fill_(0)

    def normal_(self, mean: builtins.float = 0.0, std: builtins.float = 1.0) -> Tensor:
        generator = backend.generator(self.device)
        return self.copy_(Tensor(generator.standard_normal(self.shape) * std + mean))

    def uniform_(self, low: builtins.float = 0.0, high: builtins.float = 1.0) -> Tensor:
        generator = backend.generator(self.device)
        return self.copy_(Tensor(generator.random(self.shape) * (high - low) + low))


class Size(tuple):
    """A shape: a tuple of ints that prints as `Size([2, 3])` and counts its elements."""

    __slots__ = ()

    def numel(self) -> int:
        return math.prod(self)

    def __repr__(self) -> str:
        return f"Size({list(self)})"


def array_from(data: Any, dtype: Any = None) -> Array:
    """An array of numbers, nested lists, or anything that NumPy understands.

    Python floats become float32 and integers int64; an array keeps its dtype.
    """
    if isinstance(data, Tensor):
        data = data.array
    if backend.is_cupy(data):
        return data if dtype is None else data.astype(dtype, copy=False)
    if dtype is not None or isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(data, dtype)
    try:
        array = np.asarray(_plain(data))
    except ValueError:
        raise ValueError(
            f"cannot make a tensor of this {type(data).__name__}: its rows differ in length"
        ) from None
    if array.dtype.kind in "iu":
        return array.astype(dtypes.int64)
    return array.astype(dtypes.DEFAULT) if array.dtype.kind == "f" or not array.size else array


def _plain(data: Any) -> Any:
    """Nested sequences with the tensors in them turned into lists."""
    if isinstance(data, Tensor):
        return data.tolist()
    return [_plain(item) for item in data] if isinstance(data, (list, tuple)) else data


# Operations are made of Tensors, and Tensors call operations: the circle closes here.
from minigrad import autograd, ops  # noqa: E402
