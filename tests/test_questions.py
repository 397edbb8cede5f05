"""What listings ask and switch before they begin: which devices there are, and how to compute."""

import pytest

import minigrad as torch


def test_there_is_no_other_accelerator():
    assert torch.accelerator.is_available() == torch.cuda.is_available()
    assert torch.accelerator.device_count() == torch.cuda.device_count()
    found = torch.accelerator.current_accelerator()
    assert (found is not None and found.type == "cuda") == torch.cuda.is_available()
    assert torch.backends.mps.is_available() is torch.backends.mps.is_built() is False
    torch.cuda.empty_cache()


def test_cudnns_switches_are_taken(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    assert not torch.backends.cudnn.is_available()
    with pytest.raises(AttributeError, match="module 'minigrad.backends' has no attribute 'mkl'"):
        torch.backends.mkl  # noqa: B018


def test_inference_mode_records_nothing():
    x = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        assert not (x * 2).requires_grad

    @torch.inference_mode()
    def double(x):
        return x * 2

    assert not double(x).requires_grad and (x * 2).requires_grad
