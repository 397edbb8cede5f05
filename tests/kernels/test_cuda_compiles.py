"""Every CUDA kernel compiles for three generations of GPUs, without spilling registers to memory.

The compiler is the one that CuPy uses, NVRTC, from its wheel, or else nvcc. It takes some seconds
for each generation: so they are compiled side by side, and pytest's cache keeps what the compiler
said of this very text. What is kept is its log, which is read anew each time.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from tests.kernels.cuda_double import Installed

ARCHITECTURES = ("sm_80", "sm_89", "sm_90")
CLEAN = """
template <typename T> __global__ void twice(T* x) { x[threadIdx.x] *= 2; }
"""
SPILLS = """
__global__ void __launch_bounds__(1024, 2) greedy(float* x, int n) {
    float kept[96];
#pragma unroll
    for (int i = 0; i < 96; i++) kept[i] = x[i * n];
    for (int round = 0; round < n; round++) {
#pragma unroll
        for (int i = 0; i < 96; i++) kept[i] = kept[i] * kept[(i * 7 + 1) % 96] + round;
    }
#pragma unroll
    for (int i = 0; i < 96; i++) x[i * n] = kept[i];
}
"""
Compile = Callable[[str, list[str], str], str]  # source, kernels, architecture -> the log


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Compile]:
    """What identifies the compiler, and the function that calls it."""
    if (nvrtc := find_nvrtc()) is not None:
        library = ctypes.CDLL(str(nvrtc))

        def with_nvrtc(*what: str | list[str]) -> str:
            return compile_with_nvrtc(library, *what)

        return f"{nvrtc.resolve()} {nvrtc.stat().st_size} {nvrtc.stat().st_mtime}", with_nvrtc
    if shutil.which("nvcc"):

        def with_nvcc(*what: str | list[str]) -> str:
            return compile_with_nvcc(*what, tmp_path_factory.mktemp("nvcc"))

        version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True)
        return version.stdout, with_nvcc
    try:
        metadata.version("nvidia-cuda-nvrtc")
    except metadata.PackageNotFoundError:
        pytest.skip("this machine has neither the nvidia-cuda-nvrtc wheel nor nvcc")
    pytest.fail("the wheel nvidia-cuda-nvrtc is installed, but its library is nowhere on sys.path")


def find_nvrtc() -> Path | None:
    """NVIDIA's run-time compiler, which CuPy uses too, from its wheel."""
    for folder in map(Path, sys.path):
        for path in sorted(folder.glob("nvidia/*/lib/libnvrtc.so.*")):
            return path
    return None


def compile_with_nvrtc(nvrtc: ctypes.CDLL, source: str, names: list[str], arch: str) -> str:
    """What the compiler says; nothing but the source is given to it, no header at all."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"all.cu", 0, None, None)
    for name in names:
        nvrtc.nvrtcAddNameExpression(program, name.encode())
    options = [f"-arch={arch}", "-std=c++17", "-ftz=true", "--ptxas-options=-v"]
    flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = nvrtc.nvrtcCompileProgram(program, len(options), flags)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    assert status == 0, log.value.decode()
    return log.value.decode()


def compile_with_nvcc(source: str, names: list[str], arch: str, folder: Path) -> str:
    used = ", ".join(f"(void*)&{name}" for name in names)
    (folder / "all.cu").write_text(f"{source}\nvoid* used[] = {{{used}}};\n")
    command = f"nvcc -std=c++17 -ftz=true -arch={arch} -cubin -Xptxas -v all.cu".split()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def logs(
    installed: Installed, compiler: tuple[str, Compile], request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[str]]]:
    """What the compiler says of the whole module for each architecture, as soon as it does."""
    module = installed.package.module
    source, names = module.source(), module.name_expressions()
    identity, compile = compiler
    cache = getattr(request.config, "cache", None)

    def log(arch: str) -> str:
        text = "\0".join([identity, arch, source, *names, Path(__file__).read_text()])
        key = hashlib.sha256(text.encode()).hexdigest()
        kept = cache.get(f"cuda/{arch}", {}) if cache else {}
        if key not in kept:
            kept = {key: compile(source, names, arch)}
            if cache:
                cache.set(f"cuda/{arch}", kept)
        return kept[key]

    with ThreadPoolExecutor(min(os.cpu_count() or 1, len(ARCHITECTURES))) as pool:
        yield {arch: pool.submit(log, arch) for arch in ARCHITECTURES}


def spills(log: str, arch: str) -> dict[str, int]:
    """For each kernel that the log says was compiled for `arch`: the bytes that it spills, with
    those of the functions that it calls."""
    found: dict[str, int] = {}
    kernel = ""
    for line in log.splitlines():
        if entry := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
            kernel = entry[1] if entry[2].startswith(arch) else ""
        elif numbers := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            found[kernel] = found.get(kernel, 0) + int(numbers[1]) + int(numbers[2])
    found.pop("", None)
    return found


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_compiles_without_spills(installed, logs, arch):
    found = spills(logs[arch].result(), arch)
    names = installed.package.module.name_expressions()
    assert len(found) == len(names) > 0
    for name in names:  # mangled: a kernel's name stands in it after its length
        plain = name.partition("<")[0]
        assert any(f"Z{len(plain)}{plain}" in mangled for mangled in found), name
    assert {kernel: size for kernel, size in found.items() if size} == {}


def test_a_spill_would_be_seen(compiler):
    _, compile = compiler
    (size,) = spills(compile(SPILLS, ["greedy"], "sm_90"), "sm_90").values()
    assert size > 0


def test_what_was_not_compiled_would_be_missed(compiler):
    _, compile = compiler
    names = ["twice<float>", "twice<double>"]
    log = compile(CLEAN, names, "sm_80")
    assert list(spills(log, "sm_80").values()) == [0, 0]
    assert spills(log, "sm_90") == {} == spills("", "sm_80")
    with pytest.raises(AssertionError, match="no_such_thing"):
        compile(CLEAN.replace("*= 2", "= no_such_thing"), names, "sm_80")
