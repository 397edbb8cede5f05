"""A corpus of files that attack, lie or are broken, and what it is made of.

Programs for the pickle machine are put together here, opcode by opcode, and each is wrapped in both
of PyTorch's formats. Next: `test_hostile_files.py`.
"""

import io
import json
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np

from minigrad.utils import pth

# ------------------------------------------------------------------- programs, opcode by opcode


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def number(n):
    if -(2**31) <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    digits = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(digits)]) + digits


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def group(*items):
    return b"(" + b"".join(items) + b"t"


def numbers(values):
    return group(*map(number, values))


def storage(key="0", kind="Float", count=4, *more):
    kind = name("torch", f"{kind}Storage")
    return group(text("storage"), kind, text(key), text("cpu"), number(count), *more) + b"Q"


def tensor(size=(2, 2), stride=(2, 1), offset=0, memory=None, grad=b"\x89", after=b""):
    memory = storage() if memory is None else memory
    return (
        name("torch._utils", "_rebuild_tensor_v2")
        + group(memory, number(offset), numbers(size), numbers(stride), grad, b"}", after) + b"R"
    )


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


# ------------------------------------------------------------------------- and files around them

DATA = np.arange(4, dtype="<f4").tobytes()


def zipped(program, records=(("x/data/0", DATA),), method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there twice: the point
        target.writestr("x/data.pkl", program)
        target.writestr("x/version", "3\n")
        for record, content in records:
            target.writestr(record, content)
    return file.getvalue()


def streamed(program, keys=("0",), storages=(DATA,), counts=(4,), magic=pth.MAGIC, protocol=1001):
    start = [pickle.dumps(x, 2) for x in (magic, protocol, {"little_endian": True})]
    end = [struct.pack("<q", n) + data for n, data in zip(counts, storages, strict=True)]
    return b"".join([*start, program, pickle.dumps(list(keys), 2), *end])


WRAPPED = {"zip": zipped, "stream": streamed}
GOOD = pickled(b"}(", text("w"), tensor(), b"u")


# ------------------------------------------------------------------------------------- attacks

CANARY = "canary"  # the folder that an attack makes, where it works


class Reduce:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


ATTACKS = {
    **{
        f"os.mkdir, protocol {protocol}": pickle.dumps(Reduce(os.mkdir, CANARY), protocol)
        for protocol in range(6)
    },
    "os.system": pickle.dumps(Reduce(os.system, f"mkdir {CANARY}"), 2),
    "eval": pickle.dumps(Reduce(eval, f"__import__('os').mkdir('{CANARY}')"), 2),
    "exec": pickle.dumps(Reduce(exec, f"import os; os.mkdir('{CANARY}')"), 2),
    "in a list in a dict": pickle.dumps({"w": [Reduce(os.mkdir, CANARY)]}, 2),
    "as a key": pickle.dumps({Reduce(os.mkdir, CANARY): 1}, 2),
    "argument of an OrderedDict": pickle.dumps(Reduce(OrderedDict, Reduce(os.mkdir, CANARY)), 2),
    "INST": b"(" + text(CANARY) + b"ios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\n" + text(CANARY) + b"o.",
    "OBJ of a class": b"(cpathlib\nPath\n" + text(CANARY) + b"o\x8c\x05mkdir\x93.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06canary\x85R.",
    "STACK_GLOBAL in protocol 2": b"\x80\x02" + text("os") + text("mkdir") + b"\x93"
    + text(CANARY) + b"\x85R.",
    "POP": b"\x80\x02cos\nmkdir\n" + text(CANARY) + b"\x85R0N.",
    "after a good tensor": pickled(b"}(", text("w"), b"K\x01", text("x"), b"cos\nmkdir\n",
                                   text(CANARY), b"\x85R", b"u"),
}
NOT_BY_THEMSELVES = {"OBJ of a class"}  # which Python refuses as well; for the opcodes


# What is no attack by itself but must not be: name, program, what the message says.
PROGRAMS = {
    "EXT1": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "EXT2": (b"\x80\x02\x83\x01\0.", "opcode EXT2"),
    "EXT4": (b"\x80\x02\x84\x01\0\0\0.", "opcode EXT4"),
    "NEWOBJ": (pickled(name("collections", "OrderedDict"), b")\x81"), "opcode NEWOBJ"),
    "PERSID": (b"\x80\x02Pstorage\n.", "opcode PERSID"),
    "LONG4": (b"\x80\x02\x8b\x01\0\0\0\x01.", "opcode LONG4"),
    "no opcode": (b"\x80\x02\xff.", "opcode b'.xff'"),
    "protocol 3": (b"\x80\x03N.", "another protocol than 2"),
    "a name of PyTorch": (pickled(name("torch", "load")), "names torch.load, which"),
    "a name with dots": (pickled(name("torch", "_utils._rebuild_tensor_v2")), "names torch._utils"),
    "a name split elsewhere": (
        pickled(name("torch._utils._rebuild", "tensor")), "names torch._utils"),
    "an attribute of an allowed one": (
        pickled(name("collections", "OrderedDict.update")), "names "),
    "codecs": (pickled(name("_codecs", "encode")), "names _codecs.encode"),
    "getattr": (pickled(name("__builtin__", "getattr")), "names __builtin__.getattr"),
    "bytearray": (pickled(name("__builtin__", "bytearray"), number(2**40), b"\x85R"), "bytearray"),
    "NumPy": (
        pickled(name("numpy.core.multiarray", "_reconstruct")), "names numpy.core.multiarray"),
    "version 3": (pickled(name("torch._utils", "_rebuild_tensor_v3")), "_rebuild_tensor_v3"),
    "a name that is not ASCII": (b"\x80\x02ctorch\n\xc3\xa4\n.", "names torch."),
    "a long name": (b"\x80\x02c" + b"x" * 10**5 + b"\ny\n.", "names x{80}.y,"),
    "a name left over": (pickled(name("torch", "Size")), "something else than one value"),
    "a storage left over": (pickled(storage()), "something else than one value"),
    "a name in a tuple left over": (pickled(name("torch", "Size"), b"\x85\x85"), "something else"),
    "a name in a list": (pickled(b"]", name("torch", "Size"), b"a"), "appends a part"),
    "a name in a dict": (pickled(b"}K\x01", name("torch", "Size"), b"s"), "whose value is a part"),
    "a name as a key": (pickled(b"}", name("torch", "Size"), b"K\x01s"), "whose key is no text"),
    "calls a number": (pickled(b"K\x01)R"), "calls a int"),
    "calls a text": (pickled(text("os.system"), b")R"), "calls a str"),
    "calls a storage type": (pickled(name("torch", "FloatStorage"), number(2**40), b"\x85R"),
                             "torch.FloatStorage with arguments"),
    "calls with a list": (pickled(name("torch", "Size"), b"]R"), "calls a _Name"),
    "SETITEM on a tensor": (pickled(tensor(), b"K\x00K\x01s"), "sets the items of a Tensor"),
    "SETITEM on a list": (pickled(b"]K\x00K\x01s"), "sets the items of a list"),
    "SETITEMS on a storage": (pickled(storage(), b"(K\x00K\x01u"), "sets the items of a _Storage"),
    "SETITEM on a number": (pickled(b"K\x07K\x00K\x01s"), "sets the items of a int"),
    "half an item": (pickled(b"}(K\x00u"), "half an item"),
    "APPEND on a tensor": (pickled(tensor(), b"K\x01a"), "appends .* to a Tensor"),
    "APPENDS on a dict": (pickled(b"}(K\x01e"), "appends .* to a dict"),
    "APPEND on a name": (pickled(name("torch", "Size"), b"K\x01a"), "to a _Name"),
    "BUILD on a tensor": (
        pickled(tensor(), b"}", text("array"), b"Ns", b"b"), "attributes of a Tensor"),
    "BUILD on a storage": (pickled(storage(), b"}b"), "attributes of a _Storage"),
    "BUILD on a name": (pickled(name("torch", "Size"), b"}b"), "attributes of a _Name"),
    "BUILD on a dict": (pickled(b"}}b"), "attributes of a dict"),
    "BUILD with a tuple": (pickled(name("collections", "OrderedDict"), b")RN}\x86b"), "attributes"),
    "a tuple as a key": (pickled(b"}", b")" + b"\x85" * 10, b"K\x01s"), "whose key is no text"),
    "a tensor as a key": (pickled(b"}", tensor(), b"K\x01s"), "whose key is no text"),
    "a list in a set": (pickled(name("__builtin__", "set"), b"]]a\x85R"), "builtin__.set with"),
    "no pairs": (pickled(name("collections", "OrderedDict"), b"]K\x01a\x85R"), "OrderedDict with"),
    "a pair with a key": (pickled(name("collections", "OrderedDict"), b"])K\x01\x86a\x85R"),
                          "whose key is no text"),
    "Size of texts": (pickled(name("torch", "Size"), group(group(text("a"))), b"R"), "Size with"),
    "an unknown device": (pickled(name("torch", "device"), text("mps"), b"\x85R"), "device with"),
    "Parameter of a number": (
        pickled(name("torch._utils", "_rebuild_parameter"), b"K\x01\x88N\x87R"),
        "_rebuild_parameter"),
    "too few arguments": (
        pickled(name("torch._utils", "_rebuild_tensor_v2"), storage(), b"\x85R"),
        "that it does not"),
    "a conjugate": (
        pickled(tensor(after=b"}" + text("conj") + b"\x88s")), "_rebuild_tensor_v2 with"),
    "a gradient of integers": (
        pickled(tensor((1,), (1,), 0, storage(kind="Int"), b"\x88")), "requires a gradient"),
    # sizes
    "a negative size": (pickled(tensor((-2, 2))), "are not counts"),
    "a negative stride": (pickled(tensor((2, 2), (-2, 1), 3)), "are not counts"),
    "a negative offset": (pickled(tensor(offset=-1)), "are not counts"),
    "an offset outside": (pickled(tensor(offset=1)), "reaches element 4 of a storage of 4"),
    "a size outside": (pickled(tensor((3, 2))), "reaches element 5 of a storage of 4"),
    "a stride outside": (pickled(tensor(stride=(3, 1))), "reaches element 4"),
    "far outside": (pickled(tensor((2, 2), (2**62, 2**62), 2**63)), "reaches element"),
    "numbers without end": (pickled(tensor((2, 2), (2**2000, 1), 2**2000)), "reaches element"),
    "sizes without end": (pickled(tensor((2**2000,) * 8, (2**2000,) * 8)), "at most 8 dimensions"),
    "more strides than sizes": (pickled(tensor((2,), (2, 1))), "are not counts"),
    "nine dimensions": (pickled(tensor((1,) * 9, (1,) * 9)), "at most 8 dimensions"),
    "expanded without end": (pickled(tensor((2**40, 2**40), (0, 0))), "elements are read"),
    "empty without end": (pickled(tensor((0, 2**62, 2**62), (1, 1, 1))), "elements are read"),
    "True as a size": (
        pickled(tensor((1,), (1,)).replace(number(1), b"\x88", 1)), "are not counts"),
    "a float as a size": (
        pickled(tensor((1,), (1,)).replace(number(1), b"G" + bytes(8), 1)), "are not counts"),
    "a storage of nothing": (
        pickled(tensor((1,), (1,), 0, storage(count=0))),
        "reaches element 0 of a storage of 0|has 16 bytes"),
    "a storage of too many": (
        pickled(tensor(memory=storage(count=5))), "has 16 bytes|should hold 5 numbers"),
    "a storage of far too many": (
        pickled(tensor(memory=storage(count=2**62))), "has 16 bytes|claim more"),
    "a storage of too few": (
        pickled(tensor((1,), (1,), 0, storage(count=1))), "has 16 bytes|should hold 1 n"),
    "a storage of minus one": (
        pickled(tensor(memory=storage(count=-1))), "a persistent id that is no"),
    "a storage of another kind": (
        pickled(tensor(memory=storage(kind="Double"))), "has 16 bytes|numbers of F64"),
    "a storage of two kinds": (
        pickled(b"]", tensor(), b"a", tensor(memory=storage(kind="Int")), b"a"), "in one place"),
    "a storage of two sizes": (
        pickled(b"]", tensor(), b"a", tensor((1,), (1,), 0, storage(count=1)), b"a"),
        "in one place"),
    "a storage that is not there": (
        pickled(tensor(memory=storage("1"))), "no record 'x/data/1'|not that of"),
    "a storage elsewhere": (
        pickled(tensor(memory=storage("../data.pkl"))), "no record|not that of"),
    "a view of a storage": (
        pickled(tensor(memory=storage("0", "Float", 4, group(text("1"), number(0), number(2))))),
        "a view of a storage"),
    "a network with its source": (
        pickled(group(text("module"), name("torch", "Size"), b"NN"), b"Q"), "a whole network"),
    "a tensor as a persistent id": (pickled(tensor(), b"Q"), "no storage"),
    "a tensor in a persistent id": (pickled(group(tensor(), b"NNNN"), b"Q"), "no storage"),
    "a tensor as a view": (
        pickled(tensor(memory=storage("0", "Float", 4, tensor()))), "a view of a storage"),
    "a tensor as a device": (pickled(name("torch", "device"), tensor(), b"\x85R"), "device with"),
    "a tensor as a device's number": (
        pickled(name("torch", "device"), text("cuda"), tensor(), b"\x86R"), "device with"),
    "a tensor as a conjugate": (pickled(tensor(after=tensor())), "_rebuild_tensor_v2 with"),
    "laughs as a size": (  # 2 to the 60 of them, for who would print them
        pickled(tensor((1,), (1,)).replace(number(1), b"Nq\0" + b"h\0h\0\x86q\0" * 60, 1)),
        "are not counts"),
    "depth as a size": (
        pickled(tensor((1,), (1,)).replace(number(1), b"N" + b"\x85" * 10**4, 1)),
        "are not counts"),
    "a tensor as a size": (
        pickled(tensor((1,), (1,)).replace(number(1), tensor(), 1)), "are not counts"),
    "a persistent id of another kind": (pickled(text("storage"), b"Q"), "no storage"),
    "a storage of no type": (
        pickled(group(text("storage"), name("torch",
        "Size"), text("0"), text("cpu"), b"K\x04"), b"Q"),
        "no storage"),
    # broken programs
    "nothing": (b"", "a truncated pickle|list of storages, byte 64: opcode"),
    "no STOP": (b"\x80\x02N", "a truncated pickle|two values|something else than one"),
    "STOP alone": (b".", "something else than one value"),
    "two values": (pickled(b"NN"), "something else than one value"),
    "a mark too many": (pickled(b"(N"), "something else than one value"),
    "a mark too few": (pickled(b"Nt"), "a damaged pickle"),
    "an empty stack": (pickled(b"a"), "a damaged pickle"),
    "a pair of one": (pickled(b"N\x86"), "a damaged pickle"),
    "nothing to remember": (pickled(b"q\0"), "a damaged pickle"),
    "nothing remembered": (pickled(b"h\0"), "a damaged pickle"),
    "below the mark": (pickled(b"K\x01K\x02(\x86t"), "a damaged pickle"),
    "a text that ends early": (b"\x80\x02X\xff\xff\xff\xffabc", "4294967295 bytes are to follow"),
    "a text of minus one": (b"\x80\x02T\xff\xff\xff\xffabc.", "-1 bytes are to follow"),
    "a text that is not UTF-8": (b"\x80\x02X\x01\0\0\0\xff.", "a damaged pickle"),
    "a long number that ends early": (b"\x80\x02\x8a\xff\x01", "255 bytes are to follow"),
}
PROGRAMS |= {attack: (program, "opcode|names|protocol") for attack, program in ATTACKS.items()}


# ------------------------------------------------------------------------------ lying containers


def patched(content, *changes):
    """`content` with bytes written over it, each at the n-th place of a mark plus an offset."""
    content = bytearray(content)
    for mark, occurrence, offset, new in changes:
        at = -1
        for _ in range(occurrence):
            at = content.index(mark, at + 1)
        content[at + offset : at + offset + len(new)] = new
    return bytes(content)


def npy(descr="<f4", shape=(4,), data=DATA, version=1, header=None):
    header = header or repr({"descr": descr, "fortran_order": False, "shape": shape})
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data


def npz(*contents, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as target:
        for i, content in enumerate(contents):
            target.writestr(f"arr_{i}.npy", content)
    return file.getvalue()


def safetensors(data=DATA, **entry):
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | entry
    header = json.dumps({"w": entry}).encode()
    return struct.pack("<Q", len(header)) + header + data


BOMB = npz(bytes(70 << 20), method=zipfile.ZIP_DEFLATED)
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
RECORD = ("x/data/0", DATA)
FILES = {
    "an empty file": (b"", "neither safetensors nor"),
    "one byte": (b"P", "neither safetensors nor"),
    "a web page": (b"<!DOCTYPE html><html>", "begins with b'<!DOCTYPE html>"),
    "a tar": (bytes(257) + b"ustar\x0000" + bytes(200), "PyTorch's oldest format"),
    "only the zip's first bytes": (b"PK\x03\x04", "a damaged zip archive"),
    "a zip cut short": (zipped(GOOD)[:-30], "a damaged zip archive"),
    "a zip without its beginning": (b"PK" + zipped(GOOD)[60:], "damaged"),
    "a zip of texts": (npz(b"hello"), "record 'arr_0.npy': no .npy"),
    "compressed": (zipped(GOOD, method=zipfile.ZIP_DEFLATED), "is compressed"),
    "packed with bzip2": (zipped(GOOD, method=zipfile.ZIP_BZIP2), "another way than deflate"),
    "packed with LZMA": (zipped(GOOD, method=zipfile.ZIP_LZMA), "another way than deflate"),
    "a name twice": (zipped(GOOD, [RECORD, RECORD]), "'x/data/0' is there twice"),
    "the pickle twice": (zipped(GOOD, [("x/data.pkl", GOOD), RECORD]), "is there twice"),
    "two pickles": (zipped(GOOD, [("y/data.pkl", GOOD), RECORD]), "not in the folder 'x'"),
    "a way out": (zipped(GOOD, [RECORD, ("x/../../evil", b"")]), "no name for a record"),
    "an absolute way": (zipped(GOOD, [RECORD, ("/etc/evil", b"")]), "no name for a record"),
    "a way out of Windows": (zipped(GOOD, [RECORD, ("x\\evil", b"")]), "no name for a record"),
    "a NUL in a name": (patched(zipped(GOOD, [RECORD, ("x/evil", b"")]), (b"x/evil", 1, 3, b"\0"),
                                (b"x/evil", 1, 3, b"\0")), "no name for a record"),
    "a record of another folder": (
        zipped(GOOD, [RECORD, ("y/evil", b"")]), "not in the folder 'x'"),
    "a record too short": (
        zipped(GOOD, [("x/data/0", DATA[:-1])]), "has 15 bytes, but its tensors"),
    "a record too long": (zipped(GOOD, [("x/data/0", DATA + b"\0")]), "has 17 bytes"),
    "no record": (zipped(GOOD, []), "there is no record 'x/data/0'"),
    "an unknown byte order": (zipped(GOOD, [RECORD, ("x/byteorder", b"middle")]), "says b'middle'"),
    "a wrong checksum": (zipped(GOOD).replace(DATA, DATA[::-1]), "record 'x/data/0' is damaged"),
    "encrypted": (
        patched(zipped(GOOD), (LOCAL, 3, 6, b"\x01"), (CENTRAL, 3, 8, b"\x01")), "damaged"),
    "a record that claims more": (
        patched(zipped(GOOD), (CENTRAL, 2, 20, struct.pack("<II", 2**31, 2**31))),
        "claim more than"),
    "a record that unpacks to more": (
        patched(zipped(GOOD), (CENTRAL, 2, 24, struct.pack("<I", 2**31))), "a zip bomb"),
    "a zip bomb": (BOMB, "a zip bomb"),
    # the stream
    "a pickle of something else": (pickle.dumps([1, 2, 3], 2) + bytes(20), "none that torch.save"),
    "a wrong magic number": (streamed(GOOD, magic=pth.MAGIC + 1), "not its magic number"),
    "a tensor as the magic number": (pickled(tensor()), "not its magic number"),
    "a wrong protocol": (streamed(GOOD, protocol=1002), "not its protocol"),
    "no storage listed": (streamed(GOOD, (), (), ()), "not that of the object's"),
    "a storage listed twice": (
        streamed(GOOD, "00", [DATA] * 2, [4, 4]), "not that of the object's"),
    "another storage listed": (streamed(GOOD, "1"), "not that of the object's"),
    "numbers listed": (streamed(GOOD, [0]), "not that of the object's"),
    "lists listed": (streamed(GOOD, [[], []], [DATA] * 2, [4, 4]), "not that of the object's"),
    "a storage that says less": (streamed(GOOD, counts=[3]), "says 3 and has 16 bytes"),
    "a storage that says minus one": (streamed(GOOD, counts=[-1]), "says -1"),
    "a storage that says far too much": (
        streamed(GOOD, counts=[2**62]), "says 4611686018427387904"),
    "a storage cut short": (streamed(GOOD, storages=[DATA[:-1]]), "has 15 bytes"),
    "no storages": (streamed(GOOD)[:-24], "says 0 and has 0 bytes"),
    # .npz
    "objects": (npz(npy("|O", data=pickle.dumps(Reduce(os.mkdir, CANARY)))), "Python objects"),
    "texts": (npz(npy("<U4")), "dtype '<U4'; supported are"),
    "complex numbers": (npz(npy("<c8", (2,))), "dtype '<c8'"),
    "fields": (npz(npy([("a", "<f4")])), "no plain array of numbers"),
    "a size that is a lie": (npz(npy(shape=(2**60,))), "not what its size is"),
    "a size that is too small": (npz(npy(shape=(3,))), "not what its size is"),
    "a size below 0": (npz(npy(shape=(-4,))), "no plain array of numbers"),
    "a size of True": (npz(npy(shape=(True, 4))), "no plain array of numbers"),
    "nine dimensions": (npz(npy(shape=(1,) * 8 + (4,))), "not what its size is"),
    "version 3": (npz(npy(version=3)), "no .npy of version 1 or 2"),
    "a header that ends early": (npz(npy()[:40]), "truncated"),
    "a header that calls": (
        npz(npy(header=f"__import__('os').mkdir('{CANARY}')")), "cannot be read"),
    "a header of brackets": (npz(npy(header="(" * 5000)), "cannot be read"),
    "a header of signs": (npz(npy(header="-" * 9000 + "1")), "cannot be read"),
    "a long header": (npz(npy(header=" " * 20_000)), "at most 10000"),
    "a header that is a list": (npz(npy(header="[1]")), "cannot be read"),
    # safetensors
    "an absurd header length": (b"\xff" * 7 + b"\x7f" + b"{}", "a damaged safetensors file"),
    "no JSON": (struct.pack("<Q", 4) + b"{abc", "a damaged safetensors file"),
    "data cut short": (safetensors(DATA[:-1]), "a damaged safetensors file"),
    "data too long": (safetensors(DATA + b"\0"), "a damaged safetensors file"),
    "a shape that does not fit": (safetensors(shape=[5]), "a damaged safetensors file"),
    "a shape without end": (safetensors(shape=[2**62, 2**62]), "a damaged safetensors file"),
    "an unknown dtype": (safetensors(dtype="F31"), "a damaged safetensors file"),
}
