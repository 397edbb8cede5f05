"""The four files of Fashion-MNIST: where they may be, how they are fetched, how they are read.

Nothing that comes from a disk or a network is trusted: sizes are bounded before a byte is
unpacked, the SHA-256 decides whether it is the published file, and each failure is one
`DatasetError` that says which file, what was expected, what came and what to do. Next:
`datasets.py`, which makes training data of them.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from os.path import isfile  # unlike Path.is_file, it never raises: a cache may be unreadable
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np

from alexnet.errors import InputError
from minigrad.utils.files import atomic_path

MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
PROBE_SECONDS = 4.0  # all mirrors are asked at once, so a missing network is known after this time
STALL_SECONDS = 10.0  # a mirror that sends nothing for so long is given up
CHUNK = 1 << 16


class DatasetError(InputError):
    """The data are missing or wrong; the message is one line, written for people."""


class PublishedFile(NamedTuple):
    """What is known of `<name>.gz` as published, and of `<name>`, the idx file inside."""

    name: str
    gz_bytes: int
    gz_sha256: str
    idx_sha256: str
    shape: tuple[int, ...]

    @property
    def idx_bytes(self) -> int:
        """4 bytes of magic number, 4 a dimension, then one byte an element."""
        return 4 + 4 * len(self.shape) + prod(self.shape)


# The sums of the .gz files are the published ones; those of the idx files were taken from these.
FILES = {
    "train-images": PublishedFile(
        "train-images-idx3-ubyte",
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        (60_000, 28, 28),
    ),
    "train-labels": PublishedFile(
        "train-labels-idx1-ubyte",
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        (60_000,),
    ),
    "test-images": PublishedFile(
        "t10k-images-idx3-ubyte",
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        (10_000, 28, 28),
    ),
    "test-labels": PublishedFile(
        "t10k-labels-idx1-ubyte",
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        (10_000,),
    ),
}


# ------------------------------------------------------------------------------------------ finding


def fashion_mnist_dir(
    data_dir: str | os.PathLike[str] | None = None, download: bool = True, progress: bool = True
) -> Path:
    """The folder that holds the four files (each as `.gz` or unpacked).

    Looked for in this order: `data_dir`, the environment variable MINIGRAD_DATA, where
    torchvision users and Keras keep them, and this project's cache; else downloaded into that
    cache. A directory that was named (the first two) must hold the files: the search does not
    silently go on elsewhere.

    Raises:
        DatasetError: a named directory lacks files, or there is neither a copy nor a network.
    """
    if data_dir is not None:
        return named_folder(data_dir, "the data directory")
    if os.environ.get("MINIGRAD_DATA"):
        return named_folder(os.environ["MINIGRAD_DATA"], "from MINIGRAD_DATA")
    for root in (*_other_caches(), cache_dir()):
        folder = _folder_in(root)
        if folder is not None and not _unfinished(folder):
            return folder
    if download:
        return download_to(cache_dir(), progress=progress)
    raise DatasetError(
        "[Fashion-MNIST] no copy was found on this machine, and downloading was not asked for; "
        "name the folder of the four files (--data-dir or MINIGRAD_DATA), or allow the download"
    )


def named_folder(root: str | os.PathLike[str], asked_as: str) -> Path:
    """The folder of the files under `root`, which the user named; DatasetError if it lacks some."""
    root = Path(root).expanduser()
    folder = _folder_in(root)
    if folder is not None:
        return folder
    if not root.is_dir():
        raise DatasetError(f"[Fashion-MNIST] {root} ({asked_as}) is not an existing folder")
    missing = min((_missing(folder) for folder in _layouts(root)), key=len)
    raise DatasetError(
        f"[Fashion-MNIST] {root} ({asked_as}) lacks {', '.join(missing)}; put the four .gz "
        f"files from {MIRRORS[0]} there or into {root / 'FashionMNIST' / 'raw'}"
    )


def cache_dir() -> Path:
    """The folder where this project keeps what it downloads, by each platform's custom."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "minigrad"
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "minigrad" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minigrad"
    return Path.home() / ".cache" / "minigrad"


def _other_caches() -> Iterator[Path]:
    """Where PyTorch listings (root="data", d2l's "../data") and Keras leave Fashion-MNIST."""
    torch_home = os.environ.get("TORCH_HOME")
    keras_home = os.environ.get("KERAS_HOME")
    yield Path.cwd() / "data"
    yield Path.cwd().parent / "data"
    yield (Path(torch_home) if torch_home else Path.home() / ".cache" / "torch") / "datasets"
    yield (Path(keras_home) if keras_home else Path.home() / ".keras") / "datasets/fashion-mnist"


def _layouts(root: Path) -> tuple[Path, ...]:
    return root / "FashionMNIST" / "raw", root / "raw", root


def _folder_in(root: Path) -> Path | None:
    return next((folder for folder in _layouts(root) if not _missing(folder)), None)


def _missing(folder: Path) -> list[str]:
    return [
        f"{file.name}.gz"
        for file in FILES.values()
        if not (isfile(folder / f"{file.name}.gz") or isfile(folder / file.name))
    ]


def _unfinished(folder: Path) -> bool:
    """Whether another program's interrupted download left a short file, known by its size alone."""
    return any(
        path.stat().st_size != size
        for path, size, _ in (_choose(folder, file) for file in FILES.values())
    )


def _choose(folder: Path, file: PublishedFile) -> tuple[Path, int, str]:
    """The file to read, `<name>.gz` before `<name>`, with the size and SHA-256 it must have."""
    packed = folder / f"{file.name}.gz"
    if isfile(packed):
        return packed, file.gz_bytes, file.gz_sha256
    return folder / file.name, file.idx_bytes, file.idx_sha256


# -------------------------------------------------------------------------------------- downloading


class _KeepHttps(HTTPRedirectHandler):
    """Follows redirects, but never from https to a scheme without it."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise URLError(f"refused a redirect from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = build_opener(_KeepHttps)
_opener.addheaders = [("User-Agent", "minigrad")]


def download_to(
    root: str | os.PathLike[str], mirrors: Sequence[str] | None = None, progress: bool = True
) -> Path:
    """Fetch what `<root>/FashionMNIST/raw` lacks of the four .gz files; returns that folder.

    Each file is written beside its place and moved there only when its SHA-256 is the published
    one, so that an interrupted download leaves nothing behind. A bar is drawn on a terminal only.

    Raises:
        DatasetError: the folder cannot be written, or no mirror delivers the published bytes.
    """
    folder = Path(root).expanduser() / "FashionMNIST" / "raw"
    wanted = [
        file for file in FILES.values() if not _is_published(folder / f"{file.name}.gz", file)
    ]
    if not wanted:
        return folder
    mirrors = MIRRORS if mirrors is None else mirrors
    answers = _probe(mirrors, wanted[0])
    reachable = [mirror for mirror in mirrors if answers[mirror] == "ok"]
    if reachable:
        _make(folder)
    for file in wanted:
        for mirror in reachable:
            try:
                _fetch(mirror, file, folder, progress)
                break
            except (OSError, http.client.HTTPException, DatasetError) as error:
                answers[mirror] = _reason(error)
        else:
            said = "; ".join(f"{urlsplit(mirror).netloc}: {answers[mirror]}" for mirror in mirrors)
            raise DatasetError(
                f"[Fashion-MNIST] no mirror delivered {file.name}.gz ({said}); check the network, "
                "or put the four .gz files into a folder and name it (--data-dir or MINIGRAD_DATA)"
            )
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"[Fashion-MNIST] cannot make the folder {folder}: {error.strerror}"
        ) from None


def _is_published(path: Path, file: PublishedFile) -> bool:
    return (
        isfile(path)
        and path.stat().st_size == file.gz_bytes
        and hashlib.sha256(path.read_bytes()).hexdigest() == file.gz_sha256
    )


def _probe(mirrors: Sequence[str], file: PublishedFile) -> dict[str, str]:
    """Ask all mirrors at the same time whether they have `file`: "ok", or why not, by mirror.

    Threads, because a silent name server blocks for longer than any timeout of urllib.
    """
    answers = dict.fromkeys(mirrors, f"no answer within {PROBE_SECONDS:g} seconds")

    def ask(mirror: str) -> None:
        try:
            request = Request(f"{mirror}{file.name}.gz", method="HEAD")
            with _opener.open(request, timeout=PROBE_SECONDS):
                answers[mirror] = "ok"
        except (OSError, http.client.HTTPException) as error:
            answers[mirror] = _reason(error)

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)  # a thread that answers too late changes nothing any more


def _reason(error: Exception) -> str:
    """The cause without urllib's wrapping "<urlopen error ...>"."""
    return str(getattr(error, "reason", error))


def _fetch(mirror: str, file: PublishedFile, folder: Path, progress: bool) -> None:
    """One file from one mirror into `folder`, in bounded memory and never longer than published."""
    from tqdm import tqdm

    digest, received = hashlib.sha256(), 0
    with (
        atomic_path(folder / f"{file.name}.gz") as temporary,
        _opener.open(f"{mirror}{file.name}.gz", timeout=STALL_SECONDS) as response,
        open(temporary, "wb") as output,
        tqdm(
            total=file.gz_bytes,
            desc=f"{file.name}.gz",
            unit="B",
            unit_scale=True,
            disable=None if progress else True,  # None: only on a terminal
        ) as bar,
    ):
        while received <= file.gz_bytes and (chunk := response.read(CHUNK)):
            output.write(chunk)
            digest.update(chunk)
            received += len(chunk)
            bar.update(len(chunk))
        if received != file.gz_bytes:
            came = "more" if received > file.gz_bytes else f"{received:,}"
            raise DatasetError(f"expected {file.gz_bytes:,} bytes, got {came}")
        if digest.hexdigest() != file.gz_sha256:
            raise DatasetError(f"expected SHA-256 {file.gz_sha256}, got {digest.hexdigest()}")


# ------------------------------------------------------------------------------------------ reading


def read_images_and_labels(folder: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """The verified images, uint8 (N, 28, 28), and labels, int64 (N,), of one half of the data set.

    Raises:
        DatasetError: a file is missing, damaged, or not the published one; names the file.
    """
    half = "train" if train else "test"
    images = read_file(folder, FILES[f"{half}-images"])
    labels = read_file(folder, FILES[f"{half}-labels"])
    return images, labels.astype(np.int64)


def read_file(folder: Path, file: PublishedFile) -> np.ndarray:
    """The array in `<name>.gz` or, where there is only that, in `<name>`; both are checked."""
    path, size, sha256 = _choose(folder, file)
    content = _read_bounded(path, size)
    if path.suffix == ".gz":
        _check_published(path, content, size, sha256)
        return parse_idx(unpack(content, file.idx_bytes, path), file.shape, path)
    array = parse_idx(content, file.shape, path)  # first, for what it says is more telling
    _check_published(path, content, size, sha256)
    return array


def _read_bounded(path: Path, size: int) -> bytes:
    """At most one byte more than the file may have: enough to see that it is too long."""
    try:
        with open(path, "rb") as stream:
            return stream.read(size + 1)
    except OSError as error:
        raise DatasetError(f"[Fashion-MNIST] cannot read {path}: {error.strerror}") from None


def _check_published(path: Path, content: bytes, size: int, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found == sha256:
        return
    if content.lstrip()[:1] == b"<":
        what = "it is a web page"
    elif len(content) < size:
        what = f"it was cut off: {len(content):,} of {size:,} bytes"
    elif len(content) > size:
        what = f"it is longer than {size:,} bytes"
    else:
        what = f"expected SHA-256 {sha256}, got {found}"
    raise DatasetError(
        f"[Fashion-MNIST] {path} is not the published file ({what}); delete it and run again, "
        f"or get it from {MIRRORS[0]}"
    )


def unpack(content: bytes, size: int, path: Path) -> bytes:
    """Unpack gzip `content` that must hold `size` bytes, stopping one byte beyond that."""
    stream = zlib.decompressobj(wbits=31)  # 31: deflate in a gzip wrapper, its checksum verified
    try:
        unpacked = stream.decompress(content, size + 1)
    except zlib.error as error:
        raise DatasetError(f"[Fashion-MNIST] {path} cannot be unpacked: {error}") from None
    if len(unpacked) != size or not stream.eof:
        came = "more" if len(unpacked) > size else f"only {len(unpacked):,}, or is cut off"
        raise DatasetError(
            f"[Fashion-MNIST] {path} must unpack to {size:,} bytes, but holds {came}"
        )
    return unpacked


def parse_idx(content: bytes, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """The uint8 array in an idx file: magic 0x0000080D (D dimensions), their sizes, elements.

    Format: the description on the MNIST page; all numbers big-endian. The array is writable and
    in C order.

    Raises:
        DatasetError: the magic number, a dimension, the length, or a label (outside 0..9) is wrong.
    """
    magic = 0x800 + len(shape)
    header = 4 + 4 * len(shape)
    if len(content) < header:
        raise DatasetError(f"[Fashion-MNIST] {path} ends inside its header ({len(content)} bytes)")
    found, *dimensions = struct.unpack(f">{1 + len(shape)}I", content[:header])
    if found != magic:
        raise DatasetError(
            f"[Fashion-MNIST] {path} is no idx file of {len(shape)} dimensions: "
            f"magic number 0x{found:08x}, expected 0x{magic:08x}"
        )
    if tuple(dimensions) != shape:
        raise DatasetError(
            f"[Fashion-MNIST] {path} holds an array of shape {tuple(dimensions)}, expected {shape}"
        )
    if len(content) - header != prod(shape):
        raise DatasetError(
            f"[Fashion-MNIST] {path} holds {len(content) - header:,} elements, "
            f"expected {prod(shape):,}"
        )
    array = np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()
    if len(shape) == 1 and array.size and array.max() > 9:
        raise DatasetError(f"[Fashion-MNIST] {path} holds the label {array.max()}, expected 0..9")
    return array
