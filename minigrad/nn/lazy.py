"""Lazy layers: the size of the input is not said, but seen in the first one.

Until then the parameters have a device and a dtype but no shape. At the first forward they get
their values, as the same objects, and the layer becomes a plain one in type and in print:
`LazyConv2d(96, 11)` becomes a `Conv2d`. Source: PyTorch, `torch.nn.modules.lazy`.
"""

from __future__ import annotations

from typing import Any, Self

from minigrad.autograd import no_grad
from minigrad.creation import empty
from minigrad.nn.conv import Conv2d
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.norm import BatchNorm1d, BatchNorm2d
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Size, Tensor

_SLOT: Any = vars(Tensor)["array"]  # where a Tensor keeps its array, which a property hides below


class _Uninitialized(Tensor):
    """A tensor without a shape. Until `materialize` gives it one, its array holds no element."""

    __slots__ = ()

    @property
    def array(self) -> Any:  # type: ignore[override]
        raise ValueError(
            "Attempted to use an uninitialized parameter of a lazy layer, which gets its shape "
            "from the first input: call the network with a dummy batch before"
        )

    @array.setter
    def array(self, value: Any) -> None:
        _SLOT.__set__(self, value)

    @property
    def shape(self) -> Size:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. Call the network "
            "with a dummy batch before; a state_dict made before cannot be loaded after it"
        )

    @property
    def data(self) -> Tensor:
        """Its device and dtype, in an empty tensor."""
        return Tensor(_SLOT.__get__(self))

    @data.setter
    def data(self, value: Tensor) -> None:
        self.array = value.data.array

    dtype = property(lambda self: self.data.dtype)
    device = property(lambda self: self.data.device)

    def to(self, *where: Any, **options: Any) -> Self:
        return type(self)(self.data.to(*where, **options), self.requires_grad)

    def detach(self) -> Self:
        return self

    def copy_(self, source: Any) -> Tensor:
        """Take over shape and values."""
        return self.materialize(source.shape).copy_(source)

    def materialize(self, shape: Any) -> Tensor:
        """Become a plain parameter or buffer of this shape, with any values in it."""
        self.array = empty(shape, dtype=self.dtype, device=self.device).array
        self.__class__ = Parameter if isinstance(self, Parameter) else Tensor  # type: ignore
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.data, self.requires_grad)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter of a lazy layer before the first forward."""

    __slots__ = ()


class UninitializedBuffer(_Uninitialized):
    """A buffer of a lazy layer before the first forward."""

    __slots__ = ()


class _Lazy(Module):
    """A `plain` layer without its first argument, `size`: the input's length along `axis`."""

    plain: Any
    size: str
    axis: int
    ndims: tuple[int, ...] = ()  # the numbers of dimensions that an input may have, if that matters

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(0, *args, **options)  # type: ignore[call-arg]
        for name, p in self.named_parameters(recurse=False):
            setattr(self, name, UninitializedParameter(p))
        for name, buffer in self.named_buffers(recurse=False):
            if not buffer.numel():
                setattr(self, name, UninitializedBuffer(buffer))
        self._arguments = args, options

    def reset_parameters(self) -> None:
        """There is nothing to draw yet."""

    def forward(self, input: Tensor) -> Any:
        name = type(self).__name__
        if self.ndims and input.ndim not in self.ndims:
            ndims = " or ".join(f"{n}D" for n in self.ndims)
            raise RuntimeError(
                f"Expected {ndims} input to {name}, but got input of size: {list(input.shape)}"
            )
        size = input.shape[self.axis]
        state = self.state_dict(keep_vars=True)
        waiting = {key: t for key, t in state.items() if isinstance(t, _Uninitialized)}
        if waiting:  # they are not where a state_dict was loaded
            args, options = self._arguments
            like = next(iter(waiting.values()))
            place = {"device": like.device, "dtype": like.dtype}
            drawn = self.plain(size, *args, **{**options, **place}).state_dict()
            with no_grad():
                for key, tensor in waiting.items():
                    tensor.copy_(drawn[key])
        setattr(self, self.size, size)
        del self._arguments
        self.__class__ = self.plain
        return self.forward(input)


class LazyLinear(_Lazy, Linear):
    """A Linear without `in_features`."""

    plain, size, axis = Linear, "in_features", -1


class LazyConv2d(_Lazy, Conv2d):
    """A Conv2d without `in_channels`."""

    plain, size, axis, ndims = Conv2d, "in_channels", -3, (3, 4)


class LazyBatchNorm1d(_Lazy, BatchNorm1d):
    """A BatchNorm1d without `num_features`."""

    plain, size, axis = BatchNorm1d, "num_features", 1


class LazyBatchNorm2d(_Lazy, BatchNorm2d):
    """A BatchNorm2d without `num_features`."""

    plain, size, axis = BatchNorm2d, "num_features", 1
