"""What a stage finds out, written to its file part by part: what came before a failure is kept."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.gpu.sides import NotAvailable

MISSING = "missing"  # instead of a result: why there is none


class Results:
    """A stage's parts by name; `status` is its exit code so far: 0 while nothing is missing."""

    def __init__(self, file: Path) -> None:
        self.file, self.status = file, 0
        self.parts: dict[str, Any] = {}

    def __enter__(self) -> Results:
        self.write()
        return self

    def __exit__(self, *_: object) -> None:
        self.write()

    def add(
        self, name: str, measure: Callable[[], dict[str, Any]],
        line: Callable[[str, dict[str, Any]], str],
    ) -> dict[str, Any] | None:  # fmt: skip
        """One part: measured, printed, written down; where it fails, its reason instead."""
        try:
            self.parts[name] = measure()
            print(line(name, self.parts[name]), flush=True)
        except (NotAvailable, ModuleNotFoundError) as why:
            self.miss(name, f"not available: {why}")
        except Exception as error:  # a part that was never run may fail in any way
            traceback.print_exc()
            text = " ".join(str(error).split())[:300]
            self.miss(name, f"{type(error).__name__}: {text}")
        self.write()
        return self.parts[name] if MISSING not in self.parts[name] else None

    def miss(self, name: str, why: str) -> None:
        """Note that there is no such part, and why."""
        self.status = 1
        self.parts[name] = {MISSING: why}
        print(f"{name}: {why}", file=sys.stderr, flush=True)

    def write(self) -> None:
        self.file.write_text(json.dumps(self.parts, indent=1) + "\n")
