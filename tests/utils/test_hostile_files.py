"""Files that attack, lie or are broken: each is refused with a LoadError, nothing is executed, and
no memory is reserved for what is not there. The files come from `hostile.py`.
"""

import io
import os
import pickle
import random
import struct
import sys
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.utils import pth
from minigrad.utils.raw import LoadError
from tests.utils.hostile import (
    ATTACKS,
    BOMB,
    CANARY,
    CENTRAL,
    FILES,
    GOOD,
    LOCAL,
    NOT_BY_THEMSELVES,
    PROGRAMS,
    WRAPPED,
    npy,
    npz,
    patched,
    pickled,
    safetensors,
    storage,
    streamed,
    tensor,
    text,
    zipped,
)


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_parts_make_good_files(tmp_path, wrap):
    """Else all that follows would be refused for a reason that nobody thought of."""
    (tmp_path / "x").write_bytes(wrap(GOOD))
    assert mg.load(tmp_path / "x")["w"].tolist() == [[0, 1], [2, 3]]
    if wrap is streamed:  # PyTorch wants to be told there that the storage is no view
        memory = storage("0", "Float", 4, b"N")
        (tmp_path / "x").write_bytes(streamed(GOOD.replace(storage(), memory)))
    assert torch.load(tmp_path / "x", weights_only=True)["w"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("attack", ATTACKS.keys() - NOT_BY_THEMSELVES)
def test_the_attacks_work_where_pickles_are_run(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    try:
        pickle.loads(ATTACKS[attack])
    except Exception as error:  # some work and only then fail
        assert not isinstance(error, pickle.UnpicklingError)
    assert (tmp_path / CANARY).is_dir()




@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("case", PROGRAMS)
def test_programs(tmp_path, monkeypatch, case, wrap):
    program, message = PROGRAMS[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pth").write_bytes(wrap(program))
    with pytest.raises(LoadError, match=rf"^\[load\] .*x.pth: .*({message})"):
        mg.load(tmp_path / "x.pth")
    assert os.listdir(tmp_path) == ["x.pth"]


@pytest.mark.parametrize("case", FILES)
def test_files(tmp_path, monkeypatch, case):
    content, message = FILES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(LoadError, match=rf"^\[load\] .*x.pth: .*({message})"):
        mg.load(tmp_path / "x.pth")
    assert os.listdir(tmp_path) == ["x.pth"]


def test_good_npz_and_safetensors_are_made_here_too(tmp_path):
    for content in (npz(npy()), npz(npy(version=2)), npz(npy(), method=zipfile.ZIP_DEFLATED)):
        (tmp_path / "x").write_bytes(content)
        assert mg.load(tmp_path / "x")["arr_0"].tolist() == [0, 1, 2, 3]
    (tmp_path / "x").write_bytes(safetensors())
    assert mg.load(tmp_path / "x")["w"].tolist() == [0, 1, 2, 3]


# -------------------------------------------------------------------------------- all of it again


def test_nothing_is_executed(tmp_path, monkeypatch, in_child):
    """Python reports what it does to an audit hook; in a child, for no hook can be taken off."""
    monkeypatch.chdir(tmp_path)
    corpus = [wrap(program) for program, _ in PROGRAMS.values() for wrap in WRAPPED.values()]
    corpus += [content for content, _ in FILES.values()]
    harmless = {"open", "compile"}  # compile: of literals, to a tree that is not run
    seen = set()

    def child():
        for content in (zipped(GOOD), npz(npy()), safetensors(), *corpus[:2]):  # imports once
            with suppress(LoadError):
                mg.load(io.BytesIO(content))
        sys.addaudithook(lambda event, arguments: seen.add(event))
        for content in corpus:
            with pytest.raises(LoadError):
                mg.load(io.BytesIO(content))
        reported = {event for event in seen if not event.startswith(("object.", "sys._getframe"))}
        assert reported <= harmless, reported
        assert os.listdir() == []
        pickle.loads(ATTACKS["os.mkdir, protocol 2"])
        assert {"pickle.find_class", "os.mkdir"} <= seen  # the hook does see what an attack does

    in_child(child)


# ---------------------------------------------------------------------------------------- memory


def peak_of_refusing(path, message):
    """The most memory that was in use at a time, beyond what was before."""
    with pytest.raises(LoadError, match=message):
        mg.load(path)  # once before, for what is imported
    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match=message):
            mg.load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def lying_npz():
    """A record of 50 MB that says it is 100 bytes, so that no sum gives it away."""
    honest = npz(bytes(50 << 20), method=zipfile.ZIP_DEFLATED)
    size = struct.pack("<I", 100)
    return patched(honest, (LOCAL, 1, 22, size), (CENTRAL, 1, 24, size))


BOMBS = {
    "deflated": (BOMB, "a zip bomb"),
    "deflated, with a lie": (lying_npz(), "damaged"),
    "a storage, zip": (zipped(pickled(tensor(memory=storage(count=2**28)))), "has 16 bytes"),
    "a storage, stream": (streamed(pickled(tensor(memory=storage(count=2**28)))), "claim more"),
    "an array": (npz(npy(shape=(2**28,))), "not what its size is"),
    "a text": (zipped(b"\x80\x02X\xff\xff\xff\x7fabc"), "are to follow"),
    "an expanded tensor": (zipped(pickled(tensor((2**28,), (0,)), b"0")), "opcode POP"),
    "a memo": (zipped(pickled(b"Nr\xff\xff\xff\xff0")), "opcode POP"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_memory_is_taken_for_what_is_not_there(tmp_path, bomb):
    content, message = BOMBS[bomb]
    (tmp_path / "x").write_bytes(content)
    del content
    assert peak_of_refusing(tmp_path / "x", message) < 2 << 20


def test_programs_without_end_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(pth, "OPCODES", 1000)
    (tmp_path / "x").write_bytes(zipped(pickled(b"]" * 1000)))
    with pytest.raises(LoadError, match="more than 1000 opcodes"):
        mg.load(tmp_path / "x")


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_pickles_without_end_are_not_read(tmp_path, monkeypatch, wrap):
    monkeypatch.setattr(pth, "PICKLE_BYTES", 1000)
    (tmp_path / "x").write_bytes(wrap(pickled(text("x" * 1000))))
    with pytest.raises(LoadError, match="more than 1000 bytes|bytes are to follow"):
        mg.load(tmp_path / "x")


def test_depth_and_circles_need_no_recursion(tmp_path):
    depth = 10 * sys.getrecursionlimit()
    (tmp_path / "x").write_bytes(zipped(pickled(b"]" * depth, b"a" * (depth - 1))))
    value, levels = mg.load(tmp_path / "x"), 1
    while value:
        value, levels = value[0], levels + 1
    assert levels == depth
    (tmp_path / "x").write_bytes(zipped(pickled(b"]q\0h\0a")))
    value = mg.load(tmp_path / "x")
    assert value[0] is value
    value.clear()


# ------------------------------------------------------------------------------------------- fuzz

TENSORS = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False]),
           "h": torch.ones(3, dtype=torch.bfloat16), "n": torch.tensor(7)}


def written_by_torch(**options):
    file = io.BytesIO()
    torch.save({"state_dict": OrderedDict(TENSORS), "epoch": 3}, file, **options)
    return file.getvalue()


def written_by_numpy(save):
    file = io.BytesIO()
    save(file, w=np.arange(6.0), b=np.array([True, False]))
    return file.getvalue()


def written_by_safetensors():
    from safetensors.torch import save

    return save(TENSORS)


FUZZED = {
    "zip": written_by_torch(),
    "stream": written_by_torch(_use_new_zipfile_serialization=False),
    "npz": written_by_numpy(np.savez),
    "npz, compressed": written_by_numpy(np.savez_compressed),
    "safetensors": written_by_safetensors(),
}
CHECKED = ("zip", "npz", "npz, compressed")  # by checksums: what is loaded is what was written,
# though a broken directory can end before the last array


def printed(value):
    """All that is in a loaded object, as text; fails where something else got into it."""
    if isinstance(value, mg.Tensor):
        return f"{value.dtype} {value.shape} {value.array.tobytes().hex()}"
    if isinstance(value, dict):
        return str({key: printed(x) for key, x in value.items()})
    if isinstance(value, (list, tuple, set)):
        return str([printed(x) for x in value])
    assert isinstance(value, (str, int, float, type(None))), type(value)
    return repr(value)


def attempt(content):
    """What is loaded, printed, or None if it is refused; any other exception fails the test."""
    try:
        loaded = mg.load(io.BytesIO(content))
    except LoadError:
        return None
    loaded = loaded if isinstance(loaded, dict) else {None: loaded}
    return {key: printed(value) for key, value in loaded.items()}


@pytest.mark.parametrize("kind", FUZZED)
def test_truncated_anywhere(kind):
    content = FUZZED[kind]
    assert attempt(content) is not None
    assert not [length for length in range(len(content)) if attempt(content[:length]) is not None]


@pytest.mark.parametrize("kind", FUZZED)
def test_changed_anywhere(kind):
    """One byte in each third of the cases, up to eight in the others."""
    generator, content, outcomes = random.Random(kind), FUZZED[kind], Counter()
    for case in range(600):
        changed = bytearray(content)
        for _ in range(1 if case % 3 == 0 else generator.randint(2, 8)):
            changed[generator.randrange(len(content))] = generator.randrange(256)
        result = attempt(bytes(changed))
        if kind in CHECKED and result is not None:
            assert result.items() <= attempt(content).items()
        outcomes["refused" if result is None else "loaded"] += 1
    assert outcomes["refused"] > 100, outcomes
