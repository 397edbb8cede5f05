"""`alexnet bench`: what is timed and in which turn, the arithmetic, the form of the lines."""

import gc
import re
import statistics
import sys

import numpy as np
import pytest

import minigrad as mg
from alexnet import bench, models, summary
from alexnet.__main__ import main
from alexnet.bench import FEWEST, MOST, SECONDS, report, three
from alexnet.twin import MINIGRAD
from minigrad import nn
from minigrad.backend import CPU

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: "
TIME = r"\d+\.\d{3,}"
QUICK = ("--batch-size", "2", "--batches", "20", "--warm-up", "1")


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(summary, "REPEATS", 1)


def across(title, n):
    times = rf"({TIME}) \+/- ({TIME}) sec / batch \(median ({TIME})\)"
    return f"{STAMP}{title} across {n} steps, {times}"


# ------------------------------------------------------------------------------------ as it prints


def test_what_it_prints(capsys):
    assert main(["bench", "lenet5", *QUICK, "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "lenet5: the network of 1998, as taught today; 2 images of 1 x 28 x 28"
    assert "; threads 1; BLAS " in lines[1]
    body = lines[lines.index("") + 1 :]
    step = rf"{STAMP}step %d, duration = {TIME}"
    forms = [
        step % 10, step % 20, across("Forward", 20),
        step % 10, step % 20, across("Forward-backward", 20),
        rf"backward takes (\d+\.\d\d) times as long as forward "
        rf"\(medians: ({TIME}) and ({TIME}) sec / batch\)",
        "",
    ]  # fmt: skip
    found = [re.fullmatch(form, line) for form, line in zip(forms, body, strict=False)]
    assert all(found), body[: len(forms)]
    forward, both, ratio = (tuple(map(float, found[i].groups())) for i in (2, 5, 6))
    assert min(*forward, *both) >= 0 and ratio[0] > 0
    assert ratio[0] == pytest.approx(ratio[1] / ratio[2], rel=0.02, abs=0.01)
    header, *rows, total = body[len(forms) :]
    assert header.split()[-4:] == ["forward", "ms", "backward", "ms"]
    assert len(rows) == len(models.lenet5())
    assert total.split()[:2] == ["total", "61,706"]


def test_a_busy_machine_is_mentioned(capsys, monkeypatch):
    for load, said in ((0.2, False), (3.14, True)):
        monkeypatch.setattr(bench.os, "getloadavg", lambda load=load: (load, 0, 0))
        assert main(["bench", "lenet5", *QUICK]) == 0
        assert ("load average 3.1): its times are not to be" in capsys.readouterr().out) == said


@pytest.mark.parametrize(("model", "size"), [("lenet5", 128), ("alexnet_2012", 32)])
def test_the_default_batch(monkeypatch, model, size):
    asked = []
    monkeypatch.setattr(bench, "measure", lambda args, n: asked.append(n))
    assert main(["bench", model]) == 0
    assert main(["bench", model, "--batch-size", "3"]) == 0
    assert asked == [size, 3]


# ------------------------------------------------------------------------------------- arithmetic


def samples(**batches):
    """Seconds of phases, batch by batch, as `in_turn` returns them."""
    return {
        name.replace("us", MINIGRAD): {str(i): list(p) for i, p in enumerate(zip(*b, strict=True))}
        for name, b in batches.items()
    }


def test_every_tenth_batch_is_said(capsys):
    mine = [[float(n), 0.5] for n in range(1, 26)]
    for done in range(1, 26):
        bench.progress(done, samples(us=mine[:done]))
    ten, twenty = capsys.readouterr().out.splitlines()
    assert re.fullmatch(STAMP + r"step 10, duration = 10\.500", ten)
    assert re.fullmatch(STAMP + r"step 20, duration = 20\.500", twenty)
    bench.progress(10, samples(us=[[0.5]], NCHW=[[0.02]], x=[[2.0]]))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("step 10, duration = 0.500 (PyTorch: NCHW 0.0200, x 2.000)")


def test_how_it_is_timed(monkeypatch):
    """Half a minute of single batches, 10 to 100 of them, unless it is asked for otherwise."""
    asked = []

    def in_turn(works, **how):
        asked.append({**how, "names": list(works)})
        return samples(us=[[1.0, 2.0]])

    monkeypatch.setattr(bench, "in_turn", in_turn)
    assert main(["bench", "lenet5", "--batch-size", "1"]) == 0
    assert main(["bench", "lenet5", *QUICK]) == 0
    usual = {"seconds": SECONDS, "bounds": (FEWEST, MOST), "shortest": 0.0,
             "after_round": bench.progress, "names": [MINIGRAD]}
    assert asked[:2] == [{**usual, "rounds": None, "warm_ups": 5}] * 2
    assert asked[2:] == [{**usual, "rounds": 20, "warm_ups": 1}] * 2


def test_mean_deviation_median_and_ratio(capsys):
    ours, theirs = [[1.0, 1.0], [3.0, 0.5], [4.0, 1.0], [2.5, 1.0]], [4.0, 7.0, 10.0, 7.0]
    better, worse = [[t] for t in theirs], [[t + 0.5] for t in theirs]
    report("Forward", samples(us=ours, NCHW=worse, channels_last=better))
    mine, nchw, last, ratio = capsys.readouterr().out.splitlines()
    sums = [2.0, 3.5, 5.0, 3.5]
    found = re.fullmatch(across("Forward", 4), mine)
    assert list(map(float, found.groups())) == pytest.approx(
        [3.5, statistics.pstdev(sums), 3.5], abs=5e-4
    )
    assert found[2] == "1.061"  # sqrt of the mean square of -1.5, 0, 1.5, 0
    assert re.fullmatch(across("Forward in PyTorch, NCHW,", 4), nchw)[1] == "7.500"
    assert re.fullmatch(across("Forward in PyTorch, channels_last,", 4), last)[1] == "7.000"
    assert ratio == "Forward: PyTorch takes 2.00 times as long (2.00..2.00, n = 4)"
    report("X", samples(us=[[1.0], [2.0], [4.0]], NCHW=[[3.0], [1.0], [8.0]]))
    assert capsys.readouterr().out.splitlines()[-1] == (
        "X: PyTorch takes 1.50 times as long (0.50..3.00, n = 3)"
    )


def test_one_engine_has_no_ratio(capsys):
    report("Forward", samples(us=[[1.0]]))
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(across("Forward", 1), line).groups() == ("1.000", "0.000", "1.000")


def test_backward_is_compared_with_the_forward_of_the_same_batches(capsys, monkeypatch):
    batches = samples(us=[[1.0, 2.0], [1.5, 3.0], [9.0, 9.0]])
    monkeypatch.setattr(bench, "in_turn", lambda *works, **how: batches)
    assert main(["bench", "lenet5", "--batch-size", "1"]) == 0
    said = "backward takes 2.00 times as long as forward (medians: 3.000 and 1.500 sec / batch)"
    assert said in capsys.readouterr().out


def test_short_times_get_more_decimals():
    assert [three(x) for x in (12.3456, 0.123456, 0.0123456, 0.00123456, 0.0)] == [
        "12.346", "0.123", "0.0123", "0.00123", "0.00000000",
    ]  # fmt: skip
    assert three(0.0001234, like=0.5) == "0.000"


# --------------------------------------------------------------------------------- what is timed


@pytest.fixture
def sides():
    model = models.alexnet_small()
    images = np.random.default_rng(0).standard_normal((4, 1, 28, 28), dtype=np.float32)
    model.drop4.p = 0.0  # two engines' masks cannot agree
    found = bench.engines("alexnet_small", model, images, "torch", CPU)
    for side in list(found.values())[1:]:
        side.module.drop4.p = 0.0
    return found


def test_forward_has_no_graph_and_evaluation_mode(sides):
    for side in sides.values():
        seen = []
        right = side.module.forward
        side.module.forward = lambda x, right=right, seen=seen: seen.append(right(x)) or seen[-1]
        bench.forward(side, CPU).once()
        (scores,) = seen
        assert not side.module.training
        assert not scores.requires_grad


def test_training_makes_all_gradients_and_no_update(sides):
    before = [p.detach().numpy().copy() for p in sides[MINIGRAD].module.parameters()]
    labels = np.array([3, 1, 4, 1])
    grads = []
    for side in sides.values():
        work = bench.training(side, labels, CPU)
        assert list(work.phases) == ["forward", "backward"]
        for _ in range(2):  # gradients do not add up
            work.once()
        assert side.module.training
        grads.append([np.asarray(p.grad) for p in side.module.parameters()])
        for p, old in zip(side.module.parameters(), before, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), old)
    for other in grads[1:]:
        for ours, theirs in zip(grads[0], other, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_compared_with_pytorch(capsys):
    import torch

    assert main(["bench", "lenet5", *QUICK, "--compare", "torch"]) == 0
    out = capsys.readouterr().out
    threads = mg.get_num_threads()
    assert f"beside PyTorch {torch.__version__}, threads {threads}" in out
    for title in ("Forward", "Forward-backward"):
        for whose in ("", " in PyTorch, NCHW,", " in PyTorch, channels_last,"):
            assert re.search(across(title + whose, 20), out)
        times = r"PyTorch takes (\S+) times as long \((\S+)\.\.(\S+), n = 20\)"
        ratio, least, most = map(float, re.search(f"{title}: {times}", out).groups())
        assert 0 <= least <= most and ratio >= 0  # to two digits, and storms make 0.00 of some
    step = rf"step 10, duration = {TIME} \(PyTorch: NCHW {TIME}, channels_last {TIME}\)"
    assert len(re.findall(step, out)) == 2


# ------------------------------------------------------------------------------------- bad input


def refused(capsys, *args):
    try:
        code = main(["bench", *args])
    except SystemExit as exit:
        code = exit.code
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "the following arguments are required: MODEL"),
        (["alexnet_2013"], "unknown model 'alexnet_2013'; near it: alexnet_2012,"),
        (["lenet5", "--batch-size", "0"], "--batch-size: must be an integer of at least 1"),
        (["lenet5", "--batches", "0"], "--batches: must be an integer of at least 1, got '0'"),
        (["lenet5", "--warm-up", "0"], "--warm-up: must be an integer of at least 1"),
        (["lenet5", "--threads", "0"], "--threads: must be an integer of at least 1"),
        (["lenet5", "--compare", "jax"], "argument --compare: invalid choice: 'jax'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(capsys, args, message):
    code, line = refused(capsys, *args)
    assert code == 2
    assert message in line


def test_a_batch_that_does_not_fit(capsys):
    code, line = refused(capsys, "lenet5", "--batch-size", "1000000000000")
    assert code == 1
    assert line.startswith("alexnet: a batch of 1,000,000,000,000 does not fit into memory (Unable")
    assert line.endswith("take a smaller --batch-size")


def test_without_pytorch_one_line_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, line = refused(capsys, "lenet5", "--compare", "torch")
    assert code == 2
    assert "PyTorch, which minigrad is compared with, is not installed: pip install torch" in line


def test_what_differs_is_not_timed(capsys, monkeypatch):
    right = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda *a: right(*a) * 1.01)
    code, line = refused(capsys, "lenet5", *QUICK, "--compare", "torch")
    assert code == 1
    assert line.startswith("alexnet: lenet5, NCHW: the result differs from PyTorch's by")


def test_ctrl_c_ends_it_in_one_word(capsys, monkeypatch):
    def press(*args):
        raise KeyboardInterrupt

    threads, frozen = mg.get_num_threads(), gc.get_freeze_count()
    monkeypatch.setattr(bench, "forward", press)
    assert refused(capsys, "lenet5", *QUICK, "--threads", str(threads + 1)) == (130, "interrupted")
    assert mg.get_num_threads() == threads
    assert gc.get_freeze_count() == frozen == 0
