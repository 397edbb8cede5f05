"""`bash bench/gpu.sh` without a GPU: the CPU is the device of both sides, what is missing is said.

So the code that measures and the table do run here; what only a GPU has is played by stand-ins.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad
from alexnet.__main__ import parser
from alexnet.twin import CHANNELS_LAST, MINIGRAD, NCHW
from bench.gpu import __main__ as command
from bench.gpu import ceilings, memory, programs, report, sides, steps
from bench.gpu.programs import Stage, carry_out
from bench.gpu.results import MISSING, Results
from bench.gpu.sides import BF16, FP32, TF32
from bench.gpu.steps import COMPILED, Goal
from bench.networks import FUSED, Network
from minigrad import backend, nn
from tests import conftest

SMALL = Network("alexnet_small", batch=2)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def switches_as_they_were():
    """The bench pins both engines' precision for the whole of its process."""
    switches = [(holder, "allow_tf32") for b in (torch.backends, minigrad.backends)
                for holder in (b.cuda.matmul, b.cudnn)]
    switches.append((torch.backends.cudnn, "benchmark"))
    before = [getattr(holder, name) for holder, name in switches]
    yield
    for (holder, name), value in zip(switches, before, strict=True):
        setattr(holder, name, value)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Both sides compute on the CPU."""
    monkeypatch.setattr(sides, "DEVICES", {"minigrad": "cpu", "torch": "cpu", "engine": "cuda"})


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(steps, "STEPS", 1)
    monkeypatch.setattr(ceilings, "SECONDS", 0.01)


@pytest.fixture
def row(tmp_path, quick):
    """Measures a goal on the CPU; returns the parts, as they stand in the file."""

    def measure(goal, rounds=1):
        with Results(tmp_path / "results.json") as results:
            steps.measure("small", goal, results, rounds)
        return results.status, json.loads((tmp_path / "results.json").read_text())

    return measure


# --------------------------------------------------------------------------------------- the rows


def test_a_row_is_measured_beside_all_of_pytorchs_settings(row, capsys):
    status, parts = row(Goal(SMALL, FP32, 2.0), rounds=2)
    measured = parts["row"]
    layouts = (NCHW, CHANNELS_LAST)
    theirs = {f"{layout}{more}" for layout in layouts for more in ("", f", {FUSED}")}
    assert set(measured["samples"]) == {MINIGRAD, *theirs}
    assert measured["n"] == 2 and measured["baseline"] in theirs
    assert all(len(phases["step"]) == 2 for phases in measured["samples"].values())
    assert parts["memory minigrad"] == parts["memory PyTorch"] == {
        MISSING: "not available: the memory of cpu"
    }
    assert status == 1  # a missing part is not hidden
    assert measured["line"] in capsys.readouterr().out


def test_a_sample_is_the_time_of_one_step():
    calls = []
    work = sides.repeated(lambda: calls.append(1), 7, torch)
    work.once()
    assert len(calls) == 7 and sides.each([7.0, 14.0], 7) == [1.0, 2.0]


def test_a_training_step_changes_the_weights_on_both_sides(quick):
    contest = steps.Contest("small", Goal(SMALL, FP32, 2.0))
    every = {MINIGRAD: contest.ours(), **dict(contest.theirs())}
    for name, step in every.items():
        weight = next(contest.sides[name.partition(",")[0]].module.parameters())
        before = weight.detach().numpy().copy()
        assert step().item() > 0
        assert not np.array_equal(weight.detach().numpy(), before), name


def test_our_side_computes_on_the_gpu(gpu, quick, monkeypatch):
    """On the double of one. PyTorch's twin is made of the CPU's weights before they move there."""
    monkeypatch.setitem(sides.DEVICES, "minigrad", "cuda")
    contest = steps.Contest("small", Goal(SMALL, FP32, 2.0))
    ours = contest.sides[MINIGRAD]
    assert {str(p.device) for p in (*ours.module.parameters(), *ours.inputs)} == {"cuda:0"}
    assert contest.ours()().item() > 0


def test_what_differs_is_not_timed(row, monkeypatch):
    right = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda *a: right(*a) * 1.01)
    status, parts = row(Goal(SMALL, FP32, 2.0))
    assert status == 1 and list(parts) == ["row"]
    assert parts["row"][MISSING].startswith("Disagreement: small, NCHW: the result differs from")


def test_our_step_is_a_graph_and_its_rival_is_compiled(row, monkeypatch):
    graphed, compiled = [], []
    monkeypatch.setattr(
        minigrad.cuda, "graph", lambda step, device: graphed.append(device) or step
    )
    monkeypatch.setattr(
        torch, "compile", lambda module, mode: compiled.append(mode) or module
    )
    _, parts = row(Goal(SMALL, FP32, 4.0, graph=True))
    assert graphed == ["cpu", "cpu"] and compiled == ["reduce-overhead"]
    assert set(parts["compiled"]["samples"]) == {MINIGRAD, COMPILED}

    def broken(*_, **__):
        raise RuntimeError("no\ncompiler")

    monkeypatch.setattr(torch, "compile", broken)
    _, parts = row(Goal(SMALL, FP32, 4.0, graph=True))
    assert "samples" in parts["row"]
    assert parts["compiled"] == {MISSING: "RuntimeError: no compiler"}


def test_without_bfloat16_a_row_says_so(row, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    status, parts = row(Goal(SMALL, BF16, 1.1))
    assert list(parts) == ["row"] and status == 1
    assert "ml_dtypes" in parts["row"][MISSING]


def test_both_sides_are_pinned_to_the_same_precision(monkeypatch):
    ours = types.SimpleNamespace(
        cuda=types.SimpleNamespace(matmul=types.SimpleNamespace(allow_tf32=None)),
        cudnn=types.SimpleNamespace(allow_tf32=None),
    )
    monkeypatch.setattr(minigrad, "backends", ours)
    for precision, tf32 in ((TF32, True), (FP32, False), (BF16, True)):
        sides.pin(precision)
        for backends in (ours, torch.backends):
            assert backends.cuda.matmul.allow_tf32 is backends.cudnn.allow_tf32 is tf32
    assert torch.backends.cudnn.benchmark is True


def test_every_goal_can_be_built():
    assert {goal.network.batch for goal in steps.GOALS.values()} == {128}
    assert {goal.precision for goal in steps.GOALS.values()} == {FP32, TF32, BF16}
    assert {n: g.network.published.input_shape for n, g in steps.GOALS.items()} == {
        "alexnet_d2l fp32": (1, 224, 224), "alexnet_d2l tf32": (1, 224, 224),
        "alexnet_d2l bf16": (1, 224, 224), "alexnet_2012 tf32": (3, 227, 227),
        "alexnet_small graph": (1, 28, 28),
    }  # fmt: skip


# ---------------------------------------------------------------------- ceilings, and peak memory


def numpy_gemm(a, b, out, accumulate=False, tf32=False):
    np.matmul(a, b, out=out)


def test_ceilings(tmp_path, quick, monkeypatch, capsys):
    monkeypatch.setattr(ceilings, "gemm", lambda: numpy_gemm)
    with Results(tmp_path / "results.json") as results:
        ceilings.measure(results, side=48, floats=1000)
    parts = results.parts
    assert list(parts) == ["fp32", "tf32", "fp16", "bf16", "copy"]
    assert not any(MISSING in part for part in parts.values())
    for name, amount in (("fp32", 2 * 48**3), ("copy", 2 * 4 * 1000)):
        for engine in (MINIGRAD, ceilings.TORCH):
            rate, seconds = parts[name][engine]["per_second"], parts[name][engine]["seconds"]
            assert rate["n"] == len(seconds) >= 3
            assert rate["max"] == pytest.approx(amount / min(seconds))
    assert "fp32  TFLOP/s minigrad" in capsys.readouterr().out


def test_a_product_that_is_not_written_has_no_rate(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(ceilings, "gemm", lambda: lambda *_, **__: None)
    with pytest.raises(ArithmeticError, match="fp32: our product is of size"):
        ceilings.product(FP32, side=48)


def test_our_peak_is_what_arrays_occupied(monkeypatch):
    class Hook:
        active = None

        def __enter__(self):
            Hook.active = self

        def __exit__(self, *_):
            Hook.active = None

    pool = types.SimpleNamespace(used_bytes=lambda: 1000, total_bytes=lambda: 4096)
    runtime = types.SimpleNamespace(MemoryHook=Hook)
    cupy = types.SimpleNamespace(cuda=runtime, get_default_memory_pool=lambda: pool)
    monkeypatch.setattr(backend, "cupy", lambda: cupy)
    monkeypatch.setattr(minigrad.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(minigrad.cuda, "empty_cache", lambda: None)

    def step():
        if Hook.active is None:
            return  # a warm-up step
        for size in (512, 512, -512, 1024, -1024, -512):
            event = Hook.active.malloc_postprocess if size > 0 else Hook.active.free_postprocess
            event(device_id=0, size=abs(size) - 3, mem_size=abs(size), mem_ptr=1, pmem_id=1)

    monkeypatch.setitem(sides.DEVICES, "minigrad", "cuda")
    peak = memory.measure(lambda: (minigrad, step))
    assert peak == {"allocated": 1000 + 512 + 1024, "reserved": 4096}


# ------------------------------------------------------------------------------------- its stages


def python(code: str) -> tuple[str, ...]:
    """A program for a stage."""
    return "timeit", "-n1", "-r1", code


WRITES = "open('{folder}/results.json', 'w').write('{\"a\": 1}')"


@pytest.fixture
def interruptible():
    """A shell's background jobs, and what they start, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_stage_that_ends_fails_or_hangs(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(programs, "GRACE", 3.0)
    good = carry_out(Stage("", 60, python(WRITES), programs.parts), 60, tmp_path / "a")
    assert good["status"] == 0 and good["found"] == {"a": 1} and good["seconds"] < 60
    bad = carry_out(Stage("", 60, python("1 / 0"), programs.parts), 60, tmp_path / "b")
    assert bad["status"] == 1 and "left no results" in bad["found"][MISSING]
    hang = python(f"{WRITES}; import time; time.sleep(100)")
    late = carry_out(Stage("", 60, hang, programs.parts), 5.0, tmp_path / "c")
    assert late["status"] == "out of time" and late["found"] == {"a": 1}
    assert late["seconds"] < 20
    assert "KeyboardInterrupt" in capfd.readouterr().err  # it was asked before it was made to


SUITE = """<testsuites><testsuite>
<testcase classname="t" name="a[cuda]"><properties><property name="of the GPU's" value="3"/>
</properties></testcase>
<testcase classname="t" name="b[cuda]"><properties><property name="of the GPU's" value="3"/>
</properties><failure/><error/></testcase>
<testcase classname="t" name="c"><skipped/></testcase>
<testcase classname="t" name="d"/>
</testsuite></testsuites>"""


def test_the_suites_report(tmp_path):
    (tmp_path / "suite.xml").write_text(SUITE)
    assert programs.suite(tmp_path) == {
        "outcomes": {"passed": 2, "error": 1, "skipped": 1}, "failed": ["t::b[cuda]"],
        "on_the_gpu": 2, "of_the_gpus": 3,
    }  # fmt: skip


def test_the_gpus_tests_come_first_and_know_how_many_they_are(monkeypatch):
    """Where there is a GPU: its double computes on the CPU, and comes in the usual order."""

    def item(**params):
        callspec = types.SimpleNamespace(params=params)
        return types.SimpleNamespace(callspec=callspec, user_properties=[])

    plain = types.SimpleNamespace(user_properties=[])
    cpu, gpu, other = item(device="cpu"), item(device="cuda", x=1), item(device="cuda", x=2)
    items = [plain, cpu, gpu, other]
    monkeypatch.setattr(conftest, "DEVICES", ["cpu"])
    conftest.pytest_collection_modifyitems(items)
    assert items == [plain, cpu, gpu, other] and gpu.user_properties == []
    monkeypatch.setattr(conftest, "DEVICES", ["cpu", "cuda"])
    conftest.pytest_collection_modifyitems(items)
    assert items == [gpu, other, plain, cpu]
    assert [i.user_properties for i in items] == [[("of the GPU's", "2")]] * 2 + [[], []]


def test_a_training_run_is_a_command_that_exists(tmp_path):
    for preset, (accuracy, _, epochs) in report.RUNS.items():
        module, *arguments = programs.training(preset)
        given = parser().parse_args(arguments)
        assert module == "alexnet" and given.device == "cuda" and given.preset == preset
        assert given.graph and given.precision == "tf32"
        assert 0.5 < accuracy < 1 and epochs in (5, 10)
    rows = [{"test_acc": 0.5, "seconds": 2.0, "images_per_second": 9.0},
            {"test_acc": 0.75, "seconds": 1.0, "images_per_second": 8.0}]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    assert programs.run(tmp_path) == {
        "epochs": 2, "test_acc": 0.75, "seconds_an_epoch": [2.0, 1.0],
        "images_per_second": [9.0, 8.0],
    }  # fmt: skip


def test_the_stand_in_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(programs, "fashion_mnist_dir", lambda *_, **__: tmp_path)
    assert programs.dataset() == ("fashion-mnist", f"Fashion-MNIST in {tmp_path}")

    def nowhere(*_, **options):
        assert options == {"download": False}
        raise programs.DatasetError("nowhere")

    monkeypatch.setattr(programs, "fashion_mnist_dir", nowhere)
    name, line = programs.dataset()
    assert name == "drawn" and "NOT Fashion-MNIST" in line


def test_all_stages_fit_into_eight_minutes():
    planned = command.stages()
    names = [stage.name for stage in planned]
    assert names == ["suite", "ceilings", *steps.GOALS, *report.RUNS]
    assert sum(stage.seconds for stage in planned) <= command.TOTAL < 480


# --------------------------------------------------------------------------------- the whole of it


def ended(status, found, seconds=1.0):
    return {"status": status, "found": found, "seconds": seconds}


def a_row(ratio):
    total = {"median": ratio, "min": ratio, "max": ratio}
    seconds = {v: {"total": {"median": s}} for v, s in ((MINIGRAD, 1e-3), (NCHW, ratio * 1e-3))}
    return {"row": {"ratio": {"total": total}, "n": 3, "baseline": NCHW, "seconds": seconds},
            "memory minigrad": {"allocated": 1 << 20}, "memory PyTorch": {"allocated": 3 << 20}}


def test_the_table_says_reached_missed_or_why_not():
    suite = {"outcomes": {"passed": 5}, "failed": [], "on_the_gpu": 3, "of_the_gpus": 3}
    all_of_it = {
        "suite": ended(0, suite),
        "alexnet_d2l fp32": ended(0, a_row(2.5)),
        "alexnet_d2l tf32": ended(0, a_row(1.0)),
        "alexnet_d2l bf16": ended(1, {"row": {MISSING: "not available: minigrad.autocast"}}),
        "sgd224": ended(0, {"epochs": 10, "test_acc": 0.89}, 100.0),
        "adam224": ended("out of time", {"epochs": 3, "test_acc": 0.88}, 60.0),
    }
    text = "\n".join(report.table(all_of_it))
    for line in (
        "alexnet_d2l fp32 .* 2.0x .* 2.50x .* 3 .* reached: 1.000 ms, PyTorch 2.500 ms",
        "alexnet_d2l fp32, peak memory .* 3.00x .* reached: 1 MiB, PyTorch 3 MiB",
        "alexnet_d2l tf32 .* 1.1x .* 1.00x .* MISSED",
        "alexnet_d2l bf16 .* - .* not available: minigrad.autocast",
        "sgd224 .* 0.883 in 120 s .* 0.8900 in 100 s .* reached",
        "adam224 .* 0.8800 in 60 s .* stopped after 3 of 5 epochs",
        "suite: 5 passed; 3 of the GPU's 3 among them",
    ):
        assert re.search(line.replace(" .* ", r"\s.*"), text), (line, text)
    assert report.missing(all_of_it) == [
        "alexnet_d2l bf16, row: not available: minigrad.autocast",
        "adam224: 3 of 5 epochs",
    ]  # fmt: skip
    suite |= {"failed": ["t::a"], "of_the_gpus": 4}
    assert report.missing({"suite": all_of_it["suite"]}) == [
        "suite: 1 tests failed", "suite: 3 of the GPU's 4 tests were run",
    ]  # fmt: skip
    none = {**suite, "failed": [], "on_the_gpu": 0, "of_the_gpus": 0}
    assert report.missing({"suite": ended(0, none)}) == ["suite: 0 of the GPU's 0 tests were run"]


@pytest.mark.parametrize("whole", [True, False])
def test_from_end_to_end(whole, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(backend, "cuda_problem", lambda: "")
    gpu = {"name": "A GPU", "memory_bytes": 1 << 30, "cupy": "14", "cupy_cuda": 13000,
           "torch_cuda": "13.0", "cudnn": 9}
    monkeypatch.setattr(command, "gpu", lambda: gpu)
    file = WRITES.replace('{"a": 1}', json.dumps({"copy": {} if whole else {MISSING: "broken"}}))
    planned = [Stage("ceilings", 60, python(file.replace('"', '\\"')), programs.parts)]
    planned += [Stage("never", 60, python("1"), programs.parts)]
    monkeypatch.setattr(command, "stages", lambda: planned)
    out = tmp_path / "new" / "gpu.json"
    assert command.main(["--only", "ceilings", "--out", str(out)]) == (0 if whole else 1)
    results = json.loads(out.read_text())
    assert results["gpu"]["name"] == "A GPU" and list(results["stages"]) == ["ceilings"]
    assert {"versions", "machine", "git", "date", "data"} <= set(results)
    said = capfd.readouterr().out
    assert "A GPU, 1 GiB" in said and "== ceilings (at most" in said
    assert ("not measured: ceilings, copy: broken" in said) is not whole


def test_without_a_gpu_it_is_one_line():
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", "bench/gpu.sh"], cwd=ROOT, env=hidden, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("bench/gpu.sh needs a GPU, and none can be used: ")
