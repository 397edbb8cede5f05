"""Who may know whom: imports point one way, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import minigrad

ROOT = Path(minigrad.__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("minigrad", "alexnet")
    for path in sorted((ROOT / package).rglob("*.py"))
}

# Each floor may import what stands on it or below it.
FLOORS = [
    ["minigrad.backend", "minigrad.dtypes", "minigrad.missing"],
    ["minigrad.kernels"],
    ["minigrad.tensor", "minigrad.autograd", "minigrad.operators", "minigrad.ops",
     "minigrad.creation", "minigrad.printing", "minigrad.gradcheck", "minigrad.cuda",
     "minigrad.accelerator", "minigrad.backends", "minigrad.amp"],
    ["minigrad.nn", "minigrad.optim", "minigrad.utils"],
    ["alexnet"],
]
HEAVY = {"cupy", "matplotlib", "PIL", "torch", "safetensors", "tqdm", "onnx", "onnxruntime",
         "ml_dtypes"}


def floor(module: str) -> int:
    for number, packages in enumerate(FLOORS):
        if any(module == package or module.startswith(package + ".") for package in packages):
            return number
    return len(FLOORS)  # minigrad itself, which re-exports


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    if name == "minigrad":
        return
    for other in imported(ast.parse(MODULES[name].read_text())):
        if other.startswith(("minigrad.", "alexnet")):
            assert floor(other) <= floor(name), f"{name} must not know {other}"


def test_only_the_backend_and_its_kernels_say_cupy() -> None:
    """Others ask `backend.cupy()`, which explains what is wrong where there is none."""
    speakers = {
        name for name, path in MODULES.items()
        if re.search(r"(?<!backend\.)\bcupy\b", path.read_text())
    }
    speakers = {name for name in speakers if not name.startswith("minigrad.kernels.cuda")}
    assert speakers == {"minigrad.backend"}


def test_the_kernels_of_both_devices_have_the_same_names() -> None:
    """Read from the sources, for the GPU's cannot be imported without CuPy."""
    names = []
    for device in ("cpu", "cuda"):
        tree = ast.parse(MODULES[f"minigrad.kernels.{device}"].read_text())
        names.append({
            alias.asname or alias.name
            for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
            for alias in node.names
        })
    assert names[0] == names[1]


def test_import_minigrad_is_light() -> None:
    code = "import sys, minigrad; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )
    assert run.stderr == ""
    loaded = set(run.stdout.split())
    assert "numpy" in loaded
    assert loaded & HEAVY == set()


def test_onnx_is_loaded_where_it_is_used_only() -> None:
    """It is an extra: all else must work without it."""
    code = (
        "import sys; sys.modules['onnx'] = None; import alexnet.__main__, alexnet.interchange; "
        "from alexnet import evaluate, export, info, models, train"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_all_lists_what_minigrad_re_exports() -> None:
    tree = ast.parse(MODULES["minigrad"].read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    internal = {"explain_missing_names"}
    assert sorted(names - internal | {"device", "inference_mode"}) == minigrad.__all__
