"""save and load: what PyTorch, NumPy and safetensors write is read back bit by bit, and what is
written here is read by them. Files that lie or attack are in test_hostile_files.py."""

import io
import json
import struct
import sys
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.utils.pth import CONVERT
from minigrad.utils.raw import LoadError

FORMATS = {"zip": True, "stream": False}
DTYPES = [
    torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.uint8, torch.bool,
]


@pytest.fixture(params=FORMATS)
def write(request, tmp_path):
    """torch.save into a file of one of its two formats; returns the path."""

    def to_file(obj, **options):
        path = tmp_path / "file.pth"
        zipped = FORMATS[request.param]
        torch.save(obj, path, _use_new_zipfile_serialization=zipped, **options)
        assert path.read_bytes().startswith(b"PK" if zipped else b"\x80\x02")
        return path

    return to_file


def same(ours, theirs):
    """Whether a loaded object is PyTorch's, in structure, dtype, shape and value."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, nn.Parameter) == isinstance(theirs, torch.nn.Parameter)
        assert ours.requires_grad == theirs.requires_grad
        theirs = theirs.detach()
        widened = theirs.float() if theirs.dtype == torch.bfloat16 else theirs
        np.testing.assert_array_equal(ours.array, widened.numpy(), strict=True)
    elif isinstance(theirs, (torch.Size, torch.device)):
        assert type(ours) is (mg.Size if isinstance(theirs, torch.Size) else mg.Device)
        assert str(ours).replace("Size(", "torch.Size(") == str(theirs)
    elif isinstance(theirs, dict):
        assert type(ours) is (dict if isinstance(theirs, Counter) else type(theirs))
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def both(path, **options):
    """What we load, after it was compared with what PyTorch's own careful reader loads."""
    ours = mg.load(path, **options)
    same(ours, torch.load(path, weights_only=True))
    return ours


# ------------------------------------------------------------------------- files that torch wrote


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype(write, dtype):
    values = torch.tensor([[0, 1, 2], [3, 100, 127]]).to(dtype)
    ours = both(write({"x": values}))
    expected = "float32" if dtype is torch.bfloat16 else str(dtype).removeprefix("torch.")
    assert str(ours["x"].dtype) == expected


def test_bfloat16_is_widened_exactly(write):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    ours = mg.load(write({"x": every}))["x"]
    bits = ours.array.view(np.uint32)
    assert not (bits & 0xFFFF).any()  # NaNs too: compared as bits
    np.testing.assert_array_equal((bits >> 16).astype(np.uint16), every.view(torch.uint16).numpy())


def test_special_numbers(write):
    both(write([torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])]))


def test_views(write):
    w = torch.arange(60.0).reshape(3, 4, 5)
    both(write({
        "transposed": w.permute(2, 0, 1), "offset": w[1:], "steps": w[:, ::2],
        "column": w[:, 1:2, 3], "expanded": torch.tensor([1.0, 2.0]).expand(4, 2),
        "overlapping": torch.arange(7.0).as_strided((3, 3), (2, 1)), "one": w[2, 3, 4],
        "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    }))


def test_empty_and_0_d_tensors(write):
    both(write([torch.zeros(0), torch.zeros(2, 0, 3), torch.tensor(5), torch.tensor(0.5)]))


def test_tensors_can_be_changed_and_share_memory_as_they_did(write):
    w = torch.zeros(2, 3)
    ours = both(write({"whole": w, "row": w[1], "again": w}))
    ours["row"].fill_(7)
    assert ours["whole"].tolist() == [[0, 0, 0], [7, 7, 7]]
    assert ours["again"] is ours["whole"]


def test_tied_weights(write):
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
    net[2].weight = net[0].weight
    ours = both(write(net.state_dict()))
    assert np.shares_memory(ours["0.weight"].array, ours["2.weight"].array)


def test_parameters_and_tensors_that_require_gradients(write):
    ours = both(write({
        "p": torch.nn.Parameter(torch.ones(2)), "frozen": torch.nn.Parameter(torch.ones(2), False),
        "leaf": torch.ones(2, requires_grad=True), "counter": torch.tensor(3),
    }))
    (ours["p"] * 3).sum().backward()
    assert ours["p"].grad.tolist() == [3, 3]


def test_a_checkpoint_as_training_scripts_write_it(write):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 3, 5])
    net(torch.rand(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    schedule.step()
    both(write({
        "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(), "epoch": 3, "best": -0.875, "name": "größer",
        "big": 2**70, "flags": [True, False, None], "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "where": torch.device("cuda", 1), "seen": {1, 5}, "nested": [([{"x": (torch.ones(1),)}],)],
        300: "a key of two bytes", -70000: 70000, "long list": list(range(300)),
    }))


class Reduces:
    """Pickles as a call of `function`, which older programs wrote in another one's place."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_tensors_of_before_they_could_require_gradients(write):
    storage = torch.arange(6.0)._typed_storage()
    path = write(Reduces(torch._utils._rebuild_tensor, storage, 1, (2, 2), (2, 1)))
    same(mg.load(path), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_sets_under_both_their_names(tmp_path):
    torch.save({1, 2}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "x.pth").read_bytes()
    for name in (b"__builtin__", b"builtins"):
        (tmp_path / "x.pth").write_bytes(content.replace(b"__builtin__", name))
        assert mg.load(tmp_path / "x.pth") == {1, 2}


def test_ordered_dicts_and_texts_of_python_2(write):
    path = write(Reduces(OrderedDict, [["a", torch.ones(2)], ["b", torch.zeros(1)]]))
    content = path.read_bytes()
    if content.startswith(b"\x80"):  # an archive has checksums
        content = content.replace(b"X\x07\0\0\0storage", b"U\x07storage")
        path.write_bytes(content.replace(b"X\x03\0\0\0cpu", b"T\x03\0\0\0cpu"))
    ours = mg.load(path)
    assert type(ours) is OrderedDict
    same(ours, OrderedDict(a=torch.ones(2), b=torch.zeros(1)))


def test_storages_of_a_gpu_are_those_of_the_cpu(tmp_path):
    path = tmp_path / "old.pth"
    torch.save([torch.ones(2)], path, _use_new_zipfile_serialization=False)
    content = path.read_bytes().replace(b"torch\nFloat", b"torch.cuda\nFloat")
    path.write_bytes(content.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0"))
    same(mg.load(path), [torch.ones(2)])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_big_endian_archives(tmp_path, dtype):
    """Made by turning the bytes of each number round; PyTorch reads the same from them."""
    import zipfile

    values = torch.tensor([0, 1, 2, 100]).to(dtype)
    little, big = tmp_path / "little.pth", tmp_path / "big.pth"
    torch.save({"x": values}, little)
    with zipfile.ZipFile(little) as source, zipfile.ZipFile(big, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            if "/data/" in name:
                content = np.frombuffer(content, f"V{values.element_size()}")[::-1].tobytes()[::-1]
            target.writestr(name, content)
    same(both(big), {"x": values})


def test_archives_that_do_not_say_their_byte_order(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "x.pth", _disable_byteorder_record=True)
    both(tmp_path / "x.pth")


def test_open_files_and_strings_are_as_good_as_paths(write):
    path = write([torch.ones(2)])
    with open(path, "rb") as file:
        same(mg.load(file), [torch.ones(2)])
    same(mg.load(io.BytesIO(path.read_bytes())), [torch.ones(2)])
    same(mg.load(str(path)), [torch.ones(2)])


def test_map_location(write, device):
    w = torch.arange(6.0).reshape(2, 3)
    loaded = mg.load(write({"t": w.T, "p": torch.nn.Parameter(w)}), map_location=device)
    assert {str(x.device) for x in loaded.values()} == {str(mg.zeros(1, device=device).device)}
    same({k: x.cpu() for k, x in loaded.items() if k == "t"}, {"t": w.T})


def test_a_state_dict_goes_into_a_network_and_gives_the_same_logits(write):
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(8 * 16, 5),
    )
    ours = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    theirs(torch.rand(4, 3, 8, 8))  # gives the running statistics something to say
    ours.load_state_dict(mg.load(write(theirs.state_dict())))
    x = torch.rand(4, 3, 8, 8)
    with torch.no_grad(), mg.no_grad():
        expected = theirs.eval()(x).numpy()
        np.testing.assert_allclose(
            ours.eval()(mg.Tensor(x.numpy())).array, expected, rtol=1e-5, atol=1e-6
        )


# ----------------------------------------------------------------------------- the other formats


def test_what_save_writes_comes_back_and_is_safetensors(tmp_path):
    from safetensors.torch import load_file

    w = mg.randn(3, 4)
    state = {"w": w.T, "n": mg.tensor(3), "e": mg.zeros(0, 2), "b": mg.tensor([True, False]),
             "p": nn.Parameter(mg.ones(2))}
    path = tmp_path / "new folder" / "net.pth"
    mg.save(state, path)
    ours, theirs = mg.load(path), load_file(path)
    assert sorted(ours) == sorted(theirs) == sorted(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(ours[key].array, tensor.array, strict=True)
        np.testing.assert_array_equal(theirs[key].numpy(), tensor.array, strict=True)


def test_save_into_an_open_file():
    file = io.BytesIO()
    mg.save(nn.Linear(2, 3).state_dict(), file)
    file.seek(0)
    assert sorted(mg.load(file)) == ["bias", "weight"]


def trained(lib):
    """A checkpoint as listings write it, a batch norm and two steps of Adam behind it."""
    lib.manual_seed(0)
    nn = lib.nn
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 2))
    opt = lib.optim.Adam(net.parameters(), lr=0.1)
    scheduler = lib.optim.lr_scheduler.StepLR(opt, 1)
    for _ in range(2):
        opt.zero_grad()
        net(lib.linspace(-1, 1, 15).reshape(5, 3)).square().sum().backward()
        opt.step()
        scheduler.step()
    return net, opt, scheduler


def test_a_checkpoint_with_optimizer_scheduler_and_numbers(tmp_path):
    net, opt, scheduler = trained(mg)
    parts = {"model": net, "optimizer": opt, "scheduler": scheduler}
    before = {name: part.state_dict() for name, part in parts.items()}
    mg.save({**before, "epoch": 2, "best": float("inf"), "note": "é"}, tmp_path / "last.pth")
    loaded = mg.load(tmp_path / "last.pth")
    assert (loaded["epoch"], loaded["best"], loaded["note"]) == (2, float("inf"), "é")
    again = dict(zip(parts, trained(mg), strict=True))
    for name, part in again.items():
        part.load_state_dict(loaded[name])
    x = mg.linspace(0, 1, 6).reshape(2, 3)
    for model, optimizer in ((net, opt), (again["model"], again["optimizer"])):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    for a, b in zip(net.parameters(), again["model"].parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_pytorchs_checkpoint_goes_on_here(tmp_path):
    net, opt, _ = trained(torch)
    torch.save({"model": net.state_dict(), "optimizer": opt.state_dict()}, tmp_path / "last.pth")
    loaded = mg.load(tmp_path / "last.pth")
    ours, ours_opt, _ = trained(mg)
    ours.load_state_dict(loaded["model"])
    ours_opt.load_state_dict(loaded["optimizer"])
    for lib, model, optimizer in ((torch, net, opt), (mg, ours, ours_opt)):
        optimizer.zero_grad()
        model(lib.linspace(0, 1, 6).reshape(2, 3)).square().sum().backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), net.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_containers_of_every_kind_come_back_as_they_were(tmp_path):
    w = mg.ones(2, 3)
    obj = [
        {"a": {"b": w, 7: (mg.zeros(1), None)}, "a.b": w * 2, (1, "x"): {True, 2.5}},
        np.arange(3), np.float32(0.5), mg.tensor(3), "", [], {}, (), set(),
    ]
    mg.save(obj, tmp_path / "x")
    same_parts(mg.load(tmp_path / "x"), obj)
    mg.save(w, tmp_path / "alone")
    same_parts(mg.load(tmp_path / "alone"), w)


def same_parts(a, b):
    if isinstance(b, (mg.Tensor, np.ndarray)):
        assert type(a) is type(b)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)
    elif isinstance(b, (dict, list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        if isinstance(b, dict):
            assert list(a) == list(b)
            a, b = a.values(), b.values()
        for x, y in zip(a, b, strict=True):
            same_parts(x, y)
    else:
        assert a == b


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("obj", "what"),
    [
        (nn.Linear(2, 2), "this is an object of class Linear"),
        ({"w": mg.ones(2), "nets": [nn.ReLU()]}, "under 'nets.0' there is an object of class ReLU"),
        ({"f": print}, "under 'f' there is an object of class builtin_function_or_method"),
        ({"dtype": {"w": mg.float32}}, "under 'dtype.w' there is an object of class Float32DType"),
        (CYCLE, "contains itself"),
    ],
    ids=["network", "layer", "function", "dtype", "cycle"],
)
def test_what_cannot_be_saved_is_said_with_where_it_is(tmp_path, obj, what):
    with pytest.raises(TypeError, match=what):
        mg.save(obj, tmp_path / "x.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "structure",
    ["", "{", "[1]", '{"tensor": "no"}', '{"tensor": []}', '{"dict": [1]}', '{"dict": [[[], 1]]}',
     '{"call": "print"}', '{"list": 3}', '{"list": [], "set": []}', '{"list": [' * 10**5,
     '{"dict": [[{"list": []}, 1]]}'],
)
def test_a_damaged_structure_is_refused(tmp_path, structure):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(2)}, tmp_path / "x", metadata={"minigrad.structure": structure})
    with pytest.raises(LoadError, match="structure in its metadata is damaged"):
        mg.load(tmp_path / "x")


def test_a_name_that_safetensors_keeps_for_itself_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'__metadata__' is a name that safetensors keeps"):
        mg.save({"__metadata__": mg.ones(2)}, tmp_path / "x")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_safetensors_of_every_dtype(tmp_path, dtype):
    from safetensors.torch import save_file

    values = {"x": torch.tensor([[0, 1, 2], [3, 100, 127]]).to(dtype)}
    save_file(values, tmp_path / "x.safetensors", metadata={"format": "pt"})
    ours = mg.load(tmp_path / "x.safetensors")
    same(ours, values)
    ours["x"].fill_(1)  # it is memory of its own


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3), "f.bias": np.array(3),
        "fortran": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        "big endian": np.arange(3, dtype=">f8"), "many": np.zeros(10**5),
        "empty": np.zeros((0, 2), np.float16), "flags": np.array([True, False]),
        "u": np.arange(3, dtype=np.uint8), "i": np.arange(3, dtype=np.int16),
    }
    save(tmp_path / "x.npz", **arrays)
    ours = mg.load(tmp_path / "x.npz")
    assert list(ours) == list(arrays)
    for key, array in arrays.items():
        native = array.astype(array.dtype.newbyteorder("="))
        np.testing.assert_array_equal(ours[key].array, native, strict=True)
    ours["w"].fill_(1)


def test_an_npz_without_arrays(tmp_path):
    np.savez(tmp_path / "x.npz")
    assert mg.load(tmp_path / "x.npz") == {}


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(weights_only=False), ValueError, "would run the code in the file"),
        (dict(map_location=lambda storage, place: storage), TypeError, "a device such as 'cpu'"),
        (dict(map_location="tpu"), ValueError, "unknown device 'tpu'"),
    ],
)
def test_arguments_that_are_not_supported(write, options, error, message):
    with pytest.raises(error, match=message):
        mg.load(write([torch.ones(1)]), **options)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "nothing.pth")


def test_a_whole_network_is_refused_by_the_name_of_its_class(write):
    with pytest.raises(LoadError) as caught:
        mg.load(write(torch.nn.Linear(2, 2)))
    message = str(caught.value)
    assert "file.pth" in message and "byte" in message
    assert "torch.nn.modules.linear.Linear" in message or "a whole network" in message
    assert CONVERT in message


def test_the_conversion_that_the_message_offers_works(tmp_path, monkeypatch):
    old, new = tmp_path / "old.pth", tmp_path / "new.safetensors"
    w = torch.nn.Parameter(torch.rand(2, 3))
    torch.save({"w": w, "tied": w, "t": w.T}, old, pickle_protocol=4)
    with pytest.raises(LoadError, match="another protocol than 2"):
        mg.load(old)
    script = CONVERT.split('python -c "')[1].split('" old.pth')[0]
    monkeypatch.setattr(sys, "argv", ["-c", str(old), str(new)])
    exec(script, {})
    same(mg.load(new), {"t": w.T.detach(), "tied": w.detach(), "w": w.detach()})


@pytest.mark.parametrize(
    "obj",
    [torch.ones(2, dtype=torch.complex64), torch.ones(2).to_sparse(), np.float64(3),
     torch.ones(2).to(torch.float8_e4m3fn), torch.ones(2).untyped_storage(), np.ones(2)],
    ids=["complex", "sparse", "NumPy number", "float8", "storage", "NumPy array"],
)
def test_what_is_not_supported_is_named(write, obj):
    with pytest.raises(LoadError, match=r"file.pth: .*byte \d+: (names|a persistent|opcode|ends) "):
        mg.load(write({"x": obj}))


def test_safetensors_of_other_numbers_are_named(tmp_path):
    header = json.dumps({"x": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    with pytest.raises(LoadError, match="'x' holds F8_E4M3; supported are F64, F32"):
        mg.load(tmp_path / "x")
