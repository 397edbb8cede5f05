"""The peak memory of a training step, each engine in a process of its own.

`python -m bench.memory NETWORK BATCH VARIANT` builds the network, its input and its optimizer, and
then notes the peak of its resident memory so far; takes a few training steps; and prints by how
many bytes the peak has grown. So the figure is the step's own: activations, gradients, momentum
and scratch, with neither the interpreter and the libraries nor the weights and the images in it.

On Linux the peak is VmHWM of /proc/self/status, reset beforehand to what is resident; elsewhere it
is `ru_maxrss`. (Linux's `ru_maxrss` would not do: it is inherited from the process that started
this one.) What minigrad's workers hold for themselves is added, interpreter and all. Memory that
building has left free, in our pool or in malloc, is given back beforehand, for a step that made use
of it would seem to need less.
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import minigrad
from alexnet.twin import MINIGRAD, minigrad_side, torch_side
from bench.networks import DEFAULT, NETWORKS, Network, optimizers, training_step
from minigrad.kernels.cpu import cores

STEPS = 3  # the first makes gradients and momentum, the others run with them


def measure(network: Network, variant: str) -> int:
    """The bytes that a training step adds at its peak, measured in a fresh process.

    Args:
        variant: "minigrad", or the memory layout of PyTorch's side.

    Raises:
        RuntimeError: the process failed; its last line says why.
    """
    command = [sys.executable, "-m", "bench.memory", network.name, str(network.batch), variant]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"[memory] {network.name}, {variant}: {done.stderr.strip()[-200:]}")
    return int(done.stdout)


def _main(name: str, batch: str, variant: str) -> None:
    network = replace(NETWORKS[name], batch=int(batch))
    images, labels = network.images(network.batch), network.labels(network.batch)
    module = network.build()
    if variant == MINIGRAD:
        side = minigrad_side(module, images)
    else:
        side = torch_side(module, variant, images, build=network.twin)
    after = optimizers(side)
    work = training_step(side, labels, {DEFAULT: after[DEFAULT]})
    del module, images, after
    before = _reset_peak()
    for _ in range(STEPS):
        work.once()
    print(_peak() + _held_by_workers() - before)


def _reset_peak() -> int:
    """Give free memory back and forget higher peaks, where the system can; returns the new one."""
    gc.collect()
    minigrad.empty_cache()
    with suppress(OSError, AttributeError):  # glibc's malloc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # Linux alone has it
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """The most bytes that were resident in this process so far."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # missing on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _held_by_workers() -> int:
    """The bytes of the workers that this process does not see. They keep their scratch memory up to
    `workers.WORKERS_FREE`: what they hold beyond that at their peak is not counted."""
    total = 0
    for worker in cores._team.workers:
        with suppress(OSError):
            lines = Path(f"/proc/{worker.process.pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total * 1024


if __name__ == "__main__":
    _main(*sys.argv[1:])
