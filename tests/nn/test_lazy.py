"""Lazy layers against PyTorch's: before the first forward, at it, and after it."""

import copy
import pickle

import numpy as np
import pytest
import torch

import minigrad as mg

LAYERS = {
    "LazyConv2d": (lambda nn: nn.LazyConv2d(4, 3, stride=2, padding=1), (2, 3, 9, 9)),
    "LazyConv2d groups": (lambda nn: nn.LazyConv2d(4, 3, groups=2, bias=False), (2, 6, 9, 9)),
    "LazyConv2d, one image": (lambda nn: nn.LazyConv2d(4, kernel_size=(3, 1)), (3, 9, 9)),
    "LazyLinear": (lambda nn: nn.LazyLinear(5), (2, 3, 7)),
    "LazyLinear without bias": (lambda nn: nn.LazyLinear(5, bias=False), (2, 7)),
    "LazyBatchNorm1d": (lambda nn: nn.LazyBatchNorm1d(momentum=0.3), (4, 7)),
    "LazyBatchNorm2d": (lambda nn: nn.LazyBatchNorm2d(eps=1e-3), (4, 3, 5, 5)),
    "LazyBatchNorm2d, untracked": (
        lambda nn: nn.LazyBatchNorm2d(track_running_stats=False), (4, 3, 5, 5)
    ),
}


def net(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    )


def images(lib=mg):
    return lib.linspace(-1, 1, 216).reshape(2, 3, 6, 6) ** 2


@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
def test_as_pytorch_before_and_after_the_first_forward(make, shape):
    ours, theirs = make(mg.nn), make(torch.nn)
    assert all(type(p) is mg.nn.UninitializedParameter for p in ours.parameters())
    assert repr(ours) == repr(theirs)
    assert str(ours.state_dict()) == str(theirs.state_dict())  # <UninitializedParameter>
    assert [repr(p) for p in ours.parameters()] == [repr(p) for p in theirs.parameters()]

    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = ours(mg.tensor(x))
    theirs(torch.tensor(x))
    assert type(ours) is getattr(mg.nn, type(theirs).__name__)
    assert repr(ours) == repr(theirs)
    assert vars(ours).keys() == vars(type(ours)(*_sizes(ours))).keys()
    state = theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    assert all(type(p) is mg.nn.Parameter for p in ours.parameters())

    fresh = make(torch.nn)
    fresh.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    fresh.eval(), ours.eval()
    np.testing.assert_allclose(
        ours(mg.tensor(x)).detach().numpy(), fresh(torch.tensor(x)).detach().numpy(), atol=1e-5
    )
    assert y.requires_grad == bool(list(ours.parameters()))


def _sizes(layer):
    return {"Conv2d": (4, 4, 3), "Linear": (4, 4)}.get(type(layer).__name__, (4,))


def test_values_are_those_of_the_plain_layer():
    mg.manual_seed(3)
    lazy = mg.nn.LazyConv2d(4, 3)
    lazy(images())
    mg.manual_seed(3)
    plain = mg.nn.Conv2d(3, 4, 3)
    assert all(mg.equal(a, b) for a, b in zip(lazy.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize(
    ("error", "use"),
    [
        (RuntimeError, lambda lib, p: p.shape),
        (ValueError, lambda lib, p: p.numel()),
        (ValueError, lambda lib, p: p + 1),
        (ValueError, lambda lib, p: p.sum()),
        (ValueError, lambda lib, p: lib.nn.init.normal_(p)),
        (ValueError, lambda lib, p: lib.nn.init.xavier_uniform_(p)),
    ],
)
def test_using_a_parameter_before_is_an_error(error, use):
    for lib in (mg, torch):
        p = lib.nn.LazyLinear(3).weight
        with pytest.raises(error, match="uninitialized parameter"):
            use(lib, p)


@pytest.mark.parametrize("lib", [mg, torch])
def test_parameters_stay_the_same_objects(lib):
    """So an optimizer that was made before the first forward trains them."""
    model = net(lib)
    opt = lib.optim.SGD(model.parameters(), lr=0.1)
    opt.step(), opt.zero_grad()  # nothing to do yet
    before = list(model.parameters())
    out = model(images(lib))
    assert all(p is q for p, q in zip(before, model.parameters(), strict=True))
    weight = model[4].weight.detach().clone()
    out.sum().backward()
    opt.step()
    assert not lib.equal(model[4].weight, weight)


@pytest.mark.parametrize("lib", [mg, torch])
def test_apply_before_sees_the_lazy_types(lib):
    seen = []

    def init(m):
        seen.append(type(m).__name__)
        if type(m) is lib.nn.Linear:
            lib.nn.init.zeros_(m.weight)

    model = net(lib)
    model.apply(init)
    model(images(lib))
    model.apply(init)
    assert seen[:2] == ["LazyConv2d", "LazyBatchNorm2d"] and seen[6:8] == ["Conv2d", "BatchNorm2d"]
    assert not model[4].weight.any()


def test_a_state_dict_gives_the_shapes():
    full = net(mg)
    full(images())
    lazy = net(mg)
    frozen = lazy[4].weight.requires_grad_(False)
    lazy.load_state_dict(full.state_dict())
    assert lazy[4].weight is frozen and not frozen.requires_grad
    assert type(frozen) is mg.nn.Parameter and frozen.shape == full[4].weight.shape
    assert repr(lazy[4]) == "LazyLinear(in_features=0, out_features=2, bias=True)"  # as PyTorch's
    before = mg.get_rng_state()
    full.eval(), lazy.eval()
    assert mg.equal(lazy(images()), full(images())) and mg.get_rng_state() == before
    assert repr(lazy) == repr(full)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        full.load_state_dict(net(mg).state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_lazy_too(copied):
    again = copied(net(mg))
    assert repr(again) == repr(net(mg))
    assert again(images()).shape == (2, 2)


def test_dtype_and_device_come_first():
    model = net(mg).to(mg.float64)
    assert {p.dtype for p in model.parameters()} == {mg.float64}
    x = images().double()
    assert model(x).dtype == mg.float64 == model[1].running_mean.dtype
    mg.manual_seed(1)
    drawn = mg.nn.LazyLinear(3, dtype=mg.float64)
    drawn(mg.ones(1, 2, dtype=mg.float64))
    mg.manual_seed(1)
    assert mg.equal(drawn.weight, mg.nn.Linear(2, 3, dtype=mg.float64).weight)


def test_a_wrong_first_input_changes_nothing():
    model = mg.nn.Sequential(mg.nn.LazyConv2d(4, 3))
    with pytest.raises(RuntimeError, match="Expected 3D or 4D input to LazyConv2d"):
        model(mg.ones(2, 3))
    with pytest.raises(ValueError, match="must be divisible by groups"):
        mg.nn.LazyConv2d(4, 3, groups=2)(images())
    assert model(images()).shape == (2, 4, 4, 4)
