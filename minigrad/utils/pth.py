"""PyTorch's .pth files, read without PyTorch and without running what is in them.

A .pth holds a pickle, which is a program for a small machine with a stack, and the bytes of its
tensors. Python's own machine calls any function that a program names. The one here knows the few
opcodes that `torch.save` writes; names are looked up in two tables and stand for nothing but the
cases of `_call`; sizes are checked before memory is reserved. Two formats: a zip archive, and the
stream of before PyTorch 1.6. Sources: `torch.serialization`, `torch._utils`, `pickletools`.
"""

from __future__ import annotations

import io
import pickle  # for the names of the opcodes; nothing of it is called
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import IO, Any, NoReturn

import numpy as np

from minigrad.backend import Device
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Size, Tensor
from minigrad.utils.archive import STORED, Archive
from minigrad.utils.raw import DTYPES, RANK, ByteOrder, LoadError, decode, item_bytes

PICKLE_BYTES = 1 << 26  # the pickle of the largest networks has a hundredth of that;
OPCODES = 1 << 22  # each can take a hundred bytes of memory, whatever it makes
ELEMENTS = 1 << 40  # of a tensor: an expanded one may have more than there are in the file
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the stream
ORDERS: dict[bytes, ByteOrder] = {b"little": "<", b"big": ">"}

NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
TEXTS = {pickle.BINUNICODE: "<I", pickle.SHORT_BINSTRING: "<B", pickle.BINSTRING: "<i"}
CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False}
TUPLES = {pickle.EMPTY_TUPLE: 0, pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
PUTS = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}
GETS = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}

STORAGES = {
    (module, f"{name}Storage"): kind
    for module in ("torch", "torch.cuda")  # older files name the device as well
    for name, kind in (
        ("Double", "F64"), ("Float", "F32"), ("Half", "F16"), ("BFloat16", "BF16"), ("Long", "I64"),
        ("Int", "I32"), ("Short", "I16"), ("Char", "I8"), ("Byte", "U8"), ("Bool", "BOOL"),
    )
}
CALLS = {
    ("collections", "OrderedDict"), ("collections", "Counter"), ("torch", "Size"),
    ("torch", "device"), ("builtins", "set"), ("__builtin__", "set"),
    ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}
KEYS = (str, int, float, bool, type(None))  # not tuples: those can take forever to hash

CONVERT = (
    "nothing was executed. If you trust the file, convert its tensors where PyTorch is installed: "
    'python -c "import sys, torch, safetensors.torch as st; st.save_file({k: v.clone().contiguous()'
    " for k, v in torch.load(sys.argv[1], 'cpu', weights_only=False).items()}, sys.argv[2])\""
    " old.pth new.safetensors"
)


class _Inert:
    """What only the program itself may hold: it gets into no list, no dict and no result."""


class _Name(_Inert):
    """A name from the tables; what it names in PyTorch is never touched."""

    def __init__(self, module: str, name: str) -> None:
        self.pair = module, name


class _Storage(_Inert):
    """The memory that tensors are views of: `array` (N,), in the file as numbers of `kind`."""

    def __init__(self, kind: str, array: np.ndarray) -> None:
        self.kind, self.array = kind, array


class _Arguments(tuple, _Inert):
    """A tuple with something inert in it."""


class Machine:
    """Runs pickles that torch.save wrote, and refuses all others.

    Args:
        reserve: gives the array (count,) of a storage, from its key, kind and count.

    Attributes:
        storages: by key.
        tensors: all that were made, to be moved to a device.
    """

    def __init__(self, reserve: Callable[[str, str, int], np.ndarray]) -> None:
        self.reserve = reserve
        self.storages: dict[str, _Storage] = {}
        self.tensors: list[Tensor] = []

    def run(self, stream: io.BytesIO, record: str) -> Any:
        """What the pickle makes that begins here in `stream`, which is left behind its end.

        Raises:
            LoadError: the program names, does or claims something that no state_dict needs.
        """
        position, code = stream.tell(), b""
        try:
            stack: list[Any] = []
            below: list[list[Any]] = []  # the stacks under the marks
            memo: dict[int, Any] = {}
            for _ in range(OPCODES):
                position, code = stream.tell(), stream.read(1)
                if code in NUMBERS:
                    stack.append(_number(stream, NUMBERS[code]))
                elif code in TEXTS:
                    stack.append(_take(stream, _number(stream, TEXTS[code])).decode())
                elif code == pickle.LONG1:
                    digits = _take(stream, _number(stream, "<B"))
                    stack.append(int.from_bytes(digits, "little", signed=True))
                elif code in CONSTANTS:
                    stack.append(CONSTANTS[code])
                elif code == pickle.EMPTY_LIST:
                    stack.append([])
                elif code == pickle.EMPTY_DICT:
                    stack.append({})
                elif code in TUPLES:
                    items = [stack.pop() for _ in range(TUPLES[code])][::-1]
                    stack.append(_tuple(items))
                elif code == pickle.MARK:
                    below.append(stack)
                    stack = []
                elif code == pickle.TUPLE:
                    items, stack = stack, below.pop()
                    stack.append(_tuple(items))
                elif code == pickle.APPEND:
                    item = stack.pop()
                    _append(stack[-1], [item])
                elif code == pickle.APPENDS:
                    items, stack = stack, below.pop()
                    _append(stack[-1], items)
                elif code == pickle.SETITEM:
                    items = [stack.pop(), stack.pop()][::-1]
                    _set(stack[-1], items)
                elif code == pickle.SETITEMS:
                    items, stack = stack, below.pop()
                    _set(stack[-1], items)
                elif code in PUTS:
                    memo[_number(stream, PUTS[code])] = stack[-1]
                elif code in GETS:
                    stack.append(memo[_number(stream, GETS[code])])
                elif code == pickle.GLOBAL:
                    stack.append(_name(stream))
                elif code == pickle.BINPERSID:
                    stack.append(self._storage(stack.pop()))
                elif code == pickle.REDUCE:
                    arguments = stack.pop()
                    stack.append(self._call(stack.pop(), arguments))
                elif code == pickle.BUILD:
                    state = stack.pop()
                    if type(stack[-1]) is not OrderedDict or type(state) is not dict:
                        raise LoadError(f"sets attributes of a {type(stack[-1]).__name__}")
                    # A state_dict's `_metadata`, the versions of its layers: not needed here.
                elif code == pickle.PROTO:
                    if _number(stream, "<B") != 2:
                        raise LoadError(f"a pickle of another protocol than 2; {CONVERT}")
                elif code == pickle.STOP:
                    if len(stack) != 1 or below or isinstance(stack[0], _Inert):
                        raise LoadError("ends with something else than one value")
                    return stack[0]
                else:
                    _refuse_opcode(code)
            raise LoadError(f"more than {OPCODES} opcodes")
        except LoadError as error:
            raise LoadError(f"{record}, byte {position}: {error}") from None
        except (IndexError, KeyError, UnicodeDecodeError) as error:
            raise LoadError(
                f"{record}, byte {position}: a damaged pickle ({code!r}: {error!s:.80})"
            ) from None

    def _storage(self, identity: Any) -> _Storage:
        """The storage that a persistent id stands for.

        Here and in `_call` types are matched first, for a Tensor has its own idea of `==`.
        """
        match identity:
            case (str(what), _Name(pair=pair), str(key), str(), int(count), *view) if (
                what == "storage" and pair in STORAGES and type(count) is int and count >= 0
            ):
                kind = STORAGES[pair]
                if len(view) > 1 or view and view[0] is not None:
                    raise LoadError(f"a view of a storage, which is not supported; {CONVERT}")
            case (str(what), *_) if what == "module":
                raise LoadError(f"a whole network with its source, not a state_dict; {CONVERT}")
            case _:
                raise LoadError(f"a persistent id that is no storage; {CONVERT}")
        if key not in self.storages:
            self.storages[key] = _Storage(kind, self.reserve(key, kind, count))
        storage = self.storages[key]
        if (storage.kind, storage.array.size) != (kind, count):
            raise LoadError(
                f"storage {key!r:.80} is {storage.array.size} numbers of {storage.kind} in one "
                f"place and {count} of {kind} in another"
            )
        return storage

    def _call(self, function: Any, arguments: Any) -> Any:
        """What REDUCE stands for: all that a file may make, besides numbers, texts and lists."""
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise LoadError(f"calls a {type(function).__name__}")
        match ".".join(function.pair), arguments:
            case "torch._utils._rebuild_tensor", (_Storage() as s, offset, tuple(n), tuple(step)):
                return self._tensor(s, offset, n, step)
            case "torch._utils._rebuild_tensor_v2", (
                _Storage() as s, offset, tuple(n), tuple(step), bool(grad), _, *metadata
            ) if all(x is None or type(x) is dict and not x for x in metadata):  # no conjugate
                return self._tensor(s, offset, n, step, grad)
            case "torch._utils._rebuild_parameter", (Tensor() as data, bool(grad), _):
                return self._keep(Parameter(data, requires_grad=False), grad)
            case "collections.OrderedDict", ():
                return OrderedDict()
            case "collections.OrderedDict", ([*pairs],) if (  # as Python 2 wrote it
                all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs)
            ):
                return _set(OrderedDict(), [item for pair in pairs for item in pair])
            case "collections.Counter", (dict(counts),):
                return counts
            case ("builtins.set" | "__builtin__.set"), ([*items],) if (
                all(type(item) in KEYS for item in items)
            ):
                return set(items)
            case "torch.Size", ([*sizes],) if all(type(n) is int for n in sizes):
                return Size(sizes)
            case "torch.device", (str(kind), *index) if (
                kind in ("cpu", "cuda") and len(index) <= 1 and all(type(i) is int for i in index)
            ):
                return Device(kind, *index)
        raise LoadError(f"calls {'.'.join(function.pair)} with arguments that it does not take")

    def _tensor(
        self, storage: _Storage, offset: Any, size: tuple, stride: tuple, grad: bool = False
    ) -> Tensor:
        """A view of `storage`; a file's tensors share memory as they did where it was written."""
        numbers = (offset, *size, *stride)  # not shown before it is known that they are numbers
        if any(type(n) is not int or n < 0 for n in numbers) or len(size) != len(stride):
            raise LoadError("a tensor whose offset, size and stride are not counts, as many each")
        what = f"a tensor of size {size!s:.80} and stride {stride!s:.80}"
        if len(size) > RANK or prod(max(n, 1) for n in size) > ELEMENTS:
            raise LoadError(f"{what}: at most {RANK} dimensions and {ELEMENTS} elements are read")
        memory = storage.array
        if 0 in size:
            return self._keep(Tensor(np.empty(size, memory.dtype)), grad)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= memory.size:
            raise LoadError(f"{what} reaches element {last!s:.80} of a storage of {memory.size}")
        steps = [
            step * memory.itemsize if n > 1 else 0 for n, step in zip(size, stride, strict=True)
        ]
        array = np.ndarray(size, memory.dtype, memory, offset * memory.itemsize, steps)
        return self._keep(Tensor(array), grad)

    def _keep(self, tensor: Tensor, grad: bool) -> Tensor:
        if grad and not tensor.is_floating_point():
            raise LoadError(f"a tensor of {tensor.dtype} that requires a gradient")
        self.tensors.append(tensor.requires_grad_(grad))
        return tensor


def _take(stream: io.BytesIO, count: int) -> bytes:
    content = stream.read(max(count, 0))
    if len(content) != count:
        raise LoadError(f"a truncated pickle: {count} bytes are to follow, {len(content)} do")
    return content


def _number(stream: io.BytesIO, form: str) -> Any:
    return struct.unpack(form, _take(stream, struct.calcsize(form)))[0]


def _name(stream: io.BytesIO) -> _Name:
    module, name = (stream.readline()[:-1].decode("ascii", "replace") for _ in range(2))
    if (module, name) not in CALLS and (module, name) not in STORAGES:
        raise LoadError(f"names {module:.80}.{name:.80}, which no state_dict needs; {CONVERT}")
    return _Name(module, name)


def _tuple(items: list[Any]) -> tuple:
    return (_Arguments if any(isinstance(item, _Inert) for item in items) else tuple)(items)


def _append(target: Any, items: list[Any]) -> None:
    if type(target) is not list or any(isinstance(item, _Inert) for item in items):
        raise LoadError(f"appends a part of the program, or to a {type(target).__name__}")
    target.extend(items)


def _set(target: Any, items: list[Any]) -> Any:
    """`target[items[0]] = items[1]`, and so on."""
    keys, values = items[::2], items[1::2]
    if type(target) not in (dict, OrderedDict) or len(keys) != len(values):
        raise LoadError(f"sets the items of a {type(target).__name__}, or half an item")
    if any(type(key) not in KEYS for key in keys) or any(isinstance(v, _Inert) for v in values):
        raise LoadError(
            "sets an item whose key is no text or number, or whose value is a part of the program"
        )
    target.update(zip(keys, values, strict=True))
    return target


def _refuse_opcode(code: bytes) -> NoReturn:
    if not code:
        raise LoadError("a truncated pickle: it does not end with STOP")
    names = {op.code.encode("latin-1"): op.name for op in pickletools.opcodes}
    raise LoadError(
        f"opcode {names.get(code, repr(code))}, which torch.save does not write; {CONVERT}"
    )


# --------------------------------------------------------------------------------- the two formats


def read_zip(archive: Archive) -> tuple[Any, list[Tensor]]:
    """The object in <root>/data.pkl, and its tensors, whose bytes are in <root>/data/<key>.

    Raises:
        LoadError: see `Machine` and `Archive`; also a record of another size than its tensors say.
    """
    root = next(name for name in archive.records if name.endswith("/data.pkl")).rpartition("/")[0]
    for name, record in archive.records.items():
        if record.compress_type != STORED:
            raise LoadError(f"record {name!r} is compressed, as torch.save does not write it")
        if not name.startswith(f"{root}/"):
            raise LoadError(f"record {name!r} is not in the folder {root!r} of the others")
    if archive.records[f"{root}/data.pkl"].file_size > PICKLE_BYTES:
        raise LoadError(f"a pickle of more than {PICKLE_BYTES} bytes")
    key = f"{root}/byteorder"
    said = archive.read(key) if key in archive.records else b"little"  # older files do not say it
    if said not in ORDERS:
        raise LoadError(f"record {key!r} says {said!r:.80}, not little or big")

    def reserve(key: str, kind: str, count: int) -> np.ndarray:
        content = archive.read(f"{root}/data/{key}")
        if len(content) != count * item_bytes(kind):
            raise LoadError(
                f"record '{root}/data/{key}' has {len(content)} bytes, but its tensors say "
                f"{count} numbers of {kind}"
            )
        return decode(content, kind, ORDERS[said]).copy()  # copied, for bytes cannot be written to

    machine = Machine(reserve)
    result = machine.run(io.BytesIO(archive.read(f"{root}/data.pkl")), f"{root}/data.pkl")
    return result, machine.tensors


def read_stream(file: IO[bytes]) -> tuple[Any, list[Tensor]]:
    """The object in the stream of before PyTorch 1.6, and its tensors.

    Five pickles follow each other: a magic number, the protocol, what the writing machine was like,
    the object, a list of the storages' keys. Then come the storages: a count, int64, and numbers,
    always little endian.

    Raises:
        LoadError: see `Machine`; also a pickle that torch.save did not write, storages that are
            not those of the object, or cut short.
    """
    length = file.seek(0, 2)
    file.seek(0)
    stream = io.BytesIO(file.read(min(length, PICKLE_BYTES)))
    claimed = 0

    def reserve(key: str, kind: str, count: int) -> np.ndarray:
        nonlocal claimed
        claimed += count * item_bytes(kind)
        if claimed > length:
            raise LoadError(f"its storages claim more than the {length} bytes that the file has")
        return np.empty(count, DTYPES[kind])

    machine = Machine(reserve)
    for record, expected in (("magic number", MAGIC), ("protocol", PROTOCOL)):
        value = machine.run(stream, record)
        if type(value) is not int or value != expected:
            raise LoadError(f"a pickle, but none that torch.save wrote: not its {record}")
    machine.run(stream, "system")
    result = machine.run(stream, "object")
    keys = machine.run(stream, "list of storages")
    if type(keys) is not list or {*map(type, keys)} - {str} or (
        sorted(keys) != sorted(machine.storages)
    ):
        raise LoadError("the list of storages is not that of the object's tensors")
    file.seek(stream.tell())
    stream.close()  # up to 64 MB
    for key in keys:
        storage = machine.storages[key]
        count = int.from_bytes(file.read(8), "little", signed=True)
        content = file.read(storage.array.size * item_bytes(storage.kind))
        if count != storage.array.size or len(content) != count * item_bytes(storage.kind):
            raise LoadError(
                f"storage {key!r:.80} should hold {storage.array.size} numbers of {storage.kind}, "
                f"says {count} and has {len(content)} bytes"
            )
        storage.array[...] = decode(content, storage.kind)
    return result, machine.tensors
