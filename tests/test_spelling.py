"""Two ways to say the same, both of them in listings: axis and dim, zeros(2, 3) and size=(2, 3)."""

import pickle

import numpy as np
import pytest
import torch

import minigrad as mg


@pytest.mark.parametrize(
    "name", ["all", "amax", "amin", "any", "argmax", "argmin", "max", "mean", "min", "sum", "var"]
)
def test_reductions_take_numpys_names(name):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    for options in ({"axis": 1}, {"axis": 0, "keepdims": True}, {"dim": 1, "keepdims": True}):
        theirs, tensor = getattr(torch.tensor(x), name)(**options), mg.tensor(x)
        for ours in (getattr(tensor, name)(**options), getattr(mg, name)(tensor, **options)):
            if name in ("max", "min"):
                assert ours.values.tolist() == theirs.values.tolist()
            else:
                assert ours.shape == theirs.shape
                np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "squeeze", "unsqueeze"])
def test_so_do_others(name):
    x = np.random.default_rng(0).standard_normal((3, 1)).astype(np.float32)
    theirs = getattr(torch.tensor(x), name)(axis=1)
    np.testing.assert_allclose(getattr(mg.tensor(x), name)(axis=1).numpy(), theirs.numpy())


@pytest.mark.parametrize("name", ["cat", "stack"])
def test_so_do_functions_of_several_tensors(name):
    shape = getattr(torch, name)([torch.ones(2, 3), torch.ones(2, 3)], axis=1).shape
    assert getattr(mg, name)([mg.ones(2, 3), mg.ones(2, 3)], axis=1).shape == shape


def test_split_has_another_name_for_its_sizes_as_a_function():
    for sizes in (2, [1, 3]):
        parts = mg.split(mg.arange(4), split_size_or_sections=sizes)
        theirs = torch.split(torch.arange(4), split_size_or_sections=sizes)
        assert [part.tolist() for part in parts] == [part.tolist() for part in theirs]


def test_the_functions_can_be_pickled():
    assert pickle.loads(pickle.dumps(mg.sum)) is mg.sum


def test_one_name_twice_is_an_error():
    with pytest.raises(TypeError):
        mg.ones(2, 3).sum(0, axis=1)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty", "rand", "randn"])
def test_sizes_may_be_named(name):
    make = getattr(mg, name)
    for made in (make(2, 3), make((2, 3)), make([2, 3]), make(size=(2, 3))):
        assert made.shape == (2, 3) and made.dtype == mg.float32
    assert make(()).shape == make(size=()).shape == ()


def test_normal():
    x = mg.normal(3.0, 0.5, size=(200, 200), requires_grad=True)
    assert x.requires_grad and x.is_leaf and x.dtype == mg.float32
    assert x.mean().item() == pytest.approx(3, abs=0.02)
    assert x.var().item() == pytest.approx(0.25, abs=0.01)
    assert mg.normal(0, 1, (2,), dtype=mg.float64).dtype == mg.float64
