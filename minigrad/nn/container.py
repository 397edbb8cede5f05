"""Modules made of modules: one after the other, or in a list or dict that `forward` picks from."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import partial, reduce
from itertools import groupby, pairwise
from typing import Any, Self

from minigrad.nn.activation import ReLU
from minigrad.nn.conv import Conv2d
from minigrad.nn.functional.fused import bias_relu, bias_relu_max_pool2d
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.pool import MaxPool2d
from minigrad.ops import linear


class _Numbered(Module):
    """What Sequential and ModuleList share: children under the names "0", "1", ..."""

    def _name(self, index: int) -> str:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index {position} is out of range")
        return list(self._modules)[position]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._part(index)
        return self._modules[self._name(index)]

    def _part(self, part: slice) -> Module:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [self._name(index)]:
            delattr(self, name)
        self._renumber(list(self._modules.values()))

    def _renumber(self, modules: list[Any]) -> None:
        self._modules.clear()
        self._modules.update((str(i), module) for i, module in enumerate(modules))

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before position `index`."""
        self.append(module)
        *modules, last = self._modules.values()
        modules.insert(index, last)
        self._renumber(modules)
        return self


class Sequential(_Numbered):
    """Each module's output is the next one's input: `Sequential(Conv2d(1, 8, 3), ReLU())`.

    Takes modules, or one OrderedDict of names and modules. Indexing gives a module, slicing
    another Sequential of the same modules under their names.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, input: Any) -> Any:
        modules = _pool_first(list(self))
        for module in _in_one_pass(modules) if getattr(input, "is_cuda", False) else modules:
            input = module(input)
        return input

    def __add__(self, other: Sequential) -> Sequential:
        """The modules of both, numbered anew."""
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def _part(self, part: slice) -> Sequential:
        return type(self)(OrderedDict(list(self._modules.items())[part]))


def _pool_first(modules: list[Module]) -> list[Module]:
    """The modules in the order in which they run: a ReLU after the max-pool that follows it.

    Both orders give the same numbers: no number overtakes another in a ReLU. So do the gradients,
    for where the order of a tie could matter, at 0 and below, a ReLU passes none. But a pool leaves
    a fraction of the numbers to rectify, and to keep for backward. Where a hook looks on, and at
    the start, where a ReLU in place would change what the caller has, the order is that of the
    listing.
    """
    for i, (relu, pool) in enumerate(pairwise(modules)):
        if (
            type(relu) is ReLU and type(pool) is MaxPool2d and not pool.return_indices and i > 0
            and not relu.has_hooks() and not pool.has_hooks()
        ):
            modules[i : i + 2] = pool, relu
    return modules


def _in_one_pass(modules: list[Any]) -> list[Any]:
    """The modules, on a GPU: a bias waits for the ReLU behind it, and for a pool between the two.

    There a pass over what a layer left takes longer than the arithmetic. Where a hook looks on, the
    modules stay apart.
    """
    for i in reversed(range(len(modules) - 1)):
        layer, *rest = modules[i : i + 3]
        pools = [m for m in rest[:1] if type(m) is MaxPool2d and type(layer) is Conv2d]
        relu = rest[len(pools)] if len(rest) > len(pools) else None
        if (
            type(layer) in (Conv2d, Linear) and layer.bias is not None and type(relu) is ReLU
            and not any(m.has_hooks() or getattr(m, "return_indices", False)
                        for m in (layer, *pools, relu))
        ):
            modules[i : i + 2 + len(pools)] = [partial(_bias_last, layer, pools, relu)]
    return modules


def _bias_last(layer: Any, pools: list[MaxPool2d], relu: ReLU, input: Any) -> Any:
    """The layer, the pool if there is one, and the ReLU."""
    convolves = type(layer) is Conv2d
    if input.ndim != (4 if convolves else 2):
        return reduce(lambda x, module: module(x), (layer, *pools, relu), input)
    y = layer.convolve(input, None) if convolves else linear(input, layer.weight)
    for p in pools:
        return bias_relu_max_pool2d(
            y, layer.bias, p.kernel_size, p.stride, p.padding, p.dilation, p.ceil_mode
        )
    return bias_relu(y, layer.bias)


class ModuleList(_Numbered):
    """A list whose modules are children, for a `forward` that loops over them."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _part(self, part: slice) -> ModuleList:
        return type(self)(list(self)[part])

    def __repr__(self) -> str:
        """As Module's, with equal neighbours on one line: `(0-3): 4 x Linear(...)`."""
        lines, first = [], 0
        for text, group in groupby(map(repr, self)):
            last = first + len(list(group)) - 1
            repeated = f"({first}-{last}): {last - first + 1} x {text}"
            lines.append(repeated if last > first else f"({first}): {text}")
            first = last + 1
        body = "".join(f"\n{line}" for line in lines).replace("\n", "\n  ")
        return f"{type(self).__name__}({body}\n)" if lines else f"{type(self).__name__}()"


class ModuleDict(Module):
    """A dict whose modules are children, for a `forward` that picks one by name."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace modules."""
        for name, module in modules.items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def keys(self) -> KeysView[str]:
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        return self._modules.items()
