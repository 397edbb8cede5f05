"""Module beside PyTorch's: registration, walking, state, moving, hooks and error notes."""

import copy
import json
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn


def build(lib):
    """The same small network of `minigrad` or `torch`: nested, with buffers and a shared layer."""

    class Block(lib.nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = lib.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm = lib.nn.BatchNorm2d(channels)
            self.register_buffer("seen", lib.zeros(1))
            self.register_buffer("scratch", lib.ones(2), persistent=False)

        def forward(self, x):
            return self.norm(self.conv(x)) + x

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.ones(1))
            self.features = lib.nn.Sequential(lib.nn.Conv2d(1, 2, 3), Block(2), lib.nn.ReLU())
            self.head = lib.nn.Linear(2 * 4 * 4, 3)
            self.tied = self.head
            self.nothing = None

        def forward(self, x):
            return self.head((self.features(x) * self.scale).flatten(1))

    return Net()


@pytest.fixture
def net():
    return build(mg)


@pytest.fixture
def pair():
    ours, theirs = build(mg), build(torch)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


IMAGES = np.random.default_rng(0).standard_normal((5, 1, 6, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "walk",
    [
        lambda m: [name for name, _ in m.named_parameters()],
        lambda m: [name for name, _ in m.named_parameters(remove_duplicate=False)],
        lambda m: [name for name, _ in m.named_parameters(prefix="net", recurse=False)],
        lambda m: [name for name, _ in m.named_buffers()],
        lambda m: [name for name, _ in m.named_buffers(prefix="net")],
        lambda m: [(name, type(child).__name__) for name, child in m.named_children()],
        lambda m: [(name, type(module).__name__) for name, module in m.named_modules()],
        lambda m: [name for name, _ in m.named_modules(prefix="net", remove_duplicate=False)],
        lambda m: [type(module).__name__ for module in m.modules()],
        lambda m: [tuple(p.shape) for p in m.parameters()],
        lambda m: [tuple(b.shape) for b in m.features.buffers()],
        lambda m: list(m.state_dict()),
        lambda m: list(m.state_dict(prefix="net.")),
        lambda m: type(m.get_submodule("features.1.conv")).__name__,
        lambda m: m.get_submodule("") is m,
        repr,
    ],
)
def test_walks_as_pytorch(walk):
    expected = walk(build(torch))
    assert expected
    assert walk(build(mg)) == expected


def test_forward_backward_and_running_statistics_as_pytorch(pair):
    ours, theirs = pair
    y = ours(mg.tensor(IMAGES))
    expected = theirs(torch.tensor(IMAGES))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=1e-5)
    cotangent = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    y.backward(mg.tensor(cotangent))
    expected.backward(torch.tensor(cotangent))
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-4, err_msg=name)
    for (name, b), c in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(b.numpy(), c.numpy(), atol=1e-6, err_msg=name)
    assert ours.features[1].norm.num_batches_tracked.item() == 1


# -- attributes ----------------------------------------------------------------------------------


def test_attributes_are_sorted_by_kind(net):
    net.count = 3
    assert "count" in vars(net)
    assert "scale" in net._parameters and "scale" not in vars(net)
    assert "head" in net._modules and "seen" in net.features[1]._buffers
    net.scale = None
    assert "scale" in net._parameters and net.scale is None
    net.count = nn.ReLU()  # a plain attribute gives way to a module
    assert "count" in net._modules and "count" not in vars(net)
    net.nothing = nn.Parameter(mg.ones(2))
    assert "nothing" in net._parameters and "nothing" not in vars(net)
    assert {"nothing", "head", "count", "forward"} <= set(dir(net))


def test_replacing_a_layer_keeps_its_place(net):
    net.features = nn.Identity()
    assert [name for name, _ in net.named_children()] == ["features", "head"]


def test_delete_attributes(net):
    del net.scale, net.tied, net.features[1].scratch
    assert not hasattr(net, "scale") and not hasattr(net, "tied")
    net.features[1].register_buffer("scratch", mg.zeros(1))
    assert "features.1.scratch" in net.state_dict()  # not persistent was the one that is gone
    with pytest.raises(AttributeError, match="nope"):
        del net.nope


def test_a_tensor_assigned_to_a_buffer_stays_a_buffer(net):
    block = net.features[1]
    block.seen = mg.ones(1)
    assert block._buffers["seen"].item() == 1.0
    block.seen = None
    assert "features.1.seen" not in net.state_dict()


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda m: m.nope, AttributeError, "'Net' object has no attribute 'nope'"),
        (lambda m: setattr(m, "scale", mg.ones(1)), TypeError, "'Tensor' as parameter 'scale'"),
        (lambda m: setattr(m, "head", 3), TypeError, "'int' as module 'head'"),
        (lambda m: setattr(m.features[1], "seen", 3), TypeError, "'int' as buffer 'seen'"),
        (lambda m: m.register_parameter("p", mg.ones(1)), TypeError, "as parameter 'p'"),
        (lambda m: m.register_buffer("b", np.ones(1)), TypeError, "'ndarray' as buffer 'b'"),
        (lambda m: m.add_module("m", "x"), TypeError, "'str' as module 'm'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "a.b"),
        (lambda m: m.register_buffer("", None), KeyError, "empty"),
        (lambda m: m.register_parameter("forward", None), KeyError, "'forward' already exists"),
        (lambda m: m.add_module("scale", nn.ReLU()), KeyError, "'scale' already exists"),
        (lambda m: m.train(1), ValueError, "boolean"),
        (lambda m: m.get_submodule("features.9"), AttributeError, "no attribute `9`"),
        (lambda m: m.get_submodule("scale"), AttributeError, "`scale` is not an nn.Module"),
        (lambda m: m.to(mg.int64), TypeError, "floating point dtypes"),
        (lambda m: m.load_state_dict(3), TypeError, "dict-like"),
        (lambda m: nn.Module()(1), NotImplementedError, r"\[Module\] is missing"),
    ],
)
def test_errors(net, action, error, message):
    with pytest.raises(error, match=message):
        action(net)


@pytest.mark.parametrize("value", [nn.ReLU(), nn.Parameter(mg.ones(1))])
def test_assigning_before_init_is_explained(value):
    class Early(nn.Module):
        def __init__(self):
            self.early = value

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()


def test_parameter():
    data = mg.ones(2, 3)
    p = nn.Parameter(data)
    assert p.requires_grad and p.is_leaf and isinstance(p, mg.Tensor)
    assert p.array is data.array
    assert repr(p).startswith("Parameter containing:\ntensor([[1., 1., 1.],")
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert type(p * 2) is mg.Tensor


# -- modes, gradients, devices -------------------------------------------------------------------


def test_train_eval_apply_and_freezing(net):
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    seen = []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    theirs = []
    build(torch).apply(lambda module: theirs.append(type(module).__name__))
    assert seen == theirs  # children first
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad(net):
    net(mg.tensor(IMAGES)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_keeps_the_parameters_and_the_integers(net):
    net(mg.tensor(IMAGES)).sum().backward()
    before = dict(net.named_parameters())
    values = {name: p.detach().numpy() for name, p in before.items()}
    assert net.double() is net
    for name, p in net.named_parameters():
        assert p is before[name] and p.requires_grad and p.is_leaf
        assert p.dtype == mg.float64 and p.grad.dtype == mg.float64
        np.testing.assert_array_equal(p.detach().numpy(), values[name])
    norm = net.features[1].norm
    assert norm.running_mean.dtype == mg.float64 and norm.num_batches_tracked.dtype == mg.int64
    assert net.half().scale.dtype == mg.float16 and net.float().scale.dtype == mg.float32
    assert net.to("cpu", mg.float64).cpu().scale.dtype == mg.float64
    assert net.to(mg.zeros(1)).scale.dtype == mg.float32
    assert net(mg.tensor(IMAGES)).dtype == mg.float32


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_independent(duplicate):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    twin = duplicate(model)
    assert repr(twin) == repr(model)
    assert type(twin[0].weight) is nn.Parameter and twin[0].weight.requires_grad
    with mg.no_grad():
        model[0].weight.zero_()
    assert (twin[0].weight.detach().numpy() != 0).all()
    assert list(twin.state_dict()) == list(model.state_dict())


# -- state ---------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_is_detached(net):
    state = net.state_dict()
    assert isinstance(state, OrderedDict)
    assert state["scale"].array is net.scale.array and not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert state["tied.weight"].array is net.head.weight.array


@pytest.mark.parametrize("convert", [lambda t: t, lambda t: t.numpy().astype(np.float64)])
def test_load_state_dict_copies(convert):
    source, target = build(mg), build(mg)
    source.features[1].norm.num_batches_tracked.fill_(7)
    state = {key: convert(value) for key, value in source.state_dict().items()}
    result = target.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    for key, value in target.state_dict().items():
        theirs = source.state_dict()[key]
        np.testing.assert_array_equal(value.numpy(), theirs.numpy())
        assert not np.shares_memory(value.array, theirs.array)
        assert value.dtype == theirs.dtype
    assert target.features[1].norm.num_batches_tracked.item() == 7
    assert target.scale.requires_grad


def test_load_state_dict_reads_pytorch_tensors():
    theirs = torch.nn.Linear(3, 2).double()
    ours = nn.Linear(3, 2, dtype=mg.float64)
    ours.load_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(ours.weight.detach().numpy(), theirs.weight.detach().numpy())


def wrong_state(net):
    state = net.state_dict()
    state = {key: np.ones(value.shape, np.float32) for key, value in state.items()}
    del state["features.0.bias"]
    state["extra"] = np.zeros(1)
    state["head.weight"] = np.zeros((3, 5), np.float32)
    return state


def test_load_state_dict_lists_what_is_wrong_and_changes_nothing(net):
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(wrong_state(net))
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:"
        '\n\tMissing key(s) in state_dict: "features.0.bias". '
        '\n\tUnexpected key(s) in state_dict: "extra". '
        "\n\tsize mismatch for head.weight: copying a param with shape (3, 5) from checkpoint, "
        "the shape in current model is (3, 32)."
    )
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_load_state_dict_not_strict(net):
    state = wrong_state(net)
    with pytest.raises(RuntimeError, match="size mismatch for head.weight"):
        net.load_state_dict(state, strict=False)
    del state["head.weight"], state["tied.weight"]
    missing, unexpected = result = net.load_state_dict(state, strict=False)
    assert missing == ["features.0.bias", "head.weight", "tied.weight"]
    assert unexpected == ["extra"]
    assert "missing_keys=['features.0.bias'" in repr(result)
    assert (net.features[0].weight.detach().numpy() == 1).all()


def test_load_state_dict_of_an_old_file(net):
    state = net.state_dict()
    del state["features.1.norm.num_batches_tracked"]
    assert net.load_state_dict(state).missing_keys == []


@pytest.mark.parametrize("value", ["abc", None, np.array([1 + 2j])])
def test_load_state_dict_of_something_else(value):
    layer = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match='copying the parameter named "bias"'):
        layer.load_state_dict({"weight": np.zeros((1, 1)), "bias": value})
    assert layer.weight.item() != 0


def test_state_survives_json_of_its_lists(net):
    text = json.dumps({key: value.tolist() for key, value in net.state_dict().items()})
    other = build(mg)
    other.load_state_dict({key: np.array(value) for key, value in json.loads(text).items()})
    for a, b in zip(other.parameters(), net.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


# -- hooks and error notes -----------------------------------------------------------------------


def test_hooks_see_and_replace():
    layer, calls = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(lambda m, args: calls.append(("pre", m, args)))
    doubling = layer.register_forward_pre_hook(lambda m, args: args[0] * 2)
    after = layer.register_forward_hook(lambda m, args, out: calls.append(("post", args, out)))
    x = mg.ones(1, 2)
    y = layer(x)
    assert calls[0] == ("pre", layer, (x,))
    assert (calls[1][1][0].numpy() == 2).all() and calls[1][2] is y
    with layer.register_forward_hook(lambda m, args, out: "replaced"):
        assert layer(x) == "replaced"
    for handle in (before, doubling, after):
        handle.remove()
        handle.remove()  # twice does no harm
    calls.clear()
    assert isinstance(layer(x), mg.Tensor) and not calls


def test_a_hook_may_remove_itself():
    layer = nn.Identity()
    handle = layer.register_forward_hook(lambda m, args, out: handle.remove())
    layer.register_forward_hook(lambda m, args, out: out + 1)
    assert [layer(1), layer(1)] == [2, 2]


def notes_of(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011, B017 - any error may pass
        call()
    return getattr(caught.value, "__notes__", [])


def test_an_error_says_in_which_layer_it_arose(net):
    images = mg.zeros(2, 3, 6, 6)
    assert notes_of(lambda: net(images)) == ["in features.0 (Conv2d), input (2, 3, 6, 6)"]
    assert notes_of(lambda: net.features(images)) == ["in 0 (Conv2d), input (2, 3, 6, 6)"]
    assert notes_of(lambda: net.features[0](images)) == ["in Conv2d, input (2, 3, 6, 6)"]


def test_an_error_in_a_networks_own_forward_and_in_modules_on_the_fly():
    class Own(nn.Module):
        def forward(self, x):
            raise KeyError("own")

    class OnTheFly(nn.Module):
        def forward(self, x):
            return nn.Sequential(Own())(x)

    x = mg.ones(1)
    assert notes_of(lambda: nn.Sequential(nn.ReLU(), Own())(x)) == ["in 1 (Own), input (1,)"]
    assert notes_of(lambda: Own()(3)) == ["in Own"]
    # No path leads to a layer that OnTheFly made inside forward: the path to OnTheFly does.
    assert notes_of(lambda: nn.Sequential(OnTheFly())(x)) == ["in 0 (OnTheFly), input (1,)"]


def test_an_error_that_is_raised_again_gets_a_note_of_its_own():
    class Retry(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            try:
                return self.inner(x)
            except RuntimeError:
                raise ValueError("wrong size") from None

    assert notes_of(lambda: Retry()(mg.ones(1, 3))) == ["in Retry, input (1, 3)"]
