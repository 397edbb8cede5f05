"""What listings ask a GPU, under PyTorch's names."""

from __future__ import annotations

import pytest

import minigrad as mg
from tests.conftest import no_waiting, on_cuda
from tests.kernels import cuda_arrays

UNKNOWN = [
    ("cuda", "max_memory_allocated", "memory_allocated, memory_reserved"),
    ("cuda", "set_device", "device='cuda:1'"), ("cuda.amp", "custom_fwd", "autocast"),
    ("amp", "custom_bwd", "autocast"),
]  # fmt: skip


def test_a_gpu_says_what_it_is(gpu, monkeypatch):
    assert (mg.cuda.device_count(), mg.cuda.current_device()) == (1, 0)
    for device in (None, 0, "cuda", "cuda:0", mg.device("cuda")):
        assert mg.cuda.get_device_name(device) == "double"
        assert mg.cuda.get_device_capability(device) == (9, 0)
        known = mg.cuda.get_device_properties(device)
        assert (known.total_memory, known.multi_processor_count) == (80 << 30, 132)
    assert mg.cuda.is_bf16_supported()
    monkeypatch.setitem(cuda_arrays.PROPERTIES, "major", 7)
    assert not mg.cuda.is_bf16_supported()
    with pytest.raises(RuntimeError, match="there is no cuda:3: this machine has 1 CUDA device"):
        mg.cuda.get_device_name(3)
    with pytest.raises(ValueError, match="expected a GPU"):
        mg.cuda.memory_allocated("cpu")


def test_bfloat16_needs_a_library(gpu, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    assert not mg.cuda.is_bf16_supported()


@on_cuda
def test_memory_is_counted(device):
    before = mg.cuda.memory_allocated()
    x = mg.zeros(1 << 20, device=device)
    assert mg.cuda.memory_allocated() - before == 4 * x.numel() == 1 << 22
    assert mg.cuda.memory_reserved() >= mg.cuda.memory_allocated()
    del x
    assert mg.cuda.memory_allocated() == before


@on_cuda
def test_events_measure_without_a_wait(device):
    start, end = mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True)
    with no_waiting():
        start.record()
        y = mg.ones(50, device=device).softmax(0)
        end.record()
    end.synchronize()
    assert start.query() and end.query() and start.elapsed_time(end) > 0
    assert y.sum().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="enable_timing=True"):
        start.elapsed_time(mg.cuda.Event())


@pytest.mark.parametrize(("module", "name", "near"), UNKNOWN)
def test_what_there_is_not_names_what_is_near(module, name, near):
    owner = mg
    for part in module.split("."):
        owner = getattr(owner, part)
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'; near it: .*{near}"):
        getattr(owner, name)


def test_the_cpus_older_spelling_names_the_newer():
    with pytest.raises(AttributeError, match=r"no attribute 'cpu'; near it: autocast\('cpu'\)"):
        mg.cpu.amp.autocast()


@pytest.mark.skipif(mg.cuda.is_available(), reason="of machines without a GPU")
def test_without_a_gpu_there_is_one_line():
    assert not mg.cuda.is_bf16_supported()
    for ask in (mg.cuda.Event, mg.cuda.memory_allocated, mg.cuda.get_device_name,
                mg.cuda.current_device):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"pip install|nvidia-smi"):
            ask()
