"""Zip archives that nobody vouches for: the outside of .npz and of PyTorch's .pth.

What could fill the memory or confuse is refused before anything is unpacked: records that lie in
each other, that unpack to far more than they are, two of one name, names that lead out of the
archive. Nothing is ever extracted to a disk. Next: `npz.py`, `pth.py`.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO

from minigrad.utils.raw import LoadError

STORED = zipfile.ZIP_STORED
PACKED_AT_MOST = 100  # weights hardly shrink; what unpacks to a hundred times as much is a bomb,
HARMLESS = 1 << 26  # unless it is small
DAMAGE = (  # what zipfile raises on a damaged archive
    zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError, OverflowError, EOFError,
    OSError,
)


class Archive:
    """A zip file whose directory has been checked.

    Attributes:
        records: what is known of each record, by name.

    Raises:
        LoadError: the archive is damaged, or one that no honest program writes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        length = file.seek(0, 2)
        try:
            self._zip = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise LoadError(f"a damaged zip archive ({error}): fetch or copy it again") from None
        self.records: dict[str, zipfile.ZipInfo] = {}
        for record in self._zip.infolist():
            name = record.filename
            if name != record.orig_filename or "\\" in name or ".." in name or name[:1] in "/":
                raise LoadError(f"record {record.orig_filename!r}: no name for a record")
            if name in self.records:
                raise LoadError(f"record {name!r} is there twice")
            if record.compress_type not in (STORED, zipfile.ZIP_DEFLATED):
                raise LoadError(f"record {name!r} is packed in another way than deflate")
            self.records[name] = record
        if sum(record.compress_size for record in self.records.values()) > length:
            raise LoadError(f"its records claim more than the {length} bytes that it has")
        unpacked = sum(record.file_size for record in self.records.values())
        if unpacked > max(HARMLESS, PACKED_AT_MOST * length):
            raise LoadError(f"its {length} bytes claim to unpack to {unpacked}: a zip bomb")

    def read(self, name: str) -> bytes:
        """The content of a record, its checksum verified.

        Raises:
            LoadError: there is no such record, or it is damaged.
        """
        if name not in self.records:
            raise LoadError(f"there is no record {name!r}")
        record = self.records[name]
        try:
            with self._zip.open(record) as stream:
                content = stream.read(record.file_size)  # a size, for without one it reads bombs
        except DAMAGE as error:
            raise LoadError(f"record {name!r} is damaged: {error}") from None
        if len(content) != record.file_size:
            raise LoadError(
                f"record {name!r} holds {len(content)} bytes, but claims {record.file_size}"
            )
        return content
