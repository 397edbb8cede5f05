"""Weights and snapshots: every bit comes back, and what is wrong is said in one readable line."""

import hashlib
import json

import numpy as np
import pytest

import minigrad as mg
from alexnet import checkpoint, models
from alexnet.errors import InputError
from minigrad import nn, optim

ABOUT = {
    "model": "alexnet_small",
    "num_classes": 10,
    "in_channels": 1,
    "classes": list("abcdefghij"),
}


def small_net(hidden=4):
    return nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def arrays_of(model):
    return {key: tensor.array.copy() for key, tensor in model.state_dict().items()}


def test_weights_come_back_with_what_was_said_about_them(tmp_path):
    model = models.alexnet_small()
    digest = checkpoint.save_weights(model, tmp_path / "w.safetensors", ABOUT)
    mg.manual_seed(1)
    loaded, about = checkpoint.load_model(tmp_path / "w.safetensors")
    assert about == ABOUT
    assert digest == hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest()
    for key, array in arrays_of(model).items():
        np.testing.assert_array_equal(loaded.state_dict()[key].array, array, strict=True)


def test_safetensors_itself_reads_the_file(tmp_path):
    from safetensors.numpy import load_file

    model = small_net()
    checkpoint.save_weights(model, tmp_path / "w.safetensors", ABOUT)
    for key, array in load_file(tmp_path / "w.safetensors").items():
        np.testing.assert_array_equal(array, model.state_dict()[key].array, strict=True)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    model = small_net()
    first = checkpoint.save_weights(model, tmp_path / "a.safetensors", ABOUT)
    assert checkpoint.save_weights(model, tmp_path / "b.safetensors", ABOUT) == first


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        np.arange(20, dtype=np.int64)[::3],
        np.broadcast_to(np.float32(2), (3, 2)),
        np.array(7),
        np.zeros((0, 3), np.float32),
        np.array([np.nan, np.inf, -0.0], np.float16),
        np.array([True, False]),
    ],
    ids=["transposed", "Fortran", "strided", "broadcast", "0-d", "empty", "NaN", "bool"],
)
def test_every_layout_is_written_as_it_is(tmp_path, array):
    checkpoint.write(tmp_path / "x.safetensors", {"x": array}, {})
    arrays, _ = checkpoint.read(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(arrays["x"], array, strict=True)


def test_what_was_written_wrongly_is_noticed_and_not_kept(tmp_path, monkeypatch):
    """As safetensors 0.8.0 does with arrays that are not contiguous."""
    import safetensors.numpy

    honest = safetensors.numpy.save
    monkeypatch.setattr(
        safetensors.numpy,
        "save",
        lambda arrays, metadata: honest({k: a[::-1].copy() for k, a in arrays.items()}, metadata),
    )
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"the good one")
    with pytest.raises(OSError, match="x was not written as it is"):
        checkpoint.write(path, {"x": np.arange(3)}, {})
    assert path.read_bytes() == b"the good one"
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_files_have_the_permissions_of_other_files(tmp_path):
    checkpoint.write(tmp_path / "x.safetensors", {"x": np.arange(3)}, {})
    (tmp_path / "other").write_text("")
    modes = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_weights_of_another_network_are_listed_and_nothing_is_loaded(tmp_path):
    path = tmp_path / "w.safetensors"
    arrays = {f"extra.{i}": np.zeros(1) for i in range(6)}
    arrays |= {"0.weight": np.ones((5, 3)), "0.bias": np.ones(4), "2.bias": np.ones(2)}
    checkpoint.write(path, arrays, {"model": "alexnet"})
    model = small_net()
    before = arrays_of(model)
    with pytest.raises(InputError) as caught:
        checkpoint.load_weights(model, path)
    assert str(caught.value) == (
        f"{path} holds the weights of another network (it says alexnet): missing 2.weight; "
        "unexpected extra.0, extra.1, extra.2, extra.3 and 2 more; of another shape 0.weight "
        "(5, 3) instead of (4, 3)"
    )
    for key, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[key].array, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no safetensors file, or a damaged one"),
        (b"not a weights file at all", "is no safetensors file, or a damaged one"),
        (b"\xff" * 7 + b"\x7f" + b"{}", "is no safetensors file, or a damaged one"),
        (None, "cannot read .*No such file"),
    ],
    ids=["empty", "text", "absurd header", "missing"],
)
def test_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        checkpoint.load_model(path)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "w.safetensors"
    checkpoint.save_weights(small_net(), path, ABOUT)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.read(path)


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        checkpoint.read(tmp_path)


def test_a_file_of_another_program_is_loaded_by_its_keys_but_not_guessed(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    net = small_net()
    save_file({key: array + 1 for key, array in arrays_of(net).items()}, path)
    with pytest.raises(InputError, match="does not say .* alexnet.checkpoint.load_weights"):
        checkpoint.load_model(path)
    before = arrays_of(net)
    assert checkpoint.load_weights(net, path) == {}
    np.testing.assert_array_equal(net.state_dict()["0.bias"].array, before["0.bias"] + 1)


# ------------------------------------------------------------------------------------- snapshots

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
}


def step(model, optimizer):
    loss = model(mg.Tensor(np.ones((5, 3), np.float32))).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_snapshot_goes_on_with_the_same_bits(tmp_path, make):
    path = tmp_path / "s.safetensors"
    model = small_net()
    optimizer = make(model.parameters())
    step(model, optimizer)
    rng = mg.get_rng_state()
    checkpoint.save_snapshot(path, model, optimizer, {"epoch": 3, "rng": rng})

    other = small_net()
    other_optimizer = make(other.parameters())
    state = checkpoint.load_snapshot(path, other, other_optimizer)
    assert state["epoch"] == 3
    assert state["rng"] == rng  # with its 128-bit integers
    for _ in range(2):
        step(model, optimizer)
        step(other, other_optimizer)
    for key, array in arrays_of(model).items():
        np.testing.assert_array_equal(other.state_dict()[key].array, array, strict=True)


def test_a_snapshot_of_another_network(tmp_path):
    path = tmp_path / "s.safetensors"
    model = small_net()
    checkpoint.save_snapshot(path, model, optim.SGD(model.parameters(), lr=0.1), {})
    other = small_net(hidden=5)
    with pytest.raises(
        InputError, match="a snapshot of another network: of another shape 0.weight"
    ):
        checkpoint.load_snapshot(path, other, optim.SGD(other.parameters(), lr=0.1))


def test_weights_are_no_snapshot(tmp_path):
    model = small_net()
    checkpoint.save_weights(model, tmp_path / "w.safetensors", ABOUT)
    with pytest.raises(InputError, match="no snapshot of a run"):
        checkpoint.load_snapshot(
            tmp_path / "w.safetensors", model, optim.SGD(model.parameters(), lr=0.1)
        )


def test_the_metadata_is_one_entry_of_json(tmp_path):
    """safetensors writes several entries in an order that changes from process to process."""
    from safetensors import safe_open

    checkpoint.save_weights(small_net(), tmp_path / "w.safetensors", ABOUT)
    with safe_open(tmp_path / "w.safetensors", framework="np") as file:
        assert {k: json.loads(v) for k, v in file.metadata().items()} == {"alexnet": ABOUT}
