"""The bench: its arithmetic, the PyTorch twin, and one short run from end to end."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

import minigrad
from alexnet import twin
from alexnet.twin import CHANNELS_LAST, MINIGRAD, NCHW, Disagreement, sides, torch_twin
from bench import networks, ops, profile, sweep
from bench.__main__ import main
from bench.rows import Row
from minigrad import nn
from minigrad.kernels import cpu
from tests.alexnet.twins import eighth, narrowed


def test_the_baseline_is_the_faster_of_both_layouts():
    samples = {
        MINIGRAD: {"forward": [1.0, 1.0, 1.0], "backward": [1.0, 2.0, 1.0]},
        NCHW: {"forward": [1.0, 1.0, 9.0], "backward": [9.0, 9.0, 9.0]},
        CHANNELS_LAST: {"forward": [3.0, 3.0, 3.0], "backward": [3.0, 3.0, 6.0]},
    }
    row = Row("op", "net", "conv", (32, 3, 8, 8), samples, times=2)
    assert row.baseline == CHANNELS_LAST
    assert row.ratio().values == (3.0, 2.0, 4.5)
    assert row.ratio("backward").values == (3.0, 1.5, 6.0)
    assert row.extra_seconds() == 2 * (2.0 - 6.0)
    assert row.images_per_second(MINIGRAD) == 16.0
    summary = row.to_json()
    assert summary["ratio"]["total"] == {"median": 3.0, "min": 2.0, "max": 4.5}
    assert summary["seconds"][NCHW]["forward"] == {"median": 1.0, "min": 1.0, "max": 9.0}


def every_layer() -> nn.Sequential:
    """Every class that has a twin; dropout with p = 0, for two random masks cannot agree."""
    minigrad.manual_seed(3)
    features = nn.Sequential(
        nn.Conv2d(2, 6, (3, 5), stride=(2, 1), padding=(1, 2), bias=False),
        nn.BatchNorm2d(6, eps=1e-3, momentum=0.3),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, padding="same", groups=2, dilation=2),
        nn.LocalResponseNorm(3, alpha=0.4, beta=0.6, k=1.5),
        nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        nn.AdaptiveAvgPool2d((3, 2)),
    )
    return nn.Sequential(features, nn.Flatten(), nn.Dropout(0.0), nn.Linear(48, 5))


@pytest.mark.parametrize("layout", [NCHW, CHANNELS_LAST])
def test_the_twin_has_the_same_loss_gradients_and_buffers(layout):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 2, 13, 12), dtype=np.float32)
    target = rng.integers(0, 5, 4)
    model = every_layer()
    ours, theirs = twin.minigrad_side(model, x), twin.torch_side(model, layout, x)
    losses = []
    for side in (ours, theirs):
        logits = side.module(*side.inputs)
        loss = side.engine.nn.functional.cross_entropy(logits, side.engine.from_numpy(target))
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    expected = dict(theirs.module.named_parameters())
    for name, p in ours.module.named_parameters():
        np.testing.assert_allclose(p.grad, expected[name].grad, rtol=1e-3, atol=1e-5, err_msg=name)
    expected = dict(theirs.module.named_buffers())
    assert set(expected) == {name for name, _ in ours.module.named_buffers()} != set()
    for name, buffer in ours.module.named_buffers():
        np.testing.assert_allclose(buffer, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_twin_has_weights_of_its_own_and_the_mode():
    model = nn.Sequential(nn.Linear(2, 2)).eval()
    copy = torch_twin(model)
    with torch.no_grad():
        copy[0].weight.fill_(7)
    assert not (model[0].weight.array == 7).any()
    assert not copy.training
    assert torch.get_num_threads() == minigrad.get_num_threads()


def test_a_layer_without_twin_is_named():
    with pytest.raises(TypeError, match="Tanh is neither a Sequential nor one of Conv2d, Linear"):
        torch_twin(nn.Sequential(nn.Tanh()))


def test_what_differs_is_not_timed(monkeypatch):
    x = np.ones((2, 3), np.float32)
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    assert set(sides("net", model, x)) == {MINIGRAD, NCHW}
    right = nn.ReLU.forward
    for wrong in (lambda *a: right(*a) * 1.001 + 0.001, lambda *a: right(*a) * float("nan")):
        monkeypatch.setattr(nn.ReLU, "forward", wrong)
        with pytest.raises(Disagreement, match="net, NCHW: the result differs from PyTorch's by"):
            sides("net", model, x)


def test_cases_count_every_layer_once():
    network = networks.Network("alexnet_small", batch=7)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 5), nn.ReLU(inplace=True), nn.ReLU(), nn.MaxPool2d(24), nn.ReLU(),
        nn.Flatten(), nn.Sequential(nn.Linear(2, 3)),
    )  # fmt: skip
    found = [
        (case.path, case.op, case.shape, case.needs_input_grad, case.times)
        for case in ops.cases(network, model)
    ]
    assert found == [
        ("0", "Conv2d", (7, 1, 28, 28), False, 1),
        ("1", "ReLU", (7, 2, 24, 24), True, 2),  # in place or not, it is the same by itself
        ("3", "MaxPool2d", (7, 2, 24, 24), True, 1),
        ("4", "ReLU", (7, 2, 1, 1), True, 1),
        ("6.0", "Linear", (7, 2), True, 1),
        ("loss", "CrossEntropyLoss", (7, 3), True, 1),
        ("none", "BatchNorm2d", (7, 2, 24, 24), True, 0),
    ]


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_op_of_the_networks_can_be_selected(name):
    network = networks.NETWORKS[name]
    with narrowed(eighth):
        model = network.build()
    assert {case.op for case in ops.cases(network, model)} <= set(ops.OPS)


def test_a_run_prints_rows_and_writes_json(tmp_path, capsys, monkeypatch):
    tiny = networks.Network("alexnet_small", batch=8)
    monkeypatch.setitem(networks.NETWORKS, "alexnet_small", tiny)
    monkeypatch.setattr(networks, "INFERENCE_BATCHES", (1,))
    out = tmp_path / "new" / "bench.json"
    options = ["--networks", "alexnet_small", "--ops", "Linear", "SGD", "--steps", "1"]
    assert main([*options, "--out", str(out), "--markdown"]) == 0
    results = json.loads(out.read_text())
    assert results["command"].endswith(f"--out {out} --markdown")
    assert results["threads"]["minigrad"] == results["threads"]["torch"]
    assert results["versions"]["torch"] == torch.__version__
    assert set(results["git"]) == {"commit", "dirty"}
    rows = {row["name"]: row for row in results["rows"]}
    *layers, sgd, step, fused, inference = rows
    assert layers and all(name.endswith(" Linear") for name in layers)
    assert [sgd, step, fused] == ["SGD", "training step", "training step, fused SGD"]
    assert inference == "inference"
    step = rows[step]
    assert step["shape"] == [8, 1, 28, 28] and step["n"] == 1
    for variant in (MINIGRAD, NCHW, CHANNELS_LAST):
        assert list(step["samples"][variant]) == ["forward", "backward", "SGD"]
        assert all(len(samples) == 1 for samples in step["samples"][variant].values())
    theirs, ours = step["seconds"][step["baseline"]]["total"], step["seconds"][MINIGRAD]["total"]
    assert step["ratio"]["total"]["median"] == pytest.approx(theirs["median"] / ours["median"])
    assert list(rows[fused]["samples"][NCHW]) == [
        "forward", "backward", "fused SGD",
    ]
    peaks = results["peak_memory_bytes"]["alexnet_small"]
    assert list(peaks) == [MINIGRAD, step["baseline"]]
    activation = 8 * 16 * 28 * 28 * 4  # bytes of conv1's output, which is kept for backward
    assert all(2 * activation < peak < 200 * activation for peak in peaks.values())
    printed = capsys.readouterr().out
    for text in (*layers, "ops by what they cost", "peak memory", "| alexnet_small, training"):
        assert text in printed


def test_a_disagreement_ends_the_run_in_one_line(tmp_path, capsys, monkeypatch):
    right = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda *a: right(*a) * 1.01)
    out = tmp_path / "bench.json"
    arguments = ["--networks", "alexnet_small", "--only", "networks", "--out", str(out)]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("bench: alexnet_small, NCHW: the result differs")
    assert not out.exists()


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--networks", "vgg"], ["--ops", "conv3d"]])
def test_wrong_arguments(wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(wrong)
    assert stopped.value.code == 2
    assert wrong[1] in capsys.readouterr().err


def test_without_pytorch_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SystemExit, match=r'pip install "minigrad\[test\]"'):
        main(["--steps", "1"])


def test_a_profile_books_every_kernel_and_adds_up(capsys, monkeypatch):
    tiny = networks.Network("alexnet_small", batch=8)
    monkeypatch.setitem(networks.NETWORKS, "alexnet_small", tiny)
    before = cpu.conv2d
    assert main(["--profile", "alexnet_small", "--steps", "1"]) == 0
    assert cpu.conv2d is before
    header, *rows = capsys.readouterr().out.splitlines()[2:]
    ends = {row.split("  ")[0]: row.split() for row in rows[-3:]}
    assert list(ends) == ["outside kernels", "a step", "at best"]
    rows = [row.split() for row in rows[:-3]]
    booked = [row[:4] for row in rows]
    assert ["conv2", "Conv2d", "backward", "conv2d_backward_input"] in booked
    assert ["conv1", "Conv2d", "backward", "conv2d_backward_input"] not in booked
    assert ["optimizer", "sgd_step"] in [row[:2] for row in rows]
    times = [float(next(cell for cell in row if "." in cell)) for row in rows]
    assert times == sorted(times, reverse=True)
    whole = sum(times) + float(ends["outside kernels"][2])
    assert whole == pytest.approx(float(ends["a step"][2]), abs=0.01 * len(rows))


def test_flops_are_those_of_the_plain_algorithm():
    model = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.Flatten(), nn.Linear(6 * 16, 5))
    recorder = profile.Recorder()
    with recorder.recording(model):
        x = minigrad.ones(7, 2, 6, 6, requires_grad=True)
        model(x).sum().backward()
    found = {call.key[3]: call.flops for call in recorder.calls if call.flops}
    conv, linear = 2 * 7 * 6 * 16 * 9, 2 * 7 * 5 * 96
    assert found == {
        "conv2d": conv, "conv2d_backward_input": conv, "conv2d_backward_weight": conv,
        "linear": linear, "matmul": linear,
    }  # fmt: skip


def test_the_sweep_has_every_odd_size_and_names_its_worst(tmp_path, capsys, monkeypatch):
    found = list(sweep.cases())
    assert {case.shape[0] for case in found} == {1, 3, 33}
    assert {case.shape[1] for case in found} == {1, 96}
    assert {case.shape[2:] for case in found} == {(13, 13), (27, 27)}
    assert len({(case.path, case.shape) for case in found}) == len(found) == 8 * 2 * 2 * 3
    few = [case for case in found if case.shape[:3] == (3, 1, 13)]
    monkeypatch.setattr(sweep, "cases", lambda: few)
    out = tmp_path / "sweep.json"
    assert main(["--only", "sweep", "--steps", "1", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["name"].split()[0] for row in rows] == [case.path for case in few]
    slowest = min(rows, key=lambda row: row["ratio"]["total"]["median"])
    worst = capsys.readouterr().out.partition("The sweep's worst:\n")[2]
    assert slowest["name"] in worst.splitlines()[0]
    assert len([line for line in worst.splitlines() if line.startswith("sweep")]) == sweep.WORST
