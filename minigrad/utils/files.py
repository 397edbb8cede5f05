"""Writing a file so that nobody ever sees half of it.

Everything that is left on a disk (weights, pictures, downloads, config) goes through `atomic_path`:
it is written beside its final place and moved there only when it is complete.
Next: `serialization.py`, which writes tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path  # which takes long to import


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` if the block ends well, and vanishes if not.

        with atomic_path("runs/1/best.safetensors") as temporary:
            temporary.write_bytes(data)

    The temporary file lies in the same folder (a rename is atomic only inside one file system)
    and keeps the suffix, because savers such as matplotlib choose the format by it. Folders on
    the way are made. An older file at `path` stays untouched until the new one is safely on the
    disk.

    Raises:
        OSError: the folder cannot be made or written, the disk is full, or the block wrote nothing.
    """
    from pathlib import Path

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{os.urandom(4).hex()}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too must not leave the temporary file behind
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; only POSIX systems can (and need to) do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
