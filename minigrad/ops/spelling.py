"""PyTorch takes NumPy's names of arguments as well: `x.sum(axis=1, keepdims=True)`."""

from collections.abc import Callable
from functools import wraps
from typing import Any

NAMES = {"axis": "dim", "keepdims": "keepdim", "split_size_or_sections": "split_size"}


def numpys_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which also answers to `axis` for `dim` and to `keepdims` for `keepdim`."""

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        return function(*args, **{NAMES.get(name, name): v for name, v in options.items()})

    called.__module__ = "minigrad.ops"  # where pickle finds it
    return called
