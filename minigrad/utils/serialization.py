"""`save` and `load`: tensors on a disk, under PyTorch's two names, and no code among them.

`torch.save` writes pickles, which are programs. Here `save` writes safetensors whatever the suffix,
and `load` reads safetensors, NumPy's .npz, and both formats of PyTorch's .pth; the content decides
which it is. Next: `structure.py`, and `pth.py`, where programs are read and not run.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from os import PathLike
from typing import IO, Any

import numpy as np

from minigrad import backend
from minigrad.backend import Device
from minigrad.tensor import Tensor
from minigrad.utils import structure
from minigrad.utils.files import atomic_path
from minigrad.utils.raw import DTYPES, LoadError, decode

FilePath = str | PathLike[str]


def save(obj: Any, f: FilePath | IO[bytes]) -> None:
    """Write a state_dict, `mg.save(net.state_dict(), "net.pth")`, or a checkpoint of several.

    What can be written are dicts, lists, tuples and sets of tensors, numbers and texts.

    The file is a safetensors file, whatever its suffix; `load` reads it, and in PyTorch
    `safetensors.torch.load_file`, which sees the tensors alone. PyTorch would write a pickle, which
    can hold any object and run any code when it is read. An older file at this path is there until
    the new one is complete. Tensors that share memory are written once each; the names of a
    state_dict come back sorted.

    Args:
        f: a path, or a file that is open for writing bytes.

    Raises:
        TypeError: there is something else in `obj`.
        ValueError: a tensor is called "__metadata__".
        OSError: the file cannot be written.
    """
    if isinstance(obj, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in obj.items()
    ):
        content = to_safetensors({key: tensor.array for key, tensor in obj.items()})
    else:
        arrays, rest = structure.take_apart(obj)
        content = to_safetensors(arrays, {structure.METADATA: rest})
    if isinstance(f, (str, PathLike)):
        with atomic_path(f) as temporary:
            temporary.write_bytes(content)
    else:
        f.write(content)


def load(
    f: FilePath | IO[bytes],
    map_location: str | Device | None = None,
    weights_only: bool = True,
) -> Any:
    """What is in a safetensors, .npz or .pth file; nothing in it is executed.

    The first two give a dict of tensors, or what `save` here was given. A .pth gives what was
    saved: tensors, Parameters, and dicts, lists, tuples, sets, numbers and texts of them; tensors
    share memory as they did where the file was written. bfloat16 becomes float32, exactly, so
    that every file can be read without ml_dtypes; `load_state_dict` makes of it what it needs.

    Args:
        f: a path, or a file that is open for reading bytes.
        map_location: the device for the tensors. None is the CPU, and not, as in PyTorch, the
            device where they were; functions and dicts are not taken.
        weights_only: only True: there is no way to run what is in the file.

    Raises:
        LoadError: a ValueError: the file is damaged, holds something else than weights, or
            something of another kind of numbers; says where, and how to convert it.
        TypeError, ValueError: an argument that is not supported.
        OSError: the file cannot be read.
    """
    if not weights_only:
        raise ValueError("[load] weights_only=False would run the code in the file: never here")
    if not isinstance(map_location, (str, Device, type(None))):
        raise TypeError(
            f"[load] map_location is a device such as 'cpu', not a {type(map_location).__name__}"
        )
    device = Device(map_location or backend.CPU)
    named = isinstance(f, (str, PathLike))
    with open(f, "rb") if named else io.BytesIO(f.read()) as file:  # type: ignore[arg-type, union-attr]
        try:
            loaded, tensors = _read(file)
        except LoadError as error:
            raise LoadError(f"[load] {f if named else 'the file'}: {error}") from None
    for tensor in tensors:
        tensor.data = Tensor(backend.to_device(tensor.array, device))
    return loaded


def _read(file: IO[bytes]) -> tuple[Any, list[Tensor]]:
    from minigrad.utils import archive, npz, pth  # here, for most programs load nothing

    head = file.read(512)
    file.seek(0)
    if head.startswith(b"PK"):
        records = archive.Archive(file)
        if any(name.endswith("/data.pkl") for name in records.records):
            return pth.read_zip(records)
        arrays = npz.read_npz(records)
    elif head[8:9] == b"{":
        content = file.read()
        arrays = _read_safetensors(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        rest = header.get("__metadata__", {}).get(structure.METADATA)
        if rest is not None:
            return structure.put_together(rest, arrays), list(arrays.values())
    elif head.startswith(b"\x80"):
        return pth.read_stream(file)
    elif head[257:262] == b"ustar":
        raise LoadError(f"a tar, PyTorch's oldest format, is not read; {pth.CONVERT}")
    else:
        raise LoadError(f"neither safetensors nor .npz nor .pth; it begins with {head[:16]!r}")
    return arrays, list(arrays.values())


def _read_safetensors(content: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError, deserialize

    try:
        records = deserialize(content)
    except SafetensorError as error:
        raise LoadError(f"a damaged safetensors file: {error}") from None
    tensors = {}
    for key, record in sorted(records, key=lambda named: named[0]):  # they come in any order
        if record["dtype"] not in DTYPES:
            raise LoadError(
                f"{key!r:.80} holds {record['dtype']}; supported are {', '.join(DTYPES)}"
            )
        tensors[key] = Tensor(decode(record["data"], record["dtype"]).reshape(record["shape"]))
    return tensors


def to_safetensors(arrays: Mapping[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a safetensors file with these arrays (NumPy's or CuPy's).

    safetensors 0.8.0 writes arrays that are not contiguous wrongly, without a word
    (safetensors#825): they are made contiguous here, and what was made is read back and compared.

    Raises:
        ValueError: an array has the one name that safetensors keeps for itself.
        OSError: an array did not come back as it was.
    """
    from safetensors import deserialize
    from safetensors.numpy import save

    if "__metadata__" in arrays:
        raise ValueError("[save] '__metadata__' is a name that safetensors keeps for itself")
    host = {key: backend.to_device(array, backend.CPU) for key, array in arrays.items()}
    host = {key: np.ascontiguousarray(array).reshape(array.shape) for key, array in host.items()}
    content = save(host, metadata=metadata)
    written = dict(deserialize(content))
    for key, array in host.items():
        if not _same_bits(array, written[key]):
            raise OSError(f"{key} was not written as it is: a defect of safetensors")
    return content


def _same_bits(a: np.ndarray, written: Mapping[str, Any]) -> bool:
    """Equal in shape and every bit, so that NaN equals NaN."""
    return list(a.shape) == written["shape"] and a.tobytes() == written["data"]
