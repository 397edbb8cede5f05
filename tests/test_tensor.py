"""What users hold: how tensors come to be, what they answer, and where their memory goes."""

from __future__ import annotations

import itertools
import json
import math
import operator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import dtypes
from tests.conftest import on_cuda

# --------------------------------------------------------------------------------------- creation


@pytest.mark.parametrize(
    "data",
    [3.5, 3, True, [1, 2], [1.0, 2], [[True, False]], [], [[]], (1, (2)), [[1, 2.5], (3, 4)],
     np.float64(2.0), np.arange(3), np.arange(3.0), np.ones((2, 0), np.float16), np.uint8([200])],
    ids=repr,
)
def test_tensor_has_pytorchs_dtype_and_shape(data: Any) -> None:
    ours, theirs = mg.tensor(data), torch.tensor(data)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert ours.shape == tuple(theirs.shape)
    assert ours.tolist() == theirs.tolist()


def test_tensor_copies_and_as_tensor_does_not() -> None:
    array = np.ones(3, np.float32)
    assert not np.shares_memory(mg.tensor(array).array, array)
    for share in (mg.as_tensor, mg.from_numpy, mg.Tensor):
        assert np.shares_memory(share(array).array, array)
    t = mg.Tensor(array)
    assert mg.as_tensor(t) is t
    assert mg.as_tensor(t, dtype=mg.float64).dtype == mg.float64


def test_tensor_of_tensors() -> None:
    assert mg.tensor([mg.tensor(1.0), mg.tensor(2.5)]).tolist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        pytest.param(lambda: mg.tensor([[1, 2], [3]]), ValueError, "rows differ", id="ragged"),
        pytest.param(lambda: mg.tensor("abc"), TypeError, "cannot hold dtype <U3", id="text"),
        pytest.param(lambda: mg.Tensor(np.zeros(2, ">f4")), TypeError, ">f4.*supported are bool",
                     id="byte-order"),
        pytest.param(lambda: mg.from_numpy([1]), TypeError, r"np.ndarray \(got list\)", id="list"),
        pytest.param(lambda: mg.ones(2, device="gpu"), ValueError, "'gpu'.*'cuda:<ind", id="gpu"),
        pytest.param(lambda: mg.eye(-1), RuntimeError, r"\[eye\] .* -1", id="eye"),
        pytest.param(lambda: mg.eye(2, -3), RuntimeError, "2 and -3", id="eye-columns"),
        pytest.param(lambda: mg.arange(0, 3, 0), RuntimeError, "no step of 0", id="no-step"),
        pytest.param(lambda: mg.arange(3, 0), RuntimeError, "from 3 to 0", id="step-sign"),
        pytest.param(lambda: mg.arange(math.inf), RuntimeError, "to inf", id="endless"),
        pytest.param(lambda: mg.linspace(0, 1, -1), RuntimeError, "negative, got -1", id="steps"),
        pytest.param(lambda: mg.manual_seed(-1), ValueError, "at least 0, got -1", id="seed"),
    ],
)
def test_creation_refuses(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.zeros(2, 3), lambda lib: lib.ones((2, 3)), lambda lib: lib.ones([2]),
        lambda lib: lib.full((2, 2), 7), lambda lib: lib.full((2,), 1.5),
        lambda lib: lib.full((1,), True), lambda lib: lib.eye(3), lambda lib: lib.eye(2, 3),
        lambda lib: lib.arange(5), lambda lib: lib.arange(1, 7, 2), lambda lib: lib.arange(3.0),
        lambda lib: lib.arange(5, 0, -2), lambda lib: lib.linspace(0, 1, 5),
        lambda lib: lib.zeros(3, dtype=lib.int64), lambda lib: lib.ones(2, dtype=lib.float64),
        lambda lib: lib.zeros_like(lib.ones(2, 3)), lambda lib: lib.full_like(lib.zeros(2), 3),
        lambda lib: lib.ones_like(lib.arange(3)), lambda lib: lib.zeros(()),
        lambda lib: lib.ones_like(lib.ones(2), dtype=lib.float64),
        lambda lib: lib.full_like(lib.ones(2), 0.1, dtype=lib.float64),
        lambda lib: lib.zeros_like(lib.ones(2), device="cpu"), lambda lib: lib.eye(0),
        lambda lib: lib.arange(0.5, 4.7, 1.5, dtype=lib.int64), lambda lib: lib.arange(0),
        lambda lib: lib.arange(-1.5, 2, dtype=lib.float64), lambda lib: lib.linspace(1, 9, 0),
        lambda lib: lib.linspace(4.3, 50, 50, dtype=lib.int64), lambda lib: lib.linspace(3, 9, 1),
        lambda lib: lib.linspace(lib.tensor(0.5), lib.tensor(4), 8, dtype=lib.float64),
    ],
)
def test_factories_are_pytorchs(make: Any) -> None:
    ours, theirs = make(mg), make(torch)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("make", [
    mg.zeros_like, mg.ones_like, mg.rand_like, mg.randn_like,
    lambda x, **options: mg.full_like(x, 2, **options), lambda x, **options: mg.eye(2, **options),
])
def test_what_a_factory_makes_is_as_demanded(make: Any, device: str) -> None:
    x = make(mg.ones(2, 2), dtype=mg.float64, device=device, requires_grad=True)
    assert (x.dtype, str(x.device.type), x.requires_grad) == (mg.float64, device, True)


def test_random_numbers(device: str) -> None:
    mg.manual_seed(7)
    first = [mg.rand(3, device=device), mg.randn(2, 2, device=device),
             mg.randint(5, 9, (50,), device=device), mg.randperm(10, device=device)]
    mg.manual_seed(7)
    again = [mg.rand(3, device=device), mg.randn(2, 2, device=device),
             mg.randint(5, 9, (50,), device=device), mg.randperm(10, device=device)]
    assert all(mg.equal(x, y) for x, y in zip(first, again, strict=True))
    assert [str(x.dtype) for x in first] == ["float32", "float32", "int64", "int64"]
    assert set(first[2].tolist()) == {5, 6, 7, 8}
    assert sorted(first[3].tolist()) == list(range(10))
    x = mg.rand(20_000, device=device)
    assert 0 <= x.min().item() < 0.01
    assert 0.99 < x.max().item() < 1
    y = mg.randn_like(x)
    assert abs(y.mean().item()) < 0.03
    assert abs(y.var().item() - 1) < 0.05
    assert mg.randint(3, (4,)).max().item() < 3


def test_the_state_of_the_generator_survives_json() -> None:
    state = json.loads(json.dumps(mg.get_rng_state()))
    x = mg.rand(4)
    mg.set_rng_state(state)
    assert mg.equal(x, mg.rand(4))
    mg.manual_seed(5)
    assert mg.initial_seed() == 5


# ---------------------------------------------------------------------------------------- dtypes

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
KINDS = ["dim", "0-d", "bool", "int", "float"]


def operand(lib: Any, kind: str, dtype: str) -> Any:
    if kind in ("dim", "0-d"):
        return lib.ones(() if kind == "0-d" else (2,), dtype=getattr(lib, dtype))
    return {"bool": True, "int": 1, "float": 1.0}[kind]


@pytest.mark.parametrize("op", ["add", "mul", "truediv", "lt"])
@pytest.mark.parametrize("kinds", [*itertools.product(KINDS[:2], KINDS), *itertools.product(
    KINDS[2:], KINDS[:2])], ids="-".join)
def test_promotion_is_pytorchs(kinds: tuple[str, str], op: str) -> None:
    """Every pair of dtypes, with dimensions, without, and beside Python's numbers."""
    function = getattr(operator, op)
    for a, b in itertools.product(NAMES, NAMES):
        ours, theirs = (
            function(operand(lib, kinds[0], a), operand(lib, kinds[1], b)) for lib in (mg, torch)
        )
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch."), (a, b)
        assert ours.shape == tuple(theirs.shape)


@pytest.mark.parametrize("lone", [np.float64(2.0), np.array(2.0), np.int64(2), 2, 2.0, True])
def test_numpy_scalars_never_widen(lone: Any) -> None:
    """NumPy 2 makes float64 of float32 times a NumPy scalar; a network must not notice."""
    for dtype in (mg.float16, mg.float32):
        x = mg.ones(3, dtype=dtype, requires_grad=True)
        for y in (x * lone, lone * x, x + lone, lone - x, x / lone, lone / x, x**lone, lone**x):
            assert y.dtype == dtype
            y.sum().backward()
            assert x.grad.dtype == dtype


def test_numpy_arrays_are_operands() -> None:
    x = mg.tensor([1.0, 2.0], dtype=mg.float64)
    for y in (x + np.ones(2), np.ones(2) + x):
        assert isinstance(y, mg.Tensor)
        assert y.tolist() == [2.0, 3.0]
    assert (np.float64(3.0) * x).tolist() == [3.0, 6.0]


def test_promote_types() -> None:
    for pair in itertools.product(NAMES, NAMES):
        ours = mg.promote_types(*(getattr(mg, name) for name in pair))
        theirs = torch.promote_types(*(getattr(torch, name) for name in pair))
        assert str(ours) == str(theirs).removeprefix("torch."), pair


def test_casts() -> None:
    x = mg.tensor([1.5, -2.5])
    for name, dtype in (("half", "float16"), ("float", "float32"), ("double", "float64"),
                        ("long", "int64"), ("int", "int32"), ("bool", "bool")):
        assert str(getattr(x, name)().dtype) == dtype
        assert getattr(x, name)().tolist() == getattr(torch.tensor([1.5, -2.5]), name)().tolist()
    assert x.float() is x
    assert x.type(mg.float16).dtype == mg.float16
    assert dtypes.accumulator(mg.float16) == mg.float32


# ------------------------------------------------------------------------------------ what it says


def test_attributes(device: str) -> None:
    x = mg.zeros(2, 3, 4, dtype=mg.float16, device=device)
    assert x.shape == x.size() == (2, 3, 4)
    assert x.size(-1) == 4
    assert (x.dim(), x.ndim, x.numel(), x.element_size(), len(x)) == (3, 3, 24, 2, 2)
    assert repr(x.shape) == "Size([2, 3, 4])"
    assert x.shape.numel() == 24
    assert x.is_floating_point()
    assert x.is_leaf
    assert x.is_cuda == (device == "cuda")
    assert x.T.shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()
    assert x.view_as(mg.zeros(6, 4)).shape == x.reshape_as(mg.zeros(6, 4)).shape == (6, 4)
    assert mg.zeros(1, device=device).expand_as(x).shape == x.shape


def test_numbers_out_of_tensors(device: str) -> None:
    x = mg.tensor([2.5], device=device)
    assert x.item() == float(x) == 2.5
    assert int(x) == 2
    assert f"{x.sum():.3f}" == "2.500"
    assert [10, 20, 30][mg.tensor(1, device=device)] == 20
    assert bool(x)
    assert not mg.tensor(0)
    assert [y.item() for y in mg.arange(3, device=device)] == [0, 1, 2]
    assert 2 in mg.arange(3, device=device)
    assert len({x, x}) == 1
    assert (x == None) is False  # noqa: E711 - what a listing may write


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda: mg.ones(2).item(), RuntimeError, "2 elements cannot be converted to Scalar"),
        (lambda: bool(mg.ones(2)), RuntimeError, "more than one value is ambiguous"),
        (lambda: len(mg.tensor(1)), TypeError, "0-d"),
        (lambda: list(mg.tensor(1)), TypeError, "iteration over a 0-d"),
        (lambda: [1][mg.tensor(0.0)], TypeError, "only integer tensors"),
        (lambda: mg.ones(1, requires_grad=True).numpy(), RuntimeError, r"detach\(\).numpy"),
        (lambda: np.asarray(mg.ones(1, requires_grad=True)), RuntimeError, "requires grad"),
        (lambda: np.from_dlpack(mg.ones(1, requires_grad=True)), BufferError, "require gradient"),
    ],
)
def test_what_it_will_not_say(ask: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        ask()


PRINTED = [
    [1.0, 2.5], [1.0, 2.0], 3.0, 3, [True, False], [], [[1, -20], [300, 4]], [[1.0, 1e-5]], [1e9],
    [0.0, 1.0, float("inf")], [float("nan"), 1.25], [[[1.0], [2.0]]], [1e-3, 1.0], [123456.0, 0.5],
    list(range(40)), [[0.1] * 12] * 3, [1.0, 2000.0], [1, 1000], [[1e-5, 1.5]], [0.0, -0.0], [-1.5],
    [[[1.5, -2.0], [float("-inf"), 4.0]], [[0.0, 1.0], [1.0, 1.0]]], [2e-5, 3e-5], [1e8, 1.0],
    list(range(1001)), [[0.5] * 30] * 40,
]


@pytest.mark.parametrize("data", PRINTED, ids=lambda data: repr(data)[:30])
def test_repr_is_pytorchs(data: Any) -> None:
    assert repr(mg.tensor(data)) == repr(torch.tensor(data))


def test_repr_of_large_tensors_and_other_dtypes() -> None:
    for make in (
        lambda lib: lib.arange(2000), lambda lib: lib.arange(2000.0).reshape(50, 40),
        lambda lib: lib.zeros(3, dtype=lib.float64), lambda lib: lib.ones(2, dtype=lib.uint8),
        lambda lib: lib.zeros(2, 0, 3), lambda lib: lib.ones(2, requires_grad=True),
        lambda lib: lib.zeros(0, dtype=lib.int64), lambda lib: lib.zeros(12, 12, 12),
        lambda lib: lib.full((9,), 0.1, dtype=lib.float64),
        lambda lib: lib.arange(24).view(2, 3, 4),
    ):
        assert repr(make(mg)) == repr(make(torch)).replace("torch.", "minigrad.")
    assert repr(mg.ones(2, requires_grad=True) * 2) == "tensor([2., 2.], grad_fn=<MulBackward>)"


# -------------------------------------------------------------------------------- other libraries


@pytest.mark.parametrize("name", NAMES)
def test_dlpack_both_ways_shares_memory(name: str) -> None:
    ours = mg.ones(2, 3, dtype=getattr(mg, name))
    theirs = torch.from_dlpack(ours)
    assert theirs.dtype == getattr(torch, name)
    back = mg.from_dlpack(theirs)
    assert back.dtype == ours.dtype
    theirs[0, 1] = 0
    assert ours.array[0, 1] == back.array[0, 1] == 0
    assert np.shares_memory(np.from_dlpack(ours), ours.array)


def test_dlpack_from_torch_can_be_written_to() -> None:
    theirs = torch.zeros(3)
    ours = mg.from_dlpack(theirs)
    ours += 1
    assert theirs.tolist() == [1.0, 1.0, 1.0]
    assert mg.from_dlpack(torch.zeros(2, 3).t()).shape == (3, 2)


def test_array_protocol() -> None:
    x = mg.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(x.numpy(), x.array)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype=np.int64, copy=False)


# ------------------------------------------------------------------------------------------ devices


def test_devices() -> None:
    assert mg.device("cpu") == mg.ones(1).device
    assert str(mg.device("cuda")) == "cuda:0"
    assert mg.device("cuda", 1) == mg.device("cuda:1") != mg.device("cpu")
    assert repr(mg.device("cpu")) == "device(type='cpu')"
    assert len({mg.device("cuda"), mg.device("cuda:0")}) == 1


def test_moving(device: str) -> None:
    x = mg.ones(2, device=device, requires_grad=True)
    assert x.to(device) is x
    assert x.to(mg.float64).dtype == mg.float64
    assert x.to(mg.ones(1, dtype=mg.float16)).dtype == mg.float16
    assert str(x.cpu().device) == "cpu"
    (x.cpu() * 2).sum().backward()
    assert str(x.grad.device).startswith(device)
    assert x.grad.tolist() == [2.0, 2.0]


@on_cuda
def test_mixed_devices_are_refused(device: str) -> None:
    x, y = mg.ones(2), mg.ones(2, device=device)
    for mix in (lambda: x + y, lambda: y < x, lambda: mg.cat([x, y])):
        with pytest.raises(RuntimeError, match=r"found (cpu and cuda:0|cuda:0 and cpu).*\.to\("):
            mix()


@pytest.mark.skipif(mg.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_message_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"pip install|nvidia-smi"):
        mg.ones(1).cuda()
    assert mg.cuda.device_count() == 0


# ---------------------------------------------------------------------------------- views, in place


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(4, 3), lambda x: x.t(), lambda x: x[1], lambda x: x[1, 2],
        lambda x: x[:, ::2], lambda x: x.unsqueeze(0), lambda x: x.flatten(), lambda x: x.detach(),
        lambda x: x.split(2)[1], lambda x: x.chunk(2, 1)[0], lambda x: x.unbind()[2],
        lambda x: x.unflatten(1, (2, 2)), lambda x: x[None, ..., 1], lambda x: x.data,
        lambda x: x.permute(1, 0).transpose(0, 1), lambda x: x[:1].squeeze(),
    ],
)
def test_views_share_memory(view: Any) -> None:
    x = mg.zeros(3, 4)
    v = view(x)
    v.fill_(1.0)
    assert x.sum().item() == v.numel()


def test_copies_do_not_share_memory() -> None:
    x = mg.zeros(3, 4)
    for copy in (x.clone(), x[[0, 1]], x[x == 0], x.t().reshape(12), x.to(mg.float32, copy=True)):
        copy.fill_(1.0)
        assert x.sum().item() == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(2, alpha=3), lambda x: x.sub_(x), lambda x: x.mul_(2.5),
        lambda x: x.div_(4), lambda x: x.pow_(2), lambda x: x.fill_(3), lambda x: x.zero_(),
        lambda x: x.copy_(x[0].clone()), lambda x: x.relu_(), lambda x: operator.iadd(x, x),
        lambda x: operator.isub(x, 1), lambda x: operator.imul(x, x),
        lambda x: operator.itruediv(x, 3), lambda x: operator.ipow(x, 2),
    ],
)
def test_in_place_methods_are_pytorchs(change: Any) -> None:
    values = [[1.0, -2.0], [0.5, 4.0]]
    ours, theirs = mg.tensor(values), torch.tensor(values)
    memory = ours.array
    assert change(ours) is ours
    change(theirs)
    assert ours.array is memory
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_random_fills() -> None:
    x = mg.empty(10_000).normal_(3.0, 0.5)
    assert abs(x.mean().item() - 3) < 0.03
    assert abs(x.var().item() - 0.25) < 0.02
    x.uniform_(2.0, 4.0)
    assert 2 <= x.min().item() < x.max().item() < 4


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, 5.0), ((slice(None), 1), [1.0, 2.0, 3.0]), (slice(1, None), 0), ((0, 0), 2.0),
     ([0, 2], [[1.0] * 4, [2.0] * 4]), (..., -1.0), ((slice(None), slice(None, None, 2)), 7.0)],
    ids=str,
)
def test_assignment_is_pytorchs(index: Any, value: Any) -> None:
    ours, theirs = mg.zeros(3, 4), torch.zeros(3, 4)
    ours[index] = mg.tensor(value)
    theirs[index] = torch.tensor(value, dtype=torch.float32)
    assert ours.tolist() == theirs.tolist()
    ours[ours > 1] = 0
    theirs[theirs > 1] = 0
    assert ours.tolist() == theirs.tolist()


def test_assigning_data_replaces_the_memory() -> None:
    x = mg.ones(2, requires_grad=True)
    x.data = mg.zeros(3)
    assert x.shape == (3,)
    assert x.requires_grad
    x.data += 1
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_warnings_are_not_the_users_business() -> None:
    """Infinities and NaN come without a warning, in small tensors and in threads."""
    for size in (3, 100_000):
        x = mg.zeros(size)
        for y in (1 / x, x / x, x.log(), (x - 1).sqrt(), (x + 1e30) ** 2, (x + 1000).exp(),
                  x.half() + 1e6, (-1000 - x).sigmoid()):
            assert y.shape == (size,)
    assert np.isnan(mg.zeros(0).mean().item())
    assert np.isnan(mg.tensor([np.nan, 1.0]).amax().item())
    assert mg.tensor([-np.inf, -np.inf]).softmax(0).isnan().all().item()


@pytest.mark.parametrize(
    ("name", "args"), [("max", (1,)), ("min", (0,)), ("sort", ()), ("topk", (1,)), ("topk", (2,))]
)
def test_values_and_indices_print_as_pytorchs(name, args):
    x = [[1.0, 3.0], [2.0, 0.5]]
    ours, theirs = (getattr(lib.tensor(x), name)(*args) for lib in (mg, torch))
    assert f"torch.{ours}" == str(theirs)
    assert type(ours).__name__ == type(theirs).__name__
    values, indices = deepcopy(ours)
    assert values.tolist() == theirs.values.tolist()
    assert indices.tolist() == theirs.indices.tolist()
