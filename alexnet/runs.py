"""The folder of a run: where it is, what is in it, and whether it can be gone on with.

    config.json          settings, data, versions
    metrics.jsonl        an object an epoch
    last.safetensors     the weights as they were last saved
    best.safetensors     those of the epoch with the best test accuracy
    pictures.csv         of a fine-tuned network: what it was trained on, and what it is tested on
    skipped.csv          pictures that could not be used, and why
    resume.safetensors   what `--resume` needs, until the run has ended
    curves.png confusion.png confusion.csv misclassified.png filters.png   when it has ended
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from alexnet.errors import InputError
from minigrad.utils.files import atomic_path


class Picture(NamedTuple):
    """A picture that a network was fine-tuned on ("train") or is tested on ("test"); `file` is its
    path in the folder of the data."""

    half: str
    class_name: str
    file: str


class Run:
    """A run folder: the paths in it, and reading and writing its text files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.metrics = folder / "metrics.jsonl"
        self.last = folder / "last.safetensors"
        self.best = folder / "best.safetensors"
        self.pictures = folder / "pictures.csv"
        self.skipped = folder / "skipped.csv"
        self.snapshot = folder / "resume.safetensors"

    def __str__(self) -> str:
        return str(self.folder)

    @classmethod
    def planned(cls, out: str | None) -> Run:
        """The folder that a new run would get, not made yet: `out`, or the next free number in
        runs/.

        Raises:
            InputError: `out` is in use.
        """
        if out is None:
            numbers = [int(path.name) for path in Path("runs").glob("*") if path.name.isdigit()]
            return cls(Path("runs") / str(max(numbers, default=0) + 1))
        run = cls(Path(out))
        if run.config.exists():
            raise InputError(
                f"--out {out} holds a run already: go on with it by --resume {out}, "
                "or name another folder"
            )
        if run.folder.is_file() or (run.folder.is_dir() and any(run.folder.iterdir())):
            raise InputError(f"--out {out} exists and is not an empty folder: name another one")
        return run

    @classmethod
    def existing(cls, folder: str) -> Run:
        """The run in `folder`.

        Raises:
            InputError: there is none.
        """
        run = cls(Path(folder))
        if not run.folder.is_dir():
            raise InputError(f"{folder} is no run folder: it does not exist, or is a file")
        if not run.config.is_file():
            raise InputError(f"{folder} is no run folder: it has no config.json")
        return run

    def make(self) -> None:
        """Make the folder.

        Raises:
            InputError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {self.folder}: {error.strerror}") from None

    def read_config(self) -> dict[str, Any]:
        """What config.json holds.

        Raises:
            InputError: it is not readable JSON.
        """
        try:
            values = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.config} cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{self.config} is no config of a run")
        return values

    def write_config(self, values: Mapping[str, Any]) -> None:
        with atomic_path(self.config) as temporary:
            temporary.write_text(
                json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )

    def write_rows(self, path: Path, rows: Iterable[Sequence[str]]) -> None:
        """A CSV file of the run. A file name may be no UTF-8: it is written as it is."""
        with (
            atomic_path(path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            csv.writer(file).writerows(rows)

    def write_pictures(self, pictures: Iterable[Picture]) -> None:
        self.write_rows(self.pictures, [Picture._fields, *pictures])

    def read_pictures(self) -> list[Picture]:
        """What `write_pictures` wrote; empty in a run of a version that did not.

        Raises:
            InputError: it is something else.
        """
        try:
            with open(
                self.pictures, newline="", encoding="utf-8", errors="surrogateescape"
            ) as file:
                header, *rows = csv.reader(file)
                if tuple(header) != Picture._fields:
                    raise ValueError(f"its columns are {', '.join(header)}")
                return [Picture(*row) for row in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise InputError(f"{self.pictures} cannot be read: {error}") from None

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """All epochs so far: the whole file each time, so that it is never half a line long."""
        with atomic_path(self.metrics) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
