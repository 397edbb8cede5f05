"""Nested containers as a safetensors file: the tensors under their paths, the rest as JSON.

`{"model": net.state_dict(), "optimizer": opt.state_dict(), "epoch": 3}` becomes tensors called
"model.conv1.weight" ... and, in the file's metadata, what to make of them. Nothing but containers,
numbers and texts comes back. Used by `serialization.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.tensor import Tensor
from minigrad.utils.raw import LoadError

METADATA = "minigrad.structure"
PLAIN = (type(None), bool, int, float, str)
KINDS = {"list": list, "tuple": tuple, "set": set}


def take_apart(obj: Any) -> tuple[dict[str, Any], str]:
    """The arrays in `obj` by their paths, and all else as JSON.

    Raises:
        TypeError: there is something in it that is neither; says where.
    """
    arrays: dict[str, Any] = {}

    def part(x: Any, path: str) -> Any:
        if isinstance(x, np.generic):
            x = x.item()
        if type(x) in PLAIN:
            return x
        if isinstance(x, Tensor) or type(x) is np.ndarray or backend.is_cupy(x):
            path = path or "tensor"
            while path in arrays:  # {"a": {"b": ...}, "a.b": ...}
                path += "'"
            arrays[path] = x.array if isinstance(x, Tensor) else x
            return {"tensor" if isinstance(x, Tensor) else "array": path}
        under = f"{path}." if path else ""
        if isinstance(x, Mapping):
            items = [[part(k, f"{under}key"), part(v, f"{under}{k}")] for k, v in x.items()]
            return {"dict": items}
        for kind, container in KINDS.items():
            if type(x) is container:
                return {kind: [part(v, f"{under}{i}") for i, v in enumerate(x)]}
        where = f"under {path!r:.80} there is" if path else "this is"
        raise TypeError(
            f"[save] what can be saved is tensors, and dicts, lists, tuples, numbers and texts of "
            f"them, such as net.state_dict(); {where} an object of class {type(x).__name__}"
        )

    try:
        return arrays, json.dumps(part(obj, ""))
    except RecursionError:
        raise TypeError("[save] this contains itself, or is nested too deeply") from None


def put_together(structure: str, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `take_apart`.

    Raises:
        LoadError: the structure is not one that `take_apart` makes of these tensors.
    """

    def whole(x: Any) -> Any:
        if type(x) in PLAIN:
            return x
        ((kind, content),) = x.items()
        if kind in ("tensor", "array"):
            return tensors[content] if kind == "tensor" else tensors[content].array
        if kind == "dict":
            return {whole(key): whole(value) for key, value in content}
        return KINDS[kind](map(whole, content))

    try:
        return whole(json.loads(structure))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError(f"the structure in its metadata is damaged: {error!r:.200}") from None
