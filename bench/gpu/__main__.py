"""`bash bench/gpu.sh`, which is `python -m bench.gpu`: what is measured, in which order and time.

What a stage does not use of its time is the next ones'. The table of goals comes last, with every
row: a number, or why there is none (`report.py`). Next: `sides.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from alexnet.errors import InputError
from bench import machine
from bench.gpu import programs
from bench.gpu.programs import Stage, carry_out
from bench.gpu.report import missing, table
from bench.gpu.steps import GOALS
from minigrad import backend
from minigrad.cuda import diagnose

TOTAL = 475.0  # seconds; eight minutes less the start


def stages() -> list[Stage]:
    """Everything, in order."""

    def measured(name: str, seconds: float, *command: str) -> Stage:
        return Stage(name, seconds, (*command, "{folder}/results.json"), programs.parts)

    budgets = {"alexnet_2012 tf32": 30.0, "alexnet_small graph": 55.0}
    return [
        Stage("suite", 120.0, programs.pytest(), programs.suite),
        measured("ceilings", 25.0, "bench.gpu.ceilings"),
        *(measured(name, budgets.get(name, 25.0), "bench.gpu.steps", name) for name in GOALS),
        Stage("sgd224", 110.0, programs.training("sgd224"), programs.run),
        Stage("adam224", 60.0, programs.training("adam224"), programs.run),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure it all; 0 if nothing is missing and no test has failed."""
    began = time.perf_counter()
    planned = {stage.name: stage for stage in stages()}
    options = _parser(list(planned)).parse_args(arguments)
    if problem := backend.cuda_problem():
        problem = problem.removesuffix(f", {diagnose.CPU}")
        print(f"bench/gpu.sh needs a GPU, and none can be used: {problem}", file=sys.stderr)
        return 1
    try:
        facts: dict[str, Any] = {**machine.describe(), "gpu": gpu(), "data": programs.dataset()[1]}
    except InputError as error:
        print(f"bench/gpu.sh: {error}", file=sys.stderr)
        return 1
    usual = Path(__file__).parents[1] / "out" / f"gpu-{datetime.now():%Y-%m-%d-%H%M%S}.json"
    out = options.out or usual
    out.parent.mkdir(parents=True, exist_ok=True)
    facts["command"] = shlex.join(["bash", "bench/gpu.sh", *(arguments or sys.argv[1:])])
    print(f"{machine.in_one_line(facts)}\n{gpu_line(facts['gpu'])}\ndata: {facts['data']}")
    chosen = [planned[name] for name in options.only]
    ended: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        until = time.perf_counter() - began
        for stage in chosen:
            until += stage.seconds
            seconds = min(until, TOTAL) - (time.perf_counter() - began)
            print(f"\n== {stage.name} (at most {seconds:.0f} s)", flush=True)
            ended[stage.name] = carry_out(stage, seconds, Path(scratch) / stage.name)
            out.write_text(json.dumps({**facts, "stages": ended}, indent=1) + "\n")
    print("\n== what came of it", *table(ended), sep="\n")
    misses = missing(ended)
    print(*(f"not measured: {line}" for line in misses), sep="\n")
    print(f"{time.perf_counter() - began:.0f} s; all samples are in {os.path.relpath(out)}")
    return int(bool(misses))


def gpu() -> dict[str, Any]:
    """The GPU, and the versions of what computes on it, ours and PyTorch's."""
    import torch

    cupy, known = backend.cupy(), diagnose.driver()
    return {
        "name": torch.cuda.get_device_name(),
        "capability": list(torch.cuda.get_device_capability()),
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory,
        "driver_cuda": list(known.cuda) if known else None,
        "cupy": cupy.__version__,
        "cupy_cuda": cupy.cuda.runtime.runtimeGetVersion(),
        "torch_cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def gpu_line(gpu: dict[str, Any]) -> str:
    """The most important of it."""
    return (
        f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB; CuPy {gpu['cupy']} with CUDA "
        f"{gpu['cupy_cuda']}; PyTorch's CUDA {gpu['torch_cuda']}, cuDNN {gpu['cudnn']}"
    )


def _parser(names: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bash bench/gpu.sh", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="STAGE", default=names, choices=names,
        help="only these stages (default: all of %(choices)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="where the JSON goes (default: bench/out/gpu-<date>.json)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
