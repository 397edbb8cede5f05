"""The base class of layers and networks: a tree that knows its parameters.

A Module sorts what is assigned to it: Parameters, buffers (tensors that are saved but not trained)
and child Modules go into three dicts, everything else is a plain attribute. Walking those dicts
gives `parameters()`, `state_dict()`, the printed form and all the rest.
Next: `linear.py`, the simplest layer, and `container.py`. Source: PyTorch, `torch.nn.Module`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from minigrad import backend, dtypes
from minigrad.autograd import no_grad
from minigrad.missing import MissingName
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Module:
    """A layer, or a network of layers. Subclasses create what they need and define `forward`:

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(784, 10)

            def forward(self, x):
                return self.fc(x.flatten(1))

    Attributes:
        training: whether in training mode; dropout and batch normalisation look at it.
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._parameters: dict[str, Parameter | None] = {}
        self._buffers: dict[str, Tensor | None] = {}
        self._modules: dict[str, Module | None] = {}
        self._non_persistent_buffers: set[str] = set()
        self._forward_pre_hooks: dict[RemovableHandle, Callable[..., Any]] = {}
        self._forward_hooks: dict[RemovableHandle, Callable[..., Any]] = {}

    # -- calling ---------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; call the module itself and not this, so that hooks run."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, between the hooks. An error gets a note that says in which layer it arose."""
        try:
            for hook in tuple(self._forward_pre_hooks.values()):
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
            output = self.forward(*args, **kwargs)
            for hook in tuple(self._forward_hooks.values()):
                changed = hook(self, args, output)
                if changed is not None:
                    output = changed
        except Exception as error:
            _note_layer(error, self, args)
            raise
        return output

    def has_hooks(self) -> bool:
        """Whether anybody looks at, or changes, what comes in or out."""
        return bool(self._forward_pre_hooks or self._forward_hooks)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns, if not None, replaces args."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; a result replaces the output."""
        return RemovableHandle(self._forward_hooks, hook)

    # -- attributes ------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None keeps the name of one that this instance lacks, such as a bias.

        Raises:
            TypeError: `param` is neither.
            KeyError: `name` is empty, contains a dot, or is an attribute already.
        """
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not trained, such as a running mean.

        It moves with the module; if not `persistent` it is left out of the state_dict. Raises as
        `register_parameter`.
        """
        self._register("_buffers", name, tensor)
        if not persistent:
            self._non_persistent_buffers.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child. Raises as `register_parameter`."""
        self._register("_modules", name, module)

    add_module = register_module

    def _register(self, kind: str, name: str, value: Any) -> None:
        registry = self.__dict__.get(kind)
        if registry is None:
            raise AttributeError(f"cannot assign {kind[1:-1]} before Module.__init__() call")
        if not name or "." in name:
            raise KeyError(f"{kind[1:-1]} name can't be empty or contain \".\", got: {name!r}")
        if name not in registry and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        _check_kind(kind, name, value)
        registry[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        for kind in ("_parameters", "_modules"):
            if isinstance(value, _KINDS[kind]):
                for other in (self.__dict__, *(self.__dict__.get(k, {}) for k in _KINDS)):
                    if other is not self.__dict__.get(kind):  # there it keeps its place in line
                        other.pop(name, None)
                self._register(kind, name, value)
                return
        for kind in _KINDS:
            if name in self.__dict__.get(kind, ()):  # a Parameter cannot become a number
                _check_kind(kind, name, value)
                self.__dict__[kind][name] = value
                return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:  # called where no plain attribute was found
        for kind in _KINDS:
            registry = self.__dict__.get(kind, ())
            if name in registry:
                return registry[name]
        raise MissingName(f"'{type(self).__name__}' object", name, lambda: _names(self))

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__[kind]:
                del self.__dict__[kind][name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for k in _KINDS for name in self.__dict__[k])})

    # -- walking the tree ------------------------------------------------------------------------

    def named_modules(
        self,
        memo: set[Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths ("features.0"), parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below this one."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules right below this one, without their names."""
        return (module for _, module in self.named_children())

    def get_submodule(self, target: str) -> Module:
        """The module with the path `target`; "" is this one. Raises AttributeError if none is."""
        module: Any = self
        for name in target.split(".") if target else []:
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths ("features.0.weight"); a shared one appears once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, for an optimizer."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths; a shared one appears once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules: Iterable[tuple[str, Module]] = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen = set()
        for path, module in modules:
            for name, member in module.__dict__[registry].items():
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield f"{path}.{name}" if path else name, member

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on all modules below and then on this one: `net.apply(init_weights)`."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # -- modes, gradients, devices ---------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all below it to training mode (or to evaluation)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation: no dropout, and batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze or unfreeze all parameters."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros if `set_to_none` is False."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.zero_()

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move everything to a device, or to a floating-point dtype: arguments as `Tensor.to`.

        Parameters stay the same objects, so an optimizer that was made before keeps working.
        Integer buffers move but keep their dtype.

        Raises:
            TypeError: the dtype is not a floating-point one.
        """

        def convert(tensor: Tensor) -> Tensor:
            result = tensor.to(*args, **kwargs)
            if not result.is_floating_point() and result.dtype != tensor.dtype:
                raise TypeError(
                    "nn.Module.to only accepts floating point dtypes, "
                    f"but got desired dtype={result.dtype}"
                )
            return result if tensor.is_floating_point() else tensor.to(result.device)

        with no_grad():
            for module in self.modules():
                for p in module.parameters(recurse=False):
                    p.data = convert(p)
                    if p.grad is not None:
                        p.grad = convert(p.grad)
                for name, buffer in module.named_buffers(recurse=False):
                    module._buffers[name] = convert(buffer)
        return self

    def cpu(self) -> Self:
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> Self:
        return self.to(f"cuda:{device}" if isinstance(device, int) else device)

    def half(self) -> Self:
        return self.to(np.float16)

    def bfloat16(self) -> Self:
        return self.to(dtypes.load_bfloat16())

    def float(self) -> Self:
        return self.to(np.float32)

    def double(self) -> Self:
        return self.to(np.float64)

    # -- state -----------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by path, in PyTorch's order.

        The tensors share memory with the module's. `keep_vars` gives the Parameters themselves;
        a `prefix` such as "net." goes before every key.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(remove_duplicate=False):
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and name not in module._non_persistent_buffers:
                    key = f"{prefix}{path}.{name}" if path else prefix + name
                    state[key] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values by path: Tensors, or NumPy arrays. All of them or, if any is wrong, none.

        Args:
            strict: missing and unexpected keys are errors; otherwise they are only returned.
                Wrong shapes are always errors.

        Raises:
            TypeError: `state_dict` is no mapping.
            RuntimeError: lists the missing, unexpected and mis-shaped keys.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = self.state_dict(keep_vars=True)
        # Files older than PyTorch 0.4.1 do not count batches, and PyTorch does not mind either.
        missing = [
            key for key in own if key not in state_dict and not key.endswith("num_batches_tracked")
        ]
        unexpected = [key for key in state_dict if key not in own]
        problems = []
        for what, keys in (("Missing", missing), ("Unexpected", unexpected)):
            if strict and keys:
                quoted = ", ".join(f'"{key}"' for key in keys)
                problems.append(f"{what} key(s) in state_dict: {quoted}. ")
        copies = []
        for key in own:
            if key not in state_dict:
                continue
            array = _array_of(state_dict[key])
            if array.dtype.kind not in "biuf" and not dtypes.is_half(array.dtype):
                problems.append(
                    f'While copying the parameter named "{key}", expected a tensor or an array of '
                    f"numbers but received {type(state_dict[key])}"
                )
            elif not hasattr(own[key], "materialize") and array.shape != own[key].shape:  # not lazy
                problems.append(
                    f"size mismatch for {key}: copying a param with shape {tuple(array.shape)} "
                    f"from checkpoint, the shape in current model is {tuple(own[key].shape)}."
                )
            else:
                copies.append((own[key], Tensor(array.astype(own[key].dtype, copy=False))))
        if problems:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(problems)
            )
        with no_grad():
            for tensor, value in copies:
                tensor.copy_(value)
        return IncompatibleKeys(missing, unexpected)

    # -- printed ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments in the printed form, such as `3, 64, kernel_size=(3, 3)`."""
        return ""

    def __repr__(self) -> str:
        lines = self.extra_repr().splitlines()
        if len(lines) > 1 or self._modules:
            lines += [f"({name}): {module!r}" for name, module in self._modules.items()]
            body = "\n".join(lines).replace("\n", "\n  ")
            return f"{type(self).__name__}(\n  {body}\n)"
        return f"{type(self).__name__}({''.join(lines)})"


_KINDS: dict[str, type] = {"_parameters": Parameter, "_buffers": Tensor, "_modules": Module}


def _check_kind(kind: str, name: str, value: Any) -> None:
    if value is not None and not isinstance(value, _KINDS[kind]):
        raise TypeError(
            f"cannot assign '{type(value).__name__}' as {kind[1:-1]} '{name}' "
            f"({_KINDS[kind].__name__} or None expected)"
        )


def _names(module: Module) -> list[str]:
    """Its attributes, and the paths of all modules and tensors below it."""
    if "_modules" not in module.__dict__:
        return []  # before Module.__init__()
    below = (path for path, _ in module.named_modules())
    return [*dir(module), *below, *module.state_dict(keep_vars=True)]


class RemovableHandle:
    """Takes a hook off again, by `remove()` or at the end of a `with` block."""

    def __init__(
        self, hooks: dict[RemovableHandle, Callable[..., Any]], hook: Callable[..., Any]
    ) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        self._hooks.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find, and what it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


def _array_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.array
    return value if backend.is_cupy(value) else np.asarray(value)


def _note_layer(error: Exception, module: Module, args: tuple[Any, ...]) -> None:
    """Say once where `error` arose: "in features.3 (Conv2d), input (32, 64, 0, 0)".

    The error passes every module around the failing layer on its way out. The innermost leaves the
    layer on the error, and each one further out, which sees a longer path, words the note anew.
    """
    layer, shapes, note = getattr(error, "_layer", (module, _shapes(args), ""))
    path = next((path for path, m in module.named_modules() if m is layer), None)
    if path is None:  # made on the fly: the tree has no name for it, but for its maker
        layer, shapes, path = module, _shapes(args), ""
    notes = getattr(error, "__notes__", [])
    if note in notes:
        notes.remove(note)
    name = type(layer).__name__
    note = f"in {path} ({name}){shapes}" if path else f"in {name}{shapes}"
    error.add_note(note)
    error._layer = (layer, shapes, note)  # type: ignore[attr-defined]


def _shapes(args: tuple[Any, ...]) -> str:
    shapes = [str(tuple(arg.shape)) for arg in args if isinstance(arg, Tensor)]
    return f", input {', '.join(shapes)}" if shapes else ""
