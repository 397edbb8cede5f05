"""Weights and everything else that a run needs to go on, as safetensors: no pickle, nothing that
can execute.

Two kinds of file. Weights (`last`, `best`) are what other programs read: the state_dict, and one
metadata entry "alexnet" that says, as JSON, which network they belong to and how its images were
prepared. A resume file is one snapshot of a run between two steps: model, optimizer, schedule,
random numbers and position. All are written to the side, read back, compared, and only then moved
to their place. Next: `runs.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from alexnet.errors import InputError
from minigrad import nn
from minigrad.utils.files import atomic_path
from minigrad.utils.serialization import FilePath, to_safetensors

KEY = "alexnet"  # one entry: safetensors writes several in an order that changes from run to run
SHOWN = 4  # keys that an error names before it counts the rest


def save_weights(model: nn.Module, path: FilePath, about: Mapping[str, Any]) -> str:
    """Write the model's state_dict to `path`; returns the file's SHA-256.

    `about` becomes the metadata: for `load_model` it needs `model`, `num_classes`, `in_channels`,
    and `build` where the network was built with more than these.
    The same weights and metadata give the same bytes.

    Raises:
        OSError: the file cannot be written, or did not come back as it was written.
    """
    return write(path, {key: tensor.array for key, tensor in model.state_dict().items()}, about)


def write(path: FilePath, arrays: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Arrays (NumPy's or CuPy's) and JSON-able metadata into a safetensors file; returns its
    SHA-256.

    What was written is read back and compared before it takes its place.
    """
    content = to_safetensors(arrays, {KEY: json.dumps(about)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        if temporary.read_bytes() != content:
            raise OSError(f"{path} was not written as it is: a defect of the disk")
        return sha256(temporary)


def read(path: FilePath) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the metadata of a file that `write` wrote; metadata is empty for others'
    files.

    Raises:
        InputError: there is no such file, it cannot be read, or it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path} is no safetensors file, or a damaged one: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def about_of(path: FilePath) -> dict[str, Any]:
    """What a weights file of this project says of itself; empty for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            said = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (SafetensorError, ValueError, OSError):
        return {}
    return said if isinstance(said, dict) else {}


def load_weights(model: nn.Module, path: FilePath) -> dict[str, Any]:
    """Fill `model` from a weights file, any safetensors file with its keys; returns the metadata.

    Raises:
        InputError: no readable file, or the weights of another network: says what is missing,
        unexpected
            and mis-shaped. The model is unchanged then.
    """
    arrays, about = read(path)
    differences = differences_from(model, arrays)
    if differences:
        whose = f" (it says {about['model']})" if about.get("model") else ""
        raise InputError(
            f"{path} holds the weights of another network{whose}: {'; '.join(differences)}"
        )
    model.load_state_dict(arrays)
    return about


def load_model(path: FilePath) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a weights file of this project describes, filled; and the metadata.

    Raises:
        InputError: as `load_weights`, or the file does not say which network it belongs to.
    """
    from alexnet import models

    _, about = read(path)
    if about.get("model") not in models.MODELS:
        raise InputError(
            f"{path} does not say that it belongs to a network of this project; build the network "
            "and use alexnet.checkpoint.load_weights(net, path)"
        )
    config = {key: about[key] for key in ("num_classes", "in_channels")} | about.get("build", {})
    model = models.get_model(about["model"], **config)
    return model, load_weights(model, path)


def differences_from(model: nn.Module, arrays: Mapping[str, Any]) -> list[str]:
    """Why `arrays` (anything with a shape) are not the state of `model`, in words; empty if they
    are.

    Counters of batches may be missing, as `load_state_dict` has it: older files lack them.
    """
    own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    return [
        f"{what} {_some(keys)}"
        for what, keys in (
            (
                "missing",
                [k for k in own if k not in arrays and not k.endswith("num_batches_tracked")],
            ),
            ("unexpected", [key for key in arrays if key not in own]),
            (
                "of another shape",
                [
                    f"{key} {tuple(arrays[key].shape)} instead of {shape}"
                    for key, shape in own.items()
                    if key in arrays and arrays[key].shape != shape
                ],
            ),
        )
        if keys
    ]


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def sha256(path: FilePath) -> str:
    """The SHA-256 of a file, what `sha256sum` prints."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ----------------------------------------------------------------------------------- resuming


def save_snapshot(
    path: FilePath, model: nn.Module, optimizer: Any, state: Mapping[str, Any]
) -> None:
    """Everything between two steps in one file: one file, because two could be of different
    moments.

    `state` is JSON-able: position, schedule, random numbers, sums. The optimizer's arrays are
    stored as "optimizer.<parameter>.<name>", its numbers with the state.
    """
    arrays = {f"model.{key}": tensor.array for key, tensor in model.state_dict().items()}
    numbers: dict[str, dict[str, Any]] = {}
    saved = optimizer.state_dict()
    for parameter, entries in saved["state"].items():
        for name, value in entries.items():
            if hasattr(value, "shape"):
                arrays[f"optimizer.{parameter}.{name}"] = value
            else:
                numbers.setdefault(str(parameter), {})[name] = value
    groups = {"numbers": numbers, "param_groups": saved["param_groups"]}
    write(path, arrays, {**state, "optimizer": groups})


def load_snapshot(path: FilePath, model: nn.Module, optimizer: Any) -> dict[str, Any]:
    """Put `model` and `optimizer` back to where `save_snapshot` saw them; returns the `state`.

    Raises:
        InputError: no readable file, or one of another network.
    """
    arrays, about = read(path)
    if "optimizer" not in about:
        raise InputError(f"{path} is no snapshot of a run")
    weights = {
        key.removeprefix("model."): a for key, a in arrays.items() if key.startswith("model.")
    }
    differences = differences_from(model, weights)
    if differences:
        raise InputError(f"{path} is a snapshot of another network: {'; '.join(differences)}")
    model.load_state_dict(weights)
    state: dict[str, dict[str, Any]] = {**about["optimizer"]["numbers"]}
    for key, array in arrays.items():
        if key.startswith("optimizer."):
            _, parameter, name = key.split(".", 2)
            state.setdefault(parameter, {})[name] = array
    optimizer.load_state_dict({"state": state, "param_groups": about["optimizer"]["param_groups"]})
    return about
