"""The double of a GPU behaves as one: it stays apart, notices who waits, and repeats graphs."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from tests.kernels.cuda_arrays import Waits


def test_an_array_stays_on_its_device(gpu):
    x = gpu.asarray(np.arange(6.0).reshape(2, 3))
    for mix in (np.asarray, np.array, lambda x: x + np.ones(3), lambda x: gpu.add(x, np.ones(3)),
                lambda x: gpu.maximum(x, np.ones(3)), lambda x: np.ones(3) * x):
        with pytest.raises(TypeError):
            mix(x)
    assert type(x.get()) is np.ndarray and type(np.exp(x)) is type(x.sum()) is gpu.ndarray
    assert x[1, 2].shape == x.max().shape == () and (x[1:] + 1.5).tolist() == [[4.5, 5.5, 6.5]]
    view, twin = x.T[1], copy.deepcopy(x)
    view *= 0
    assert x.tolist() == [[0, 0, 2], [3, 0, 5]] and twin.sum().item() == 15
    assert x.astype(x.dtype, copy=False) is x and gpu.maximum(x, 1, out=x) is x
    assert not hasattr(x.flags, "writeable")


def test_tensors_live_on_it(gpu):
    x = mg.tensor([[1.0, 2.0]], device="cuda", requires_grad=True)
    assert str(x.device) == "cuda:0" and mg.cuda.is_available() and x.is_cuda
    (x * x).sum().backward()
    assert x.grad.device == x.device and x.grad.cpu().tolist() == [[2, 4]]
    with pytest.raises(RuntimeError, match="expected all tensors on one device"):
        x + mg.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        x.detach().numpy()
    assert "device='cuda:0'" in repr(x) and mg.randn(2, device="cuda").is_cuda


def test_afterwards_all_is_as_it_was(gpu, installed):
    x = gpu.ones(1)
    assert mg.Tensor(x).is_cuda
    with pytest.raises(RuntimeError, match="left by an error"), installed.in_place():
        raise RuntimeError("left by an error")
    assert mg.Tensor(x).is_cuda


def test_who_waits_is_noticed(gpu):
    x = gpu.asarray([1.0, 2.0])
    waits = (
        x.get, x[0].item, x.tolist, x.nonzero, lambda: float(x[0]), lambda: bool(x[0] > 1),
        lambda: int(x[0]), lambda: x[x > 1], lambda: x.__setitem__(x > 1, 0), lambda: str(x),
        lambda: repr(x), lambda: f"{x[0]}", lambda: gpu.where(x > 1), lambda: gpu.unique(x),
        lambda: x[[True, False]], mg.cuda.synchronize, gpu.cuda.Stream().synchronize,
    )  # fmt: skip
    for wait in waits:
        with gpu.no_waiting(), pytest.raises(Waits, match="waits for the GPU"):
            wait()
        wait()
    with gpu.no_waiting():
        gpu.where(x > 1, x, 0) + x[0] + x[gpu.asarray([1, 0])]


class Net:
    """A small network, its images in one place, and a step that can be captured by hand."""

    def __init__(self) -> None:
        mg.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)).to("cuda")
        self.optimizer = optim.SGD(self.layers.parameters(), lr=0.1, momentum=0.9)
        self.x = mg.zeros(4, 3, 8, 8, device="cuda")

    def step(self) -> mg.Tensor:
        self.optimizer.zero_grad()
        y = nn.functional.max_pool2d(self.layers(self.x).relu(), 2)
        loss = nn.functional.local_response_norm(y, 5, alpha=1.0).mean()
        loss.backward()
        self.optimizer.step()
        return loss


def state(net: Net) -> list[np.ndarray]:
    return [x.cpu().numpy() for x in net.layers.state_dict().values() if x.ndim]


def test_a_step_is_recorded_and_repeated(gpu):
    """Launched with other numbers in the same memory, a graph gives what the step gives."""
    images = np.random.default_rng(0).standard_normal((4, 4, 3, 8, 8), "float32")
    eager, graphed = Net(), Net()
    for net in (eager, graphed):  # the first step makes the momentum's memory
        net.x.array.set(images[0])
        net.step()
    before, stream = state(graphed), gpu.cuda.Stream(non_blocking=True)
    with stream, gpu.no_waiting():
        stream.begin_capture()
        loss = graphed.step()
        graph = stream.end_capture()
    for was, now in zip(before, state(graphed), strict=True):
        np.testing.assert_array_equal(was, now)  # a GPU does not do what it captures
    assert np.isnan(loss.item())
    for batch in images[1:]:
        for net in (eager, graphed):
            net.x.array.set(batch)
        with gpu.no_waiting():
            graph.launch()
        assert loss.item() == eager.step().item()
        for mine, right in zip(state(graphed), state(eager), strict=True):
            np.testing.assert_array_equal(mine, right)


def test_what_a_capture_refuses(gpu):
    x, stream = gpu.ones((2, 2)), gpu.cuda.Stream()
    refused = (
        x.get, lambda: x @ x, lambda: gpu.matmul(x, x), lambda: gpu.asarray(np.ones(2)),
        lambda: x[[0, 1]], lambda: x[x > 1], lambda: bool(x[0, 0] > 1), stream.synchronize,
    )  # fmt: skip
    with stream:
        stream.begin_capture()
        for what in refused:
            with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
                what()
        stream.end_capture()
    with pytest.raises(RuntimeError, match="legacy"):
        gpu.cuda.Stream.null.begin_capture()


def test_a_number_from_the_host_is_frozen_into_a_graph(gpu):
    """The learning rate has to live in device memory: one that does not, stays as it was."""
    x, rate, stream = gpu.zeros(1), 1.0, gpu.cuda.Stream()
    on_device = gpu.ones(1)
    with stream:
        stream.begin_capture()
        x += rate * on_device
        graph = stream.end_capture()
    rate = 100.0
    on_device.fill(10)
    graph.launch()
    assert x.item() == 10
