"""The GPU's random numbers: Philox as published, streams that can be repeated, and dropout."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
from alexnet import train
from minigrad import backend, kernels
from minigrad.nn import functional as F

# Random123's known answers (kat_vectors, "philox4x32 10"): counter, key, result; low words first.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def joined(low_first: list[int]) -> int:
    return sum(word << 32 * i for i, word in enumerate(low_first))


def philox(counter: int, key: int) -> list[int]:
    """Ten rounds of Philox4x32, in Python's integers."""
    low = 2**32 - 1
    a, b, c, d = (counter >> 32 * i & low for i in range(4))
    for i in range(10):
        k0, k1 = key + i * 0x9E3779B9 & low, (key >> 32) + i * 0xBB67AE85 & low
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q >> 32 ^ b ^ k0, q & low, p >> 32 ^ d ^ k1, p & low
    return [a, b, c, d]


def uniform(seed: int, offset: int, n: int) -> np.ndarray:
    draws = [word for i in range(-(-n // 4)) for word in philox(offset + i, seed)]
    return (np.array(draws[:n], np.int64) >> 8) / np.float32(2**24)


@pytest.fixture
def generator(gpu):
    mg.manual_seed(5)
    return backend.generator("cuda")


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_gives_the_published_numbers(generator, counter, key, result):
    generator.set_state({"seed": joined(words(key)), "offset": joined(words(counter))})
    assert generator.bits(4).tolist() == words(result)
    assert philox(joined(words(counter)), joined(words(key))) == words(result)


def test_the_counter_carries_into_its_high_half(generator):
    offset = 2**64 - 2
    generator.set_state({"seed": 7, "offset": offset})
    expected = [word for i in range(3) for word in philox(offset + i, 7)]
    assert generator.bits(11).tolist() == expected[:11]
    assert generator.get_state() == {"seed": 7, "offset": 2**64 + 1}
    assert generator.bits(4).tolist() == philox(2**64 + 1, 7)


def test_a_seed_gives_the_same_bits_again(generator):
    def draw() -> list:
        return [x.tolist() for x in (
            mg.rand(5, device="cuda"), mg.randn(3, 3, device="cuda", dtype=mg.float64),
            mg.randint(0, 9, (4,), device="cuda"), F.dropout(mg.ones(9, device="cuda"), 0.5),
        )]  # fmt: skip

    first, state, second = draw(), mg.cuda.get_rng_state(), draw()
    assert first != second and state["seed"] == 5
    mg.cuda.set_rng_state(json.loads(json.dumps(state)))
    assert draw() == second
    mg.manual_seed(5)
    assert draw() == first and backend.generator("cuda") is generator
    assert mg.rand(5, device="cuda").tolist() != first[0]


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_run_goes_on_with_the_numbers_of_its_device(gpu, device):
    """As JSON, in the snapshot of a run, which may be taken up on another kind of device."""
    here, there = backend.Device(device), backend.Device("cuda" if device == "cpu" else "cpu")
    state = json.loads(json.dumps(train.rng_state(here)))
    expected = mg.rand(5, device=here).tolist()
    assert train.set_rng_state(state, here) and mg.rand(5, device=here).tolist() == expected
    assert not train.set_rng_state(state, there) and not train.set_rng_state(None, here)


def test_the_numbers_are_spread_as_they_should_be(generator):
    n = 40_000
    for dtype in (np.float32, np.float64):
        u = generator.random(n, dtype=dtype).get()
        z = generator.standard_normal(n, dtype=dtype).get()
        assert u.dtype == z.dtype == dtype and u.min() >= 0 and u.max() < 1
        np.testing.assert_allclose(np.histogram(u, 8, (0, 1))[0] / n, 1 / 8, atol=0.01)
        below = [(z < edge).mean() for edge in (-2, -1, 0, 1, 2)]
        np.testing.assert_allclose(below, [0.0228, 0.1587, 0.5, 0.8413, 0.9772], atol=0.01)
        assert abs(np.corrcoef(z[::2], z[1::2])[0, 1]) < 0.03
    counts = np.bincount(generator.integers(3, 8, n).get(), minlength=9)
    np.testing.assert_allclose(counts / n, [0, 0, 0, *[1 / 5] * 5, 0], atol=0.01)
    assert sorted(generator.permutation(50).tolist()) == list(range(50))
    assert 2 <= float(generator.uniform(2, 4)) < 4
    with pytest.raises(ValueError, match="no integer is at least 3 and less than 3"):
        generator.integers(3, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("start", [0, 1])  # at 1, four numbers are no longer one access
@pytest.mark.parametrize("n", [0, 1, 3, 4, 4099])
def test_dropout(gpu, generator, dtype, start, n):
    x = gpu.asarray(np.arange(1, n + start + 1).astype(dtype))[start:]
    k, before = kernels.of(x), generator.get_state()["offset"]
    y, kept = k.dropout(x, 0.4, generator)
    mask = uniform(5, before, n) >= np.float32(0.4)
    assert y.dtype == x.dtype and kept.nbytes == 24
    expected = (x.get() * np.float64(1 / 0.6) * mask).astype(dtype)
    np.testing.assert_allclose(y.get(), expected, rtol=1e-3 if dtype == "float16" else 1e-6)
    assert (k.dropout_backward(x, kept, 0.4) == y).all()
    assert n < 9 or (k.dropout(x, 0.4, generator)[0] != y).any()


def test_dropout_keeps_what_it_should_and_gives_it_back(gpu, generator):
    x = mg.ones(200, 200, device="cuda", requires_grad=True)
    with gpu.no_waiting():
        y = F.dropout(x, 0.3)
        y.sum().backward()
    kept = y.detach().cpu().numpy()
    assert (x.grad == y).all().item()
    assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((kept > 0).mean() - 0.7) < 0.01


def test_a_replayed_graph_draws_new_numbers(gpu, generator):
    x, stream = mg.ones(64, device="cuda"), gpu.cuda.Stream()
    with stream, gpu.no_waiting():
        stream.begin_capture()
        y = F.dropout(x, 0.5)
        graph = stream.end_capture()
    seen = []
    for _ in range(2):
        mg.manual_seed(1)
        for _ in range(2):
            graph.launch()
            seen.append(y.tolist())
    assert seen[:2] == seen[2:] and seen[0] != seen[1]
