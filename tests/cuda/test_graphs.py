"""A graphed step does what the step does, call by call and bit by bit.

On a GPU, or on the stand-in for one (`tests/kernels/cuda_double.py`), whose streams record: while a
step is captured nothing happens, and a launch repeats what was recorded with what lies in the same
memory. What looks into the stand-in (the fixture `gpu`) takes it everywhere.
"""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import backend, nn, optim
from minigrad.backend import CPU
from minigrad.cuda import graphs
from minigrad.nn import functional as F
from tests.conftest import no_waiting, on_cuda

# Said where other shapes come: one test looks for it.
pytestmark = pytest.mark.filterwarnings("ignore:.*for these it runs as it is 2 times")

BATCHES = [np.random.default_rng(i).standard_normal((4, 2, 6, 6), "float32") for i in range(8)]


class Training:
    """A small network with its optimizer, and no matrix product, which is another's business."""

    def __init__(self, zero: str = "none", kind: type = optim.SGD, **options: Any) -> None:
        self.net = nn.BatchNorm2d(2).to("cuda")
        options = options or {"lr": 0.1, "momentum": 0.9}
        self.optimizer = kind(self.net.parameters(), **options)
        self.zero = zero

    def step(self, x: mg.Tensor) -> dict[str, mg.Tensor]:
        if self.zero in ("none", "zeros"):
            self.optimizer.zero_grad(set_to_none=self.zero == "none")
        y = F.max_pool2d(self.net(x).relu(), 2)
        loss = F.local_response_norm(y, 5, alpha=1.0).mean()
        loss.backward()
        if self.zero in ("none", "zeros"):
            self.optimizer.step()
        return {"loss": loss, "largest": y.amax()}

    def state(self) -> list[np.ndarray]:
        tensors = [*self.net.state_dict().values(), *(p.grad for p in self.net.parameters())]
        return [None if t is None else t.cpu().numpy() for t in tensors]


def same(a: Training, b: Training) -> None:
    for mine, right in zip(a.state(), b.state(), strict=True):
        np.testing.assert_array_equal(mine, right)


def put(batch: np.ndarray) -> mg.Tensor:
    return mg.tensor(batch, device="cuda")


@pytest.mark.parametrize("zero", ["none", "zeros"])
def test_a_graph_does_what_the_step_does(gpu, zero):
    """Parameters, statistics, gradients, outputs; launches from the third call on, without a wait.

    The sixth batch is shorter, as the last of an epoch; the parameters' values are replaced in
    place after the fourth.
    """
    eager, graphed = Training(zero), Training(zero)
    step, launched = mg.cuda.graph(graphed.step), []
    launch = gpu.cuda.Graph.launch
    gpu.cuda.Graph.launch = lambda self: (launched.append(self), launch(self))
    try:
        for i, batch in enumerate([*BATCHES, *BATCHES]):
            x = put(batch[:3] if i % 8 == 5 else batch)
            expected = eager.step(x)
            with gpu.no_waiting():
                found = step(x)
            for name, value in expected.items():
                assert found[name].item() == value.item()
                assert found[name].grad_fn is None
            same(graphed, eager)
            if i == 3:
                weights = {k: v.clone() + 0.5 for k, v in eager.net.state_dict().items()}
                for training in (eager, graphed):
                    training.net.load_state_dict(weights)
    finally:
        gpu.cuda.Graph.launch = launch
    assert len(launched) == 16 - 2 - 2  # a short batch comes only twice, which is its warm-up
    assert len(set(launched)) == 1


@on_cuda
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (optim.SGD, {"lr": 0.1}), (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (optim.Adam, {"lr": 0.1}), (optim.AdamW, {"lr": 0.1}),
    ],
)  # fmt: skip
def test_a_graph_follows_the_schedule_and_what_was_loaded(device, kind, options):
    """The rate of each step, the count of steps, and a state that comes in between."""
    both = eager, graphed = Training(kind=kind, **options), Training(kind=kind, **options)
    schedules = [optim.lr_scheduler.ExponentialLR(t.optimizer, 0.7) for t in both]
    step = mg.cuda.graph(graphed.step)
    kept = []
    for i, batch in enumerate(BATCHES):
        if i == 6:
            for training, state in zip(both, kept, strict=True):
                training.optimizer.load_state_dict(state)
        assert step(put(batch))["loss"].item() == eager.step(put(batch))["loss"].item()
        same(graphed, eager)
        for schedule in schedules:
            schedule.step()
        if i == 3:
            kept = [copy.deepcopy(training.optimizer.state_dict()) for training in both]
    states = [training.optimizer.state_dict()["state"] for training in both]
    for mine, right in zip(*(state.values() for state in states), strict=True):
        for name, value in right.items():
            np.testing.assert_array_equal(backend.to_device(mine[name], CPU), value.get())


@on_cuda
def test_each_shape_has_its_graph_up_to_a_number(device, monkeypatch):
    monkeypatch.setattr(graphs, "MOST", 2)
    eager, graphed = Training(), Training()
    step = mg.cuda.graph(graphed.step)
    notes = []
    for size in (4, 4, 4, 3, 4, 3, 3):
        x = put(BATCHES[size][:size])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert step(x)["loss"].item() == eager.step(x)["loss"].item()
        notes.append([str(w.message) for w in caught])
    assert len(step.recordings) == 2
    note = "[cuda.graph] step was captured for inputs of other shapes, dtypes or values: for these "
    assert notes[3] == [note + "it runs as it is 2 times, and then gets another graph"]
    assert not any(notes[:3] + notes[4:])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            x = put(BATCHES[0][:2])
            assert step(x)["loss"].item() == eager.step(x)["loss"].item()
    assert {str(w.message) for w in caught if "captured for" not in str(w.message)} == {
        "[cuda.graph] step has 2 graphs for inputs of other shapes or values: for this one it runs "
        "as it is. reset() forgets them"
    }
    same(graphed, eager)
    step.reset()
    assert not step.recordings


@on_cuda
def test_gradients_add_up_over_calls(device):
    """Where the step leaves its gradients, and somebody else takes them once in a while: the first
    of a sum is another graph than the others."""
    eager, graphed = Training("outside"), Training("outside")
    step = mg.cuda.graph(graphed.step)
    for i, batch in enumerate([*BATCHES, *BATCHES]):
        if i % 3 == 0:
            for training in (eager, graphed):
                training.optimizer.zero_grad()
        eager.step(put(batch))
        step(put(batch))
        same(graphed, eager)
        if i % 3 == 2:
            for training in (eager, graphed):
                training.optimizer.step()
    assert len(step.recordings) == 2


@on_cuda
def test_a_parameter_with_another_array_is_noticed(device):
    eager, graphed = Training(), Training()
    step = mg.cuda.graph(graphed.step)
    for i, batch in enumerate(BATCHES):
        if i == 5:
            for training in (eager, graphed):
                training.net.weight.data = mg.full((2,), 2.0, device="cuda")
        assert step(put(batch))["loss"].item() == eager.step(put(batch))["loss"].item()
    same(graphed, eager)


@on_cuda
def test_a_backward_that_saved_what_a_launch_changed_is_refused(device):
    training = Training()
    step = mg.cuda.graph(training.step)
    for batch in BATCHES[:4]:
        loss = training.net(put(batch)).sum()
        step(put(batch))
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@on_cuda
def test_inputs_may_be_anywhere_and_outputs_are_overwritten(device):
    net = nn.BatchNorm1d(2, affine=False).to("cuda").eval()
    step = mg.cuda.graph(lambda x, scale, y: (net(x) * scale + y, [scale]))
    inputs = [np.full((2, 2), i, "float32") for i in range(5)]
    results = []
    for i, x in enumerate(inputs):
        out, (scale,) = step(x, 3 if i < 4 else 4, mg.tensor(x))
        results.append((out, out.cpu().numpy(), scale))
    np.testing.assert_allclose(results[2][1], inputs[2] * 4, rtol=1e-4)
    np.testing.assert_allclose(results[4][1], inputs[4] * 5, rtol=1e-4)
    assert [scale for *_, scale in results] == [3, 3, 3, 3, 4]
    assert results[2][0] is results[3][0]  # what the third call returned
    np.testing.assert_array_equal(results[2][0].cpu().numpy(), results[3][1])


@on_cuda
def test_without_history_there_is_another_graph(device):
    net = nn.BatchNorm1d(2).to("cuda").eval()
    step = mg.cuda.graph(lambda x: net(x).sum())
    for _ in range(4):
        step(np.ones((3, 2), "float32"))
        with mg.no_grad():
            step(np.ones((3, 2), "float32"))
    assert len(step.recordings) == 2


# -------------------------------------------------------------------- numbers that change


class Counted:
    """A number that the host changes at each step, as an optimizer's is: see `capture.py`."""

    def __init__(self) -> None:
        self.count = 0
        self.array = mg.zeros(1, device="cuda")

    def advance(self) -> None:
        self.count += 1
        self.array.fill_(self.count)

    def __call__(self) -> mg.Tensor:
        from minigrad.kernels.cuda import capture

        if capture.is_capturing():
            array = self.array
            capture.before_launch(lambda: self.again(array))
        else:
            self.advance()
        return self.array

    def again(self, array: mg.Tensor) -> None:
        from minigrad.kernels.cuda import capture

        if array is not self.array:
            raise capture.Outdated
        self.advance()


@on_cuda
def test_numbers_in_device_memory_go_on_from_launch_to_launch(device):
    number, x = Counted(), mg.ones(1, device="cuda")
    step = mg.cuda.graph(lambda: x * number())
    assert [step().item() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    number.array = mg.zeros(1, device="cuda")  # somebody loads another state
    assert [step().item() for _ in range(3)] == [7, 8, 9]
    assert len(step.recordings) == 1


@on_cuda
def test_dropout_draws_anew_at_each_launch(device):
    """What the step would draw, also when somebody seeds in between."""
    x = mg.ones(64, device="cuda")
    step = mg.cuda.graph(lambda: F.dropout(x, 0.5) + F.dropout(x, 0.5))
    found, expected = [], []
    for results, draw in ((found, step), (expected, step.step)):
        mg.manual_seed(1)
        for i in range(6):
            if i == 4:
                mg.manual_seed(2)
            with no_waiting():
                y = draw()
            results.append(y.cpu().numpy())
    assert len({y.tobytes() for y in found}) == 6
    np.testing.assert_array_equal(found, expected)


# ------------------------------------------------------------------------------- memory


def test_memory_of_a_graph_is_nobody_elses(gpu, monkeypatch):
    """While a step is captured, and only then, memory comes from a pool of the graph's own; what
    outlives the capture is held by the graph, whatever the caller drops."""
    inside, pools = [], []

    class Pool(gpu.cuda.MemoryPool):
        def __init__(self, allocator):
            super().__init__(allocator)
            pools.append(self)

    @contextmanager
    def using_allocator(malloc):
        inside.append(malloc.__self__)
        yield
        inside.append(None)

    monkeypatch.setattr(gpu.cuda, "MemoryPool", Pool)
    monkeypatch.setattr(gpu.cuda, "Memory", lambda size: f"{size} bytes", raising=False)
    monkeypatch.setattr(gpu.cuda, "MemoryPointer", lambda *x: x, raising=False)
    monkeypatch.setattr(gpu.cuda, "using_allocator", using_allocator)
    seen, training = [], Training()

    def watched(x):
        seen.append(inside[-1] if inside else None)
        return training.step(x)

    step = mg.cuda.graph(watched)
    for size in (4, 4, 4, 4, 3, 3, 3, 4):
        step(put(BATCHES[0][:size]))
    assert len(pools) == 1
    assert seen == [None, None, *pools, None, None, *pools]
    assert pools[0].allocator(512) == ("512 bytes", 0)
    assert step.blocks == ["512 bytes"]  # kept, though the pool should let go of it
    grads = [weakref.ref(p.grad.array) for p in training.net.parameters()]
    loss = weakref.ref(step(put(BATCHES[0]))["loss"].array)
    training.optimizer.zero_grad()
    gc.collect()
    assert all(ref() is not None for ref in (*grads, loss))
    step.reset()
    gc.collect()
    assert all(ref() is None for ref in (*grads, loss))


# -------------------------------------------------------------------------- going wrong


def careless_item(training, x):
    return training.step(x)["loss"].item() > 0


def careless_if(training, x):
    loss = training.step(x)["loss"]
    return loss if loss > 0 else -loss


def careless_copy(training, x):
    return training.step(x)["loss"] * mg.tensor(2.0, device="cuda")


def careless_mask(training, x):
    return training.step(x[x > 0].reshape(-1, 2, 6, 6))["loss"]


def careless_product(training, x):
    return mg.matmul(x[0, 0], x[0, 0])


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (careless_item, "Tensor.item"), (careless_if, "Tensor.__bool__"),
        (careless_copy, "careless_copy"), (careless_mask, "GetItem"),
    ],
)  # fmt: skip
def test_what_breaks_a_capture_is_one_error(gpu, step, what):
    training, x = Training(), put(np.abs(BATCHES[0]))
    name, code = step.__name__, step.__code__

    def careless(x):
        return step(training, x)

    graphed = mg.cuda.graph(careless)
    for _ in range(2):
        graphed(x)
    before = training.state()
    for _ in range(2):  # and again: nothing is left half done
        with pytest.raises(RuntimeError) as caught:
            graphed(x)
        text = str(caught.value)
        assert text.startswith("[cuda.graph] the step careless cannot be captured: ")
        assert "leave out graph()" in text
        assert what in text, text
        line = int(text.partition("test_graphs.py, line ")[2].partition(")")[0])
        assert code.co_firstlineno < line < code.co_firstlineno + 4, name
        for now, was in zip(training.state(), before, strict=True):
            np.testing.assert_array_equal(now, was)
        assert gpu.cuda.get_current_stream() is gpu.cuda.Stream.null
    assert training.step(x)["loss"].item() > 0


@on_cuda
def test_inputs_are_tensors_or_values(device):
    step = mg.cuda.graph(lambda x: x)
    with pytest.raises(TypeError, match=r"\[cuda.graph\] an input is a list: tensors, arrays and"):
        step([1, 2])


def test_on_the_cpu_the_step_is_called_as_it_is():
    calls = []

    def step(x, y):
        """What it does."""
        calls.append((x, y))
        return x

    graphed = mg.cuda.graph(step, "cpu")
    x = mg.ones(2, requires_grad=True)
    assert graphed.__doc__ == "What it does."
    assert graphed(x, [1]) is x
    assert calls == [(x, [1])]


def test_without_a_gpu_the_error_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(mg.backend, "_cuda_problem", "no GPU here: plug one in")
    monkeypatch.setattr(mg.backend, "_cuda_probed", True)
    with pytest.raises(RuntimeError, match="no GPU here: plug one in"):
        mg.cuda.graph(lambda: None)
