"""`--precision`: how far each is from float64, and what a run in it says, writes and resumes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
from alexnet import checkpoint, datasets, drawn, models, report
from alexnet.__main__ import main
from alexnet.precision import PRECISIONS, Precision
from alexnet.train import scores_and_loss
from minigrad import Tensor, backends, nn
from minigrad.backend import CPU
from tests.alexnet.test_train import FLAGS, metrics, stop_after
from tests.kernels import cuda_arrays

# Relative error (L2) of scores and of all gradients together, beside float64: between these.
BOUNDS = {
    "fp32": ((1e-8, 2e-6), (1e-8, 5e-6)),
    "fp16": ((5e-5, 3e-3), (1e-4, 1e-2)),
    "bf16": ((5e-4, 2.5e-2), (1e-3, 1e-1)),
}


def of(model: str, side: int, name: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Scores and gradients of one training step, without dropout, as one vector each."""
    mg.manual_seed(0)
    net, precision = models.get_model(model, num_classes=10, in_channels=1), Precision(name, CPU)
    net = net.to(np.dtype(dtype))
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((4, 1, side, side)).astype(dtype))
    with precision.forward():
        scores, loss = scores_and_loss(net(x), Tensor(rng.integers(0, 10, 4)))
    scale = 256.0 if name == "fp16" else 1.0
    (loss * scale).backward()
    assert all(p.grad.dtype == p.dtype == dtype for p in net.parameters())
    gradients = [p.grad.numpy().astype(np.float64).ravel() / scale for p in net.parameters()]
    return scores.detach().numpy().astype(np.float64), np.concatenate(gradients)


def test_the_error_of_each_precision() -> None:
    """Not more than its digits explain, and not less: it is what it says it is."""
    exact = of("alexnet_small", 28, "fp32", np.float64)
    for name, bounds in BOUNDS.items():
        found = of("alexnet_small", 28, name, np.float32)
        for value, truth, (least, most) in zip(found, exact, bounds, strict=True):
            error = np.linalg.norm(value - truth) / np.linalg.norm(truth)
            assert least < error < most, (name, error)


def test_a_deep_network_runs_in_16_bits() -> None:
    """It magnifies each rounding, in float32 too; what is asked for is that nothing breaks."""
    (truth, _), (scores, gradients) = (of("resnet18", 32, p, np.float32) for p in ("fp32", "bf16"))
    assert 1e-3 < np.linalg.norm(scores - truth) / np.linalg.norm(truth) < 0.3
    assert np.isfinite(gradients).all() and gradients.any()


@pytest.fixture
def alexnet_train(tmp_path, monkeypatch):
    images, labels = drawn.draw(64, train=True)
    splits = datasets.Splits(
        name="drawn", train_images=images, train_labels=labels, train_indices=np.arange(64),
        test_images=images[:20], test_labels=labels[:20], classes=datasets.CLASSES,
        mean=drawn.MEAN, std=drawn.STD, source="a few drawn images", stand_in=True,
    )  # fmt: skip
    monkeypatch.setattr(datasets, "load", lambda *args, **options: splits)
    monkeypatch.chdir(tmp_path)
    for name in ("curves", "confusion", "misclassified", "filters"):
        monkeypatch.setattr(report, f"save_{name}", lambda *args: None)
    return lambda *flags: main(["train", *FLAGS, "--device", "cpu", *flags])


def test_a_run_in_bf16_says_so_and_keeps_float32_weights(alexnet_train, tmp_path, capsys):
    assert alexnet_train("--precision", "bf16") == 0
    said = capsys.readouterr().out
    assert (
        "precision bf16: products of bfloat16, 8 bits; weights, sums and tests float32; slow: a "
        "CPU computes in float32, and rounds\n" in said
    )
    assert json.loads((tmp_path / "runs/1/config.json").read_text())["precision"] == "bf16"
    weights, _ = checkpoint.read(tmp_path / "runs/1/last.safetensors")
    assert {array.dtype for array in weights.values()} <= {np.dtype("float32"), np.dtype("int64")}


def test_precisions_give_other_bits(alexnet_train, tmp_path):
    for name in ("fp32", "fp16", "bf16"):
        assert alexnet_train("--epochs", "1", "--precision", name, "--out", name) == 0
    fp32, fp16, bf16 = (metrics(tmp_path / n)[0]["train_loss"] for n in ("fp32", "fp16", "bf16"))
    assert len({fp32, fp16, bf16}) == 3 and abs(bf16 / fp32 - 1) < 0.05
    assert np.isfinite(fp16)  # it leaves out steps at first, until it has found its scale


def test_a_resumed_run_in_fp16_goes_on_with_its_scale(alexnet_train, tmp_path, monkeypatch):
    """Stopped in the second epoch, it ends with the bits of one that was not."""
    assert alexnet_train("--precision", "fp16", "--out", "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        assert alexnet_train("--precision", "fp16", "--out", "stopped") == 130
    _, about = checkpoint.read(tmp_path / "stopped" / "resume.safetensors")
    assert about["scaler"]["scale"] > 1 and about["scaler"]["_growth_tracker"] > 0
    assert main(["train", "--resume", "stopped"]) == 0
    runs = [tmp_path / name / "last.safetensors" for name in ("straight", "stopped")]
    assert len({checkpoint.sha256(path) for path in runs}) == 1


def test_tf32_needs_a_gpu(alexnet_train, tmp_path, capsys):
    assert alexnet_train("--precision", "tf32") == 2
    assert capsys.readouterr().err == (
        "alexnet: --precision tf32: only GPUs have that, and this run is on the CPU; leave it out, "
        "or add --device cuda\n"
    )
    assert not (tmp_path / "runs").exists()


def test_tf32_needs_a_gpu_that_has_it(gpu, alexnet_train, monkeypatch, capsys):
    """PyTorch would compute in float32, and say nothing."""
    monkeypatch.setitem(cuda_arrays.PROPERTIES, "name", b"Tesla T4")
    assert main(["info"]) == 0
    assert "fp32, tf32, fp16" in capsys.readouterr().out
    monkeypatch.setitem(cuda_arrays.PROPERTIES, "major", 7)
    monkeypatch.setitem(cuda_arrays.PROPERTIES, "minor", 5)
    why = "Tesla T4 has compute capability 7.5, and TF32 needs 8.0"
    assert alexnet_train("--precision", "tf32", "--device", "cuda") == 2
    assert capsys.readouterr().err == (
        f"alexnet: --precision tf32: {why}; leave it out, or add --precision fp16\n"
    )
    assert not backends.cuda.matmul.allow_tf32
    assert main(["info"]) == 0
    assert f"fp32, tf32 ({why}), fp16" in capsys.readouterr().out


def test_a_run_on_a_gpu(gpu, alexnet_train, tmp_path, capsys, monkeypatch):
    """On its double: --graph changes no bit of a run in fp16, and tf32 says what it is."""
    for switches in (backends.cuda.matmul, backends.cudnn):
        monkeypatch.setattr(switches, "allow_tf32", False)
    flags = ["--model", "lenet5", "--epochs", "1", "--device", "cuda"]
    for more in ([], ["--graph"]):
        out = ["--out", f"run{len(more)}", "--precision", "fp16"]
        assert alexnet_train(*flags, *out, *more) == 0
    assert "precision fp16: products of float16, 11 bits, the loss" in capsys.readouterr().out
    hashes = {checkpoint.sha256(tmp_path / f"run{i}" / "last.safetensors") for i in (0, 1)}
    assert len(hashes) == 1
    assert alexnet_train(*flags, "--precision", "tf32", "--dry-run") == 0
    assert "precision tf32: products of TF32, 11 bits, in the tests, too" in capsys.readouterr().out
    assert backends.cuda.matmul.allow_tf32 and backends.cudnn.allow_tf32


def test_bf16_without_ml_dtypes_says_what_to_install(alexnet_train, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    assert alexnet_train("--precision", "bf16") == 2
    assert "pip install 'minigrad[bfloat16]'" in capsys.readouterr().err


def test_info_lists_them(capsys):
    assert main(["info"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("precisions"))
    assert all(name in line for name in PRECISIONS)
