"""What is said where a name does not exist: that it does not, and what is near it.

Modules, Tensor and nn.Module raise a MissingName for a name that they lack. The text is made when
somebody reads it, so that `hasattr` stays as cheap as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from opcode import opmap
from types import ModuleType
from typing import Any

from minigrad import dtypes

# PyTorch's names with their nearest relatives here, where the spelling does not lead to them.
RELATIVES = {
    "conj_physical": "clone (there are no complex numbers)",
    "cdist": "(x[:, None] - y).pow(2).sum(-1).sqrt()",
    "grid_sample": "alexnet.transforms.Resize",
    "Transformer": "Linear, Softmax and Dropout, of which it is made",
    "MultiheadAttention": "Linear, Softmax and Dropout, of which it is made",
    "DataParallel": "the network itself, on one device",
    "compile": "the network itself, which runs as it is",
    "multiply": "mul",
    "divide": "div",
    "subtract": "sub",
    "ger": "outer",
    "tile": "Tensor.repeat",
    "numel": "Tensor.numel",
    "nelement": "numel",
    "rsqrt": "sqrt, pow",
    "dot": "(x * y).sum()",
    "lerp": "x + weight * (y - x)",
    "bernoulli": "(rand_like(p) < p).float()",
    "nonzero": "where(condition)",
    "median": "sort(...)",
    "upsample": "interpolate",
    "relu_": "relu(..., inplace=True)",
    "Embedding": "functional.one_hot and Linear",
    **dict.fromkeys(("vstack", "hstack"), "cat, stack"),
    **dict.fromkeys(("std_mean", "var_mean"), "std, var, mean"),
    **dict.fromkeys(("clamp_min", "clamp_max"), "clamp"),
    **dict.fromkeys(("new_zeros", "new_ones", "new_full", "new_tensor"),
                    "zeros, ones, full, tensor(..., dtype=x.dtype, device=x.device)"),
    "LongTensor": "tensor(..., dtype=int64)",
    "FloatTensor": "tensor(..., dtype=float32)",
    "Variable": "the Tensor itself",
    **dict.fromkeys(("CUDAGraph", "make_graphed_callables"), "cuda.graph(step)"),
    "max_memory_allocated": "memory_allocated, memory_reserved",
    **dict.fromkeys(("reset_peak_memory_stats", "memory_stats", "memory_summary"),
                    "memory_allocated, memory_reserved"),
    "set_device": "device='cuda:1' wherever something is made, or to('cuda:1')",
    "Stream": "nothing: everything is done in order; see Event",
    "cpu": "autocast('cpu'), GradScaler('cpu')",
    **dict.fromkeys(("custom_fwd", "custom_bwd"), "autocast(...) around what calls the Function"),
    "jit": "the network itself, which runs as it is",
    "use_deterministic_algorithms": "manual_seed, which suffices: the algorithms are deterministic",
    "LBFGS": "Adam, SGD",
    "RMSprop": "Adam, Adadelta",
    "Adagrad": "Adam, Adadelta",
    "CyclicLR": "OneCycleLR",
    "ChainedScheduler": "step() of each LRScheduler: their rates multiply",
    "WeightedRandomSampler": "SubsetRandomSampler, or any iterable of indices",
    "inception_v3": "googlenet",
    "MNIST": "FashionMNIST, with images of the same size",
    "RandAugment": "RandomResizedCrop, RandomHorizontalFlip, ColorJitter",
    "AutoAugment": "RandomResizedCrop, RandomHorizontalFlip, ColorJitter",
    **{
        f"{net}_Weights": "the keyword pretrained, which takes them from this machine"
        for net in ("AlexNet", "VGG16", "GoogLeNet", "ResNet18", "ResNet34", "ResNet50")
    },
    **dict.fromkeys(("CIFAR10", "CIFAR100", "ImageNet"), "FashionMNIST"),
    **dict.fromkeys(("densenet121", "mobilenet_v2", "efficientnet_b0"), "resnet50, googlenet"),
}


def near(missing: str, names: Callable[[], Iterable[str]]) -> str:
    """In words: what is like the `missing` name, as RELATIVES has it, or of `names()`, which may be
    paths."""
    from difflib import get_close_matches

    last: dict[str, str] = {}  # of a path its last part counts: features.0.weight is a weight
    if missing not in RELATIVES:
        for name in names():
            last.setdefault(name.rpartition(".")[2].lower(), name)
    close = get_close_matches(missing.lower(), last)
    like = ", ".join(last[part] for part in close if missing[0] == "_" or part[0] != "_")
    like = RELATIVES.get(missing, like)
    return f"near it: {like}" if like else "nothing here is near it"


class MissingName(AttributeError):
    """`what` lacks the attribute `name`; `names()` are those that it has, some of them paths."""

    name: str

    def __init__(self, what: str, name: str, names: Callable[[], Iterable[str]]) -> None:
        super().__init__(f"{what} has no attribute '{name}'", name=name)
        self.names = names

    def __str__(self) -> str:
        return f"{self.args[0]}; {near(self.name, self.names)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeError, (str(self),)


def explain_missing_names(*modules: ModuleType) -> None:
    """Give modules a `__getattr__` that raises MissingName, or ImportError for `from ... import`.

    While Python executes `from module import name`, it would put a bare ImportError of its own in
    the place of an AttributeError; that it does so is only to be seen in its caller's code.
    """
    for module in modules:
        module.__getattr__ = partial(_missing_from, module)  # type: ignore[method-assign]


def _missing_from(module: ModuleType, name: str) -> Any:
    if name == "bfloat16" and module.__name__ == "minigrad":
        return dtypes.load_bfloat16()
    names = vars(module).get("__all__", vars(module))
    error = MissingName(f"module '{module.__name__}'", name, lambda: names)
    caller = sys._getframe(1)
    if caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"]:
        raise ImportError(str(error), name=module.__name__, path=module.__file__)
    raise error
