"""What a figure was measured on: the machine, the versions, the libraries, the state of the tree.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

import minigrad
from alexnet.twin import import_torch


def describe() -> dict[str, Any]:
    """Everything that a reader needs to repeat a measurement, or to doubt it."""
    torch = import_torch()
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_bytes": _memory(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        },
        "threads": {"minigrad": minigrad.get_num_threads(), "torch": torch.get_num_threads()},
        "versions": {
            "python": platform.python_version(),
            "minigrad": minigrad.__version__,
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
        "blas": [
            {key: library.get(key) for key in ("internal_api", "version", "architecture")}
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ],
        "torch_libraries": {
            "blas": "MKL" if torch.backends.mkl.is_available() else None,
            "oneDNN": torch.backends.mkldnn.is_available(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "git": _git(),
    }


def disturbance(facts: dict[str, Any]) -> str:
    """A warning, where others used the machine when this began; empty where it was at rest.

    What else runs slows whoever's turn it is: a ratio may come out many times too high or too low.
    """
    load = facts["machine"]["load_average"]
    if not load or load[0] < 0.5:
        return ""
    return f" NOT TO BE QUOTED: the machine was busy (load average {load[0]:.1f})."


def in_one_line(facts: dict[str, Any]) -> str:
    """The most important of it, for people."""
    machine, versions, git = facts["machine"], facts["versions"], facts["git"]
    memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB" if machine["memory_bytes"] else ""
    blas = ", ".join(" ".join(map(str, library.values())) for library in facts["blas"])
    commit = f"commit {git['commit'][:10]}{' and changes' if git['dirty'] else ''}"
    return (
        f"{facts['date'][:10]}, {machine['cpu']} with {machine['cores']} cores{memory}; "
        f"minigrad {versions['minigrad']} ({commit if git['commit'] else 'no commit'}), "
        f"{facts['threads']['minigrad']} threads, Python {versions['python']}, "
        f"NumPy {versions['numpy']} ({blas}); PyTorch {versions['torch']}, "
        f"{facts['threads']['torch']} threads.{disturbance(facts)}"
    )


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.CalledProcessError):
            return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or "unknown processor"


def _memory() -> int | None:
    with suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _git() -> dict[str, Any]:
    """The commit of this tree, and whether it has changes; None where git cannot tell."""
    git = ("git", "-C", str(Path(__file__).parent))
    try:
        commit = _output(*git, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_output(*git, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
