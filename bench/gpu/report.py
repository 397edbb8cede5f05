"""What came of the stages: the table of goals, each row with a number or with why there is none."""

from __future__ import annotations

from typing import Any

from alexnet.layers import align
from bench.gpu.programs import SHOWN
from bench.gpu.results import MISSING
from bench.gpu.steps import GOALS, LEVEL

RUNS = {"sgd224": (0.883, 120, 10), "adam224": (0.906, 60, 5)}  # accuracy, seconds, epochs


def table(ended: dict[str, Any]) -> list[str]:
    """The table of goals: each row of it that was asked for."""
    rows: list[tuple[str, ...]] = [("", "at least", "measured", "n", "")]
    for name, stage in ended.items():
        found = stage["found"]
        if name in GOALS:
            rows.append(_ratio(name, GOALS[name].at_least, found.get("row")))
            if GOALS[name].graph:
                rows.append(_ratio(f"{name}, beside compile", LEVEL, found.get("compiled")))
            rows.append(_peaks(name, found.get("memory minigrad"), found.get("memory PyTorch")))
        if name in RUNS:
            rows.append(_run(name, stage))
    lines = align(rows, "<>>><")
    if "suite" in ended:
        lines += _suite(ended["suite"])
    return lines


def _ratio(name: str, goal: float, row: dict[str, Any] | None) -> tuple[str, ...]:
    if row is None or MISSING in row:
        return name, f"{goal:.1f}x", "-", "", row[MISSING] if row else "not measured"
    ratio = row["ratio"]["total"]
    shown = f"{ratio['median']:.2f}x ({ratio['min']:.2f}..{ratio['max']:.2f})"
    ours, theirs = (row["seconds"][v]["total"]["median"] for v in ("minigrad", row["baseline"]))
    note = f"{ours * 1e3:.3f} ms, PyTorch {theirs * 1e3:.3f} ms ({row['baseline']})"
    return name, f"{goal:.1f}x", shown, str(row["n"]), _verdict(ratio["median"] >= goal, note)


def _peaks(name: str, ours: Any, theirs: Any) -> tuple[str, ...]:
    name = f"{name}, peak memory"
    if not ours or not theirs or MISSING in ours or MISSING in theirs:
        return name, "1.0x", "-", "", "not measured"
    ratio = theirs["allocated"] / ours["allocated"]
    shown = [f"{peak['allocated'] / 2**20:.0f} MiB" for peak in (ours, theirs)]
    note = _verdict(ratio >= 1, f"{shown[0]}, PyTorch {shown[1]}")
    return name, "1.0x", f"{ratio:.2f}x", "1", note


def _run(name: str, stage: dict[str, Any]) -> tuple[str, ...]:
    accuracy, seconds, epochs = RUNS[name]
    goal, found = f"{accuracy} in {seconds} s", stage["found"]
    if MISSING in found:
        return name, goal, "-", "", found[MISSING]
    shown = f"{found['test_acc']:.4f} in {stage['seconds']:.0f} s"
    if found["epochs"] < epochs:
        return name, goal, shown, "1", f"stopped after {found['epochs']} of {epochs} epochs"
    good = found["test_acc"] >= accuracy and stage["seconds"] <= seconds
    return name, goal, shown, "1", _verdict(good, "start and pictures included")


def _verdict(good: bool, note: str) -> str:
    return f"{'reached' if good else 'MISSED'}: {note}"


def _suite(stage: dict[str, Any]) -> list[str]:
    found = stage["found"]
    if MISSING in found:
        return [f"suite: {found[MISSING]}"]
    counts = ", ".join(f"{n} {outcome}" for outcome, n in found["outcomes"].items())
    gpus = f"{found['on_the_gpu']} of the GPU's {found['of_the_gpus']}"
    return [
        f"suite: {counts}; {gpus} among them; status {stage['status']}",
        *(f"  failed: {name}" for name in found["failed"][:SHOWN]),
    ]


def missing(ended: dict[str, Any]) -> list[str]:
    """What was not measured, and why; a failed test counts."""
    lines = []
    for name, stage in ended.items():
        found = stage["found"]
        if MISSING in found:
            lines.append(f"{name}: {found[MISSING]} (status {stage['status']})")
        for part, result in found.items():
            if isinstance(result, dict) and MISSING in result:
                lines.append(f"{name}, {part}: {result[MISSING]}")
        if name == "suite" and found.get("failed"):
            lines.append(f"suite: {len(found['failed'])} tests failed")
        if name == "suite" and MISSING not in found:
            gpu, of = found["on_the_gpu"], found["of_the_gpus"]
            if gpu < max(of, 1):
                lines.append(f"suite: {gpu} of the GPU's {of} tests were run")
        if name in RUNS and found.get("epochs", RUNS[name][2]) < RUNS[name][2]:
            lines.append(f"{name}: {found['epochs']} of {RUNS[name][2]} epochs")
        elif stage["status"] == "out of time" and name != "suite":
            lines.append(f"{name}: out of time after {stage['seconds']:.0f} s")
    return lines
