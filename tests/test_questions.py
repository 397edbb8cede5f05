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


def test_float32_is_ieee_float32_until_somebody_asks_for_less():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    assert matmul.allow_tf32 is cudnn.allow_tf32 is False
    assert torch.get_float32_matmul_precision() == "highest"
    for name in ("high", "medium", "highest"):
        torch.set_float32_matmul_precision(name)
        assert torch.get_float32_matmul_precision() == name
        assert matmul.allow_tf32 == (name != "highest") and not cudnn.allow_tf32
    matmul.allow_tf32 = True
    assert torch.get_float32_matmul_precision() == "high"
    matmul.allow_tf32 = False
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_switch_that_does_not_exist_is_no_switch():
    for asks in (lambda: torch.backends.cudnn.allow_tf23,
                 lambda: setattr(torch.backends.cudnn, "allow_tf23", True)):  # fmt: skip
        with pytest.raises(AttributeError, match="no switch is named 'allow_tf23' here; there are "
                                                 "allow_tf32, benchmark, deterministic, "):
            asks()
    with pytest.raises(AttributeError, match="'matmull' here; there are matmul$"):
        torch.backends.cuda.matmull.allow_tf32 = True
    with pytest.raises(TypeError, match="allow_tf32 is True or False, got 1"):
        torch.backends.cuda.matmul.allow_tf32 = 1
    with pytest.raises(ValueError, match="expected 'highest', 'high' or 'medium', got 'fast'"):
        torch.set_float32_matmul_precision("fast")


def test_inference_mode_records_nothing():
    x = torch.ones(2, requires_grad=True)
    with torch.inference_mode():
        assert not (x * 2).requires_grad

    @torch.inference_mode()
    def double(x):
        return x * 2

    assert not double(x).requires_grad and (x * 2).requires_grad
