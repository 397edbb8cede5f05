"""SGD against PyTorch, step by step; and what Optimizer does for all optimizers."""

import json
import warnings

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn, optim
from tests.optim import common
from tests.optim.common import TOLERANCE, assert_equal_to_pytorch, parameters, set_gradients, values

OPTIONS = {
    "plain": {"lr": 0.1},
    "default": {},
    "momentum": {"lr": 0.1, "momentum": 0.9},
    "dampening": {"lr": 0.1, "momentum": 0.9, "dampening": 0.4},
    "nesterov": {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    "decay": {"lr": 0.1, "weight_decay": 0.2},
    "momentum, decay": {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.2},
    "nesterov, decay": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_steps_as_pytorch(options, dtype, device):
    ours, theirs = parameters(mg, dtype, device), parameters(torch, dtype)
    a, b = optim.SGD(ours, **options), torch.optim.SGD(theirs, **options)
    for step in range(6):
        set_gradients(mg, ours, step)
        set_gradients(torch, theirs, step)
        given = [None if p.grad is None else p.grad.cpu().numpy().copy() for p in ours]
        a.step()
        b.step()
        assert_equal_to_pytorch(ours, theirs, dtype, f"step {step}")
        for p, g in zip(ours, given, strict=True):  # the gradients are only read
            assert (p.grad is None) == (g is None)
            if g is not None:
                np.testing.assert_array_equal(p.grad.cpu().numpy(), g)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bits(threads):
    before, results = mg.get_num_threads(), []
    try:
        for count in (1, threads):
            mg.set_num_threads(count)
            params = parameters(mg)
            opt = optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
            for step in range(2):
                set_gradients(mg, params, step)
                opt.step()
            results.append(values(params))
    finally:
        mg.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [lambda x: x.T, lambda x: x[::2], lambda x: x[:, 1:]])
def test_parameters_and_gradients_that_are_not_contiguous(make):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 6, 8)).astype(np.float32)
    p = nn.Parameter(mg.Tensor(make(x)))
    q = torch.nn.Parameter(torch.tensor(make(x).copy()))
    memory = p.array
    assert not memory.flags.c_contiguous
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    a, b = optim.SGD([p], **options), torch.optim.SGD([q], **options)
    p.grad, q.grad = mg.Tensor(make(g)), torch.tensor(make(g).copy())
    for _ in range(3):
        a.step()
        b.step()
    assert p.array is memory
    assert_equal_to_pytorch([p], [q], "float32")


def test_a_gradient_that_cannot_be_written_to():
    p = nn.Parameter(mg.zeros(3))
    p.grad = mg.Tensor(np.broadcast_to(np.float32(2), (3,)))
    optim.SGD([p], lr=0.5, weight_decay=0.1, momentum=0.9).step()
    assert (p.detach().numpy() == -1).all()


def test_float16_stays_float16():
    p = nn.Parameter(mg.ones(4, dtype=mg.float16))
    p.grad = mg.ones(4, dtype=mg.float16)
    opt = optim.SGD([p], lr=np.float64(0.5), momentum=np.float64(0.9))
    opt.step()
    assert p.dtype == mg.float16 and (p.detach().numpy() == 0.5).all()
    assert opt.state[p]["momentum_buffer"].dtype == mg.float16


def test_empty_parameter():
    p = nn.Parameter(mg.zeros(0, 3))
    p.grad = mg.zeros(0, 3)
    optim.SGD([p], lr=0.5, momentum=0.9).step()
    assert p.shape == (0, 3)


def test_training_a_line_through_autograd():
    """Least squares has an answer: gradient descent must find it."""
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((64, 3)).astype(np.float32))
    truth = mg.tensor([[1.0, -2.0, 0.5]])
    mg.manual_seed(0)
    layer = nn.Linear(3, 1)
    opt = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    target = (x * truth).sum(1, keepdim=True) + 0.25
    for _ in range(300):
        opt.zero_grad()
        nn.functional.mse_loss(layer(x), target).backward()
        opt.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), truth.numpy(), atol=1e-4)
    np.testing.assert_allclose(layer.bias.item(), 0.25, atol=1e-4)


def test_a_step_between_forward_and_backward_is_noticed():
    w = nn.Parameter(mg.ones(2))
    opt = optim.SGD([w], lr=0.1)
    loss = (w * w).sum()
    w.grad = mg.ones(2)
    opt.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# -- what Optimizer does for all -----------------------------------------------------------------


def test_groups_options_and_text():
    def build(lib):
        a, b, c = (lib.nn.Parameter(lib.ones(i)) for i in (1, 2, 3))
        opt = lib.optim.SGD([{"params": a}, {"params": [b], "lr": 0.5}], lr=0.1, momentum=0.9)
        opt.add_param_group({"params": (c,), "weight_decay": 0.25})
        return opt

    ours, theirs = build(mg), build(torch)
    keys = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
    for a, b in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert {k: a[k] for k in keys} == {k: b[k] for k in keys}
        assert [p.shape for p in a["params"]] == [tuple(p.shape) for p in b["params"]]
    skipped = ("differentiable", "foreach", "fused", "maximize")
    lines = [line for line in repr(theirs).splitlines() if not line.strip().startswith(skipped)]
    assert repr(ours) == "\n".join(lines)


def test_each_group_is_updated_by_its_own_options():
    a, b = nn.Parameter(mg.ones(1)), nn.Parameter(mg.ones(1))
    opt = optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.25)
    a.grad = b.grad = mg.ones(1)
    opt.step()
    assert (a.item(), b.item()) == (0.75, 0.5)


def test_closure_and_zero_grad():
    p = nn.Parameter(mg.tensor([3.0]))
    opt = optim.SGD([p], lr=0.5)

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():  # the closure records all the same
        assert opt.step(closure).item() == 9.0
    assert p.item() == 0.0
    assert opt.step() is None
    opt.zero_grad(set_to_none=False)
    assert p.grad.item() == 0.0
    opt.zero_grad()
    assert p.grad is None


A, B = nn.Parameter(mg.ones(1)), nn.Parameter(mg.ones(1))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([A], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda: optim.SGD([A], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda: optim.SGD([A], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda: optim.SGD([A], lr=float("nan")), ValueError, "Invalid learning rate: nan"),
        (lambda: optim.SGD([A], nesterov=True), ValueError, "Nesterov momentum requires"),
        (
            lambda: optim.SGD([A], momentum=0.9, dampening=0.1, nesterov=True),
            ValueError,
            "zero dampening",
        ),
        (lambda: optim.SGD([]), ValueError, "empty parameter list"),
        (lambda: optim.SGD(A), TypeError, "should be an iterable of Tensors or dicts"),
        (lambda: optim.SGD({A, B}), TypeError, "Please use a list instead"),
        (lambda: optim.SGD([{"params": {A, B}}]), TypeError, "Please use a list instead"),
        (lambda: optim.SGD([3]), TypeError, "one of the params is int"),
        (lambda: optim.SGD([A * 2]), ValueError, "non-leaf"),
        (lambda: optim.SGD([{"params": [A]}, {"params": [A, B]}]), ValueError, "more than one"),
        (lambda: optim.SGD([A]).add_param_group([B]), TypeError, "must be a dict"),
        (lambda: optim.Optimizer([A], {}).step(), NotImplementedError, "Optimizer does not say"),
    ],
)
def test_errors(make, error, message):
    A.grad = mg.ones(1)
    with pytest.raises(error, match=message):
        make()


def test_a_parameter_twice_in_a_group_is_warned_of():
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([A, A])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.SGD([A, B])


# -- state ---------------------------------------------------------------------------------------


def run(optimizer, params, steps):
    for step in steps:
        set_gradients(mg, params, step)
        optimizer.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
        lambda params: optim.Adam(params, lr=0.1, weight_decay=0.1),
        lambda params: optim.AdamW([{"params": params[:2], "lr": 0.2}, {"params": params[2:]}]),
    ],
)
def test_interrupted_training_goes_on_to_the_same_bits(make):
    straight = parameters(mg)
    run(make(straight), straight, range(6))

    params = parameters(mg)
    first = make(params)
    run(first, params, range(3))
    saved = first.state_dict()
    arrays = {  # as a file would keep it: arrays here, all else through JSON
        (i, name): value.copy()
        for i, entry in saved["state"].items()
        for name, value in entry.items()
        if isinstance(value, np.ndarray)
    }
    assert len(arrays) >= len(common.SHAPES)
    rest = json.loads(json.dumps(saved, default=lambda array: None))
    for i, entry in rest["state"].items():
        entry.update({name: array for (j, name), array in arrays.items() if j == int(i)})

    resumed = [nn.Parameter(mg.tensor(p.detach().numpy())) for p in params]
    second = make(resumed)
    second.load_state_dict(rest)
    kept = {key: array.copy() for key, array in arrays.items()}
    run(first, params, range(3, 6))  # the first one goes on: nothing may be shared
    run(second, resumed, range(3, 6))
    for a, b, c in zip(values(straight), values(params), values(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for key, array in arrays.items():  # what was loaded was copied
        np.testing.assert_array_equal(array, kept[key])


def test_state_dict_has_pytorchs_form():
    ours, theirs = parameters(mg), parameters(torch)
    a = optim.SGD([{"params": ours[:1]}, {"params": ours[1:]}], lr=0.1, momentum=0.9)
    b = torch.optim.SGD([{"params": theirs[:1]}, {"params": theirs[1:]}], lr=0.1, momentum=0.9)
    for step in (1, 2):
        for lib, params, opt in ((mg, ours, a), (torch, theirs, b)):
            set_gradients(lib, params, step)
            opt.step()
    x, y = a.state_dict(), b.state_dict()
    assert list(x) == list(y) == ["state", "param_groups"]
    assert [g["params"] for g in x["param_groups"]] == [g["params"] for g in y["param_groups"]]
    assert x["state"].keys() == y["state"].keys()
    for i, entry in x["state"].items():
        assert entry.keys() == y["state"][i].keys()
        np.testing.assert_allclose(
            entry["momentum_buffer"], y["state"][i]["momentum_buffer"].numpy(), atol=1e-6
        )


def test_load_state_dict_refuses_what_does_not_fit():
    def state_of(*shapes):
        params = [nn.Parameter(mg.ones(shape)) for shape in shapes]
        opt = optim.SGD(params, lr=0.7, momentum=0.9)
        for p in params:
            p.grad = mg.ones(p.shape)
        opt.step()
        return opt.state_dict()

    target = optim.SGD([nn.Parameter(mg.ones(2))], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        target.load_state_dict(state_of(2, 2))
    with pytest.raises(ValueError, match=r"'momentum_buffer' of shape \(3,\) .* shape \(2,\)"):
        target.load_state_dict(state_of(3))
    two = state_of(2)
    two["param_groups"] *= 2
    with pytest.raises(ValueError, match="different number of parameter groups"):
        target.load_state_dict(two)
    assert target.param_groups[0]["lr"] == 0.1 and not target.state
    right = state_of(2)
    right["state"][0]["momentum_buffer"] = np.ones(2)  # float64, as some files have it
    target.load_state_dict(right)
    assert target.param_groups[0]["lr"] == 0.7
    (state,) = target.state.values()
    assert state["momentum_buffer"].dtype == mg.float32
