"""What all optimizers share: groups of parameters, their options, and a state to be saved.

An optimizer is told how to update one parameter, or all of a device at once (`sgd.py` and
`adam.py`, each with its formula); everything else is bookkeeping, and it is all here. Source:
PyTorch, `torch.optim.Optimizer`.
"""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from minigrad import backend, kernels
from minigrad.autograd import enable_grad
from minigrad.backend import Array, Device
from minigrad.tensor import Tensor


class Optimizer:
    """Updates parameters by their gradients. Subclasses define `_update` or `_update_all`.

    Attributes:
        param_groups: a list of dicts; "params" is the list of parameters, the other entries are
            the options they are updated with ("lr", "weight_decay", ...).
        state: for each parameter what the optimizer remembers about it: arrays of the parameter's
            shape on its device, and numbers.
        skip: a number on the parameters' device (float32, shape ()), or None: a step changes
            nothing where it is not 0. So a gradient that is not finite need not be waited for.

    Args:
        params: parameters, or dicts {"params": parameters, **options of this group}.
        defaults: the options of groups that do not set their own.

    Raises:
        TypeError: `params` is a single tensor, is unordered, or holds something other than tensors.
        ValueError: there are no parameters, one is not a leaf, or one is in two groups.
    """

    skip: Array | None = None

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._live: dict[Device, Callable[[], Any]] = {}
        if isinstance(params, (set, frozenset)):
            params = [{"params": params}]  # add_param_group says what is wrong with that
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize further parameters, with options of their own.

        Raises:
            TypeError, ValueError: as the constructor.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters", stacklevel=3
            )
        if not set(params).isdisjoint(self._parameters()):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, in place.

        `closure`, if given, computes the loss anew beforehand; `step` returns what it returns.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        by_device: dict[Device, list[tuple[Tensor, Array, int]]] = defaultdict(list)
        for i, group in enumerate(self.param_groups):
            for p in group["params"]:
                if p.grad is not None:
                    by_device[p.device].append((p, p.grad.array, i))
        for here in by_device.values():
            params, gs, groups = zip(*here, strict=True)
            with backend.use_device_of(gs[0]):
                self._update_all(params, gs, groups)
            for p in params:
                p._version.count += 1  # a graph that saved the old values must notice
        return loss

    def _update_all(
        self, params: Sequence[Tensor], gs: Sequence[Array], groups: Sequence[int]
    ) -> None:
        """Change the parameters of one device; `groups` are the numbers of their groups. Here, one
        after the other, after a look at `skip`, for which a GPU is waited for."""
        if self.skip is not None and self.skip:
            return
        for p, g, i in zip(params, gs, groups, strict=True):
            self._update(p.array, g, self.state[p], self.param_groups[i])

    def _update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the parameter `p`, which has the gradient `g`, and its `state`, in place."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to update a parameter")

    def _options(self, params: Sequence[Tensor]) -> Any:
        """`_numbers` of every group, as the kernels of this device take them."""
        device = params[0].device
        if device not in self._live:
            self._live[device] = kernels.of(params[0].array).live(self._all_numbers)
        return self._live[device]()

    def _all_numbers(self) -> list[list[float]]:
        return [[float(number) for number in self._numbers(group)] for group in self.param_groups]

    def _numbers(self, group: dict[str, Any]) -> Sequence[float]:
        """What the kernel must know of a group, in its order."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its kernel takes")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros if `set_to_none` is False."""
        for p in self._parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with parameters replaced by their position.

        {"state": {0: {"exp_avg": array, "step": array(3), ...}, ...},
         "param_groups": [{"lr": 0.1, ..., "params": [0, 1]}, ...]}

        The arrays are the optimizer's own, not copies: write them out before the next step.
        """
        position = {p: i for i, p in enumerate(self._parameters())}
        return {
            "state": {position[p]: dict(state) for p, state in self.state.items()},
            "param_groups": [
                {**group, "params": [position[p] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; arrays are copied to the parameters' devices.

        Raises:
            ValueError: the groups or an array's shape do not match; nothing is changed then.
        """
        loaded = state_dict["param_groups"]
        if len(loaded) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(new["params"]) != len(group["params"])
            for new, group in zip(loaded, self.param_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        positions = chain.from_iterable(group["params"] for group in loaded)
        parameter = dict(zip(positions, self._parameters(), strict=True))
        state = {
            parameter[int(i)]: {
                name: _like(value, parameter[int(i)], name) for name, value in entries.items()
            }
            for i, entries in state_dict["state"].items()
        }
        self.state = defaultdict(dict, state)
        self._live.clear()  # a captured step that works on the old state must notice
        for group, new in zip(self.param_groups, loaded, strict=True):
            group.update(copy.deepcopy({k: v for k, v in new.items() if k != "params"}))

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
            lines.append("")
        return "\n".join([*lines[:-1], ")"])


def check_at_least_zero(name: str, value: float) -> None:
    """Raises ValueError, in PyTorch's words, where an option is negative (or not a number)."""
    if not value >= 0:
        raise ValueError(f"Invalid {name}: {value}")


def zeros_like(p: Array) -> Array:
    """Zeros of the shape, dtype and device of `p`, contiguous."""
    with backend.use_device_of(p):
        return kernels.of(p).zeros(p.shape, p.dtype)


def _like(value: Any, p: Tensor, name: str) -> Any:
    """A loaded state entry as this parameter's optimizer keeps it; PyTorch keeps tensors."""
    value = value.array if isinstance(value, Tensor) else value
    if name == "step":
        with backend.use_device_of(p.array):
            count = kernels.of(p.array).counter()
            count += int(value)
        return count
    if not hasattr(value, "shape"):
        return value
    if tuple(value.shape) != tuple(p.shape):
        raise ValueError(
            f"loaded state dict holds {name!r} of shape {tuple(value.shape)} for a parameter of "
            f"shape {tuple(p.shape)}: it belongs to another network"
        )
    entry = zeros_like(p.array)
    entry[...] = backend.to_device(value, p.device)
    return entry
