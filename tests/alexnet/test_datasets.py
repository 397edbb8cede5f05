"""Finding, downloading, verifying and reading Fashion-MNIST, and choosing what a run trains on.

All but the last tests use a tiny data set that they make themselves, and a server on this machine.
"""

import gzip
import hashlib
import io
import os
import socket
import struct
import threading
import tracemalloc
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.response import addinfourl

import numpy as np
import pytest

from alexnet import datasets, drawn, fashion_mnist
from alexnet.datasets import DatasetError, FashionMNIST, fashion_mnist_dir, load, stratified_subset
from alexnet.fashion_mnist import PublishedFile, download_to, parse_idx, read_file, unpack

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "test-images": "t10k-images-idx3-ubyte",
    "test-labels": "t10k-labels-idx1-ubyte",
}


def idx(array):
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A published data set of 50 + 20 images: its .gz files by name. No cache, no network."""
    rng = np.random.default_rng(0)
    arrays = {}
    for half, n in (("train", 50), ("test", 20)):
        arrays[f"{half}-images"] = rng.integers(0, 256, (n, 28, 28))
        arrays[f"{half}-labels"] = rng.permutation(np.arange(n) % 10)
    packed = {key: gzip.compress(idx(array), mtime=0) for key, array in arrays.items()}
    files = {
        key: PublishedFile(
            NAMES[key], len(packed[key]), sha256(packed[key]), sha256(idx(array)), array.shape
        )
        for key, array in arrays.items()
    }
    monkeypatch.setattr(fashion_mnist, "FILES", files)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setattr(fashion_mnist, "MIRRORS", (f"http://127.0.0.1:{port}/",))
    for name in ("MINIGRAD_DATA", "TORCH_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = tmp_path / "project" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    return {f"{NAMES[key]}.gz": content for key, content in packed.items()}


def put(files, folder, plain=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if plain:
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


# ------------------------------------------------------------------------------------------ finding


@pytest.mark.parametrize("layout", ["FashionMNIST/raw", "raw", "."])
@pytest.mark.parametrize("plain", [False, True])
def test_a_named_folder_may_have_any_layout(tiny, tmp_path, layout, plain):
    folder = put(tiny, tmp_path / "mine" / layout, plain)
    assert fashion_mnist_dir(tmp_path / "mine") == folder
    assert load("fashion-mnist", tmp_path / "mine").train_images.shape == (50, 28, 28)


def test_the_order_of_the_search(tiny, tmp_path, monkeypatch):
    home = tmp_path / "home"
    places = [
        put(tiny, tmp_path / "cache/minigrad/FashionMNIST/raw"),
        put(tiny, home / ".keras/datasets/fashion-mnist"),
        put(tiny, home / ".cache/torch/datasets/FashionMNIST/raw"),
        put(tiny, tmp_path / "project/data/FashionMNIST/raw"),
        put(tiny, tmp_path / "project/here/data/FashionMNIST/raw"),
    ]
    monkeypatch.setenv("MINIGRAD_DATA", str(put(tiny, tmp_path / "environment")))
    argument = put(tiny, tmp_path / "argument")
    assert fashion_mnist_dir(argument) == argument
    assert fashion_mnist_dir() == tmp_path / "environment"
    monkeypatch.delenv("MINIGRAD_DATA")
    for place in reversed(places):
        assert fashion_mnist_dir() == place
        next(place.iterdir()).unlink()
    with pytest.raises(DatasetError, match="no copy was found"):
        fashion_mnist_dir(download=False)


def test_keras_and_torch_may_keep_theirs_elsewhere(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "k"))
    keras = put(tiny, tmp_path / "k/datasets/fashion-mnist")
    assert fashion_mnist_dir() == keras
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "t"))
    torch = put(tiny, tmp_path / "t/datasets/FashionMNIST/raw")
    assert fashion_mnist_dir() == torch


def test_a_named_folder_that_lacks_files_is_an_error_and_not_passed_over(
    tiny, tmp_path, monkeypatch
):
    put(tiny, tmp_path / "cache/minigrad/FashionMNIST/raw")  # would be found
    partial = put(tiny, tmp_path / "partial" / "FashionMNIST" / "raw")
    (partial / "t10k-labels-idx1-ubyte.gz").unlink()
    for name in ("auto", "fashion-mnist"):
        with pytest.raises(DatasetError, match=r"partial.* lacks t10k-labels-idx1-ubyte.gz; put"):
            load(name, tmp_path / "partial")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"nowhere \(from MINIGRAD_DATA\) is not an existing"):
        load("auto")


def test_another_programs_interrupted_download_is_passed_over(tiny, tmp_path):
    put(tiny, tmp_path / "cache/minigrad/FashionMNIST/raw")
    torch = put(tiny, tmp_path / "project/here/data/FashionMNIST/raw")
    cut = torch / "train-images-idx3-ubyte.gz"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:1000])
    assert fashion_mnist_dir() == tmp_path / "cache/minigrad/FashionMNIST/raw"
    cut.write_bytes(whole)
    (torch / "train-images-idx3-ubyte").write_bytes(b"half")  # only unpacking was interrupted
    assert fashion_mnist_dir() == torch
    assert load("fashion-mnist").train_images.shape == (50, 28, 28)


# ------------------------------------------------------------------------------------------ reading


def test_reading_gives_what_was_written(tiny, tmp_path):
    folder = put(tiny, tmp_path / "mine")
    images, labels = fashion_mnist.read_images_and_labels(folder, train=False)
    raw = gzip.decompress(tiny["t10k-images-idx3-ubyte.gz"])
    assert images.dtype == np.uint8 and images.shape == (20, 28, 28)
    assert images.tobytes() == raw[16:]
    assert images.flags.writeable and images.flags.c_contiguous
    assert labels.dtype == np.int64
    assert labels.tolist() == list(gzip.decompress(tiny["t10k-labels-idx1-ubyte.gz"])[8:])


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:1000], r"it was cut off: 1,000 of [\d,]+ bytes"),
        (lambda content: b"", "it was cut off: 0 of"),
        (lambda content: content + b"x", "it is longer than"),
        (flipped, r"expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}"),
        (lambda content: b"<!DOCTYPE html><html>sign in</html>", "it is a web page"),
    ],
)
@pytest.mark.parametrize("name", ["auto", "fashion-mnist"])
def test_a_damaged_gz_is_named(tiny, tmp_path, monkeypatch, damage, message, name):
    path = put(tiny, tmp_path / "mine") / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=message) as caught:
        load(name, tmp_path / "mine")
    assert str(path) in str(caught.value)
    assert "delete it and run again" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:5], r"ends inside its header \(5 bytes\)"),
        (lambda content: content[:-1], "holds 39,199 elements, expected 39,200"),
        (lambda content: content + b"x", "holds 39,201 elements, expected 39,200"),
        (lambda content: b"<html>" + content[6:], "magic number 0x3c68746d, expected 0x00000803"),
        (lambda content: content[:7] + b"\x33" + content[8:], r"shape \(51, 28, 28\), expected"),
        (flipped, "expected SHA-256"),
    ],
)
def test_a_damaged_unpacked_file_is_named(tiny, tmp_path, damage, message):
    path = put(tiny, tmp_path / "mine", plain=True) / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=message) as caught:
        load("fashion-mnist", tmp_path / "mine")
    assert str(path) in str(caught.value)


def test_an_unreadable_file_is_named(tiny, tmp_path):
    folder = put(tiny, tmp_path / "mine")
    file = fashion_mnist.FILES["train-labels"]
    (folder / f"{file.name}.gz").unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*train-labels-idx1-ubyte: No such file"):
        read_file(folder, file)


def test_an_oversized_gz_is_not_unpacked():
    bomb = gzip.compress(bytes(1 << 20))
    with pytest.raises(DatasetError, match=r"here must unpack to 1,000 bytes, but holds more"):
        unpack(bomb, 1000, Path("here"))


def test_unpacking_an_oversized_gz_takes_no_memory():
    bomb = gzip.compress(bytes(1 << 24))
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError):
            unpack(bomb, 1000, Path("here"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip at all", "cannot be unpacked"),
        (gzip.compress(bytes(1000))[:-10], "or is cut off"),
        (gzip.compress(bytes(1000))[:-1], "or is cut off"),
        (gzip.compress(bytes(1000))[:-8] + bytes(8), "cannot be unpacked: .*incorrect data check"),
        (gzip.compress(bytes(999)), "must unpack to 1,000 bytes, but holds only 999"),
    ],
)
def test_bad_gzip(content, message):
    with pytest.raises(DatasetError, match=message):
        unpack(content, 1000, Path("here"))


def test_labels_outside_the_ten_classes():
    with pytest.raises(DatasetError, match=r"here holds the label 10, expected 0\.\.9"):
        parse_idx(idx(np.array([3, 10, 9])), (3,), Path("here"))
    assert parse_idx(idx(np.array([3, 0, 9])), (3,), Path("here")).tolist() == [3, 0, 9]


# -------------------------------------------------------------------------------------- downloading


@pytest.fixture
def server():
    """`server.answers[path]` is (status, headers, body); `server.asked` lists the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(f"{self.command} {self.path}")
            status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answers, running.asked = {}, []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def serve(server, files, prefix):
    for name, content in files.items():
        server.answers[f"/{prefix}/{name}"] = (200, {"Content-Length": len(content)}, content)
    return f"{server.url}/{prefix}/"


def test_a_download_is_complete_verified_and_quiet(tiny, tmp_path, server, capfd):
    mirror = serve(server, tiny, "good")
    folder = download_to(tmp_path / "there", [mirror])
    assert folder == tmp_path / "there" / "FashionMNIST" / "raw"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny
    assert capfd.readouterr() == ("", "")  # no bar where there is no terminal


def test_what_is_there_already_is_not_fetched_again(tiny, tmp_path, server):
    mirror = serve(server, tiny, "good")
    folder = put(tiny, tmp_path / "there" / "FashionMNIST" / "raw")
    assert download_to(tmp_path / "there", [mirror]) == folder
    assert server.asked == []
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"damaged")
    download_to(tmp_path / "there", [mirror])
    assert server.asked == [f"{verb} /good/t10k-images-idx3-ubyte.gz" for verb in ("HEAD", "GET")]
    assert (folder / "t10k-images-idx3-ubyte.gz").read_bytes() == tiny["t10k-images-idx3-ubyte.gz"]


def test_the_default_download_goes_to_the_projects_cache(tiny, tmp_path, server, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "MIRRORS", (serve(server, tiny, "good"),))
    assert load("auto").stand_in is False
    assert fashion_mnist_dir(download=False) == tmp_path / "cache/minigrad/FashionMNIST/raw"


BAD_ANSWERS = {
    "missing": (lambda body: (404, {}, b""), "Not Found"),
    "broken": (lambda body: (503, {}, b""), "Service Unavailable"),
    "wrong": (lambda body: (200, {}, flipped(body)), "expected SHA-256 "),
    "web page": (lambda body: (200, {}, b"<html>sign in</html>"), "bytes, got 20"),
    "truncated": (lambda body: (200, {"Content-Length": len(body)}, body[:500]), "500"),
    "endless": (lambda body: (200, {}, body + bytes(1 << 22)), "bytes, got more"),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_a_bad_mirror_is_reported_and_leaves_nothing(tiny, tmp_path, server, kind):
    answer, message = BAD_ANSWERS[kind]
    mirror = serve(server, tiny, "bad")
    server.answers = {path: answer(entry[2]) for path, entry in server.answers.items()}
    with pytest.raises(DatasetError, match=message) as caught:
        download_to(tmp_path / "there", [mirror])
    assert "no mirror delivered train-images-idx3-ubyte.gz" in str(caught.value)
    assert "127.0.0.1" in str(caught.value) and "\n" not in str(caught.value)
    assert [path for path in (tmp_path / "there").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_the_next_mirror_is_tried(tiny, tmp_path, server, kind):
    answer, _ = BAD_ANSWERS[kind]
    bad = serve(server, tiny, "bad")
    server.answers = {path: answer(entry[2]) for path, entry in server.answers.items()}
    folder = download_to(tmp_path / "there", [bad, serve(server, tiny, "good")])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == tiny


def test_a_download_is_cut_where_the_file_should_end(tiny, tmp_path, server, monkeypatch):
    received = []
    sha256 = hashlib.sha256

    class Counting:
        def __init__(self):
            self.sum = sha256()

        def update(self, chunk):
            received.append(len(chunk))
            self.sum.update(chunk)

    name = "train-images-idx3-ubyte.gz"
    server.answers[f"/long/{name}"] = (200, {}, tiny[name] + bytes(1 << 24))
    monkeypatch.setattr(hashlib, "sha256", Counting)
    with pytest.raises(DatasetError, match="bytes, got more"):
        download_to(tmp_path / "there", [f"{server.url}/long/"])
    assert sum(received) <= len(tiny[name]) + fashion_mnist.CHUNK


def test_a_redirect_is_followed(tiny, tmp_path, server):
    good = serve(server, tiny, "good")
    for name in tiny:
        server.answers[f"/old/{name}"] = (302, {"Location": f"{good}{name}"}, b"")
    folder = download_to(tmp_path / "there", [f"{server.url}/old/"])
    assert len(os.listdir(folder)) == 4


def test_a_redirect_from_https_to_http_is_refused(tiny, tmp_path, server, monkeypatch):
    good = serve(server, tiny, "good")

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, request):
            headers = Message()
            headers["Location"] = good + request.selector[1:]
            answer = addinfourl(io.BytesIO(), headers, request.full_url, 302)
            answer.msg = "Found"
            return answer

    opener = urllib.request.build_opener(fashion_mnist._KeepHttps, Https)
    monkeypatch.setattr(fashion_mnist, "_opener", opener)
    with pytest.raises(
        DatasetError, match=r"secure\.example: refused a redirect from https to http:"
    ):
        download_to(tmp_path / "there", ["https://secure.example/"])
    assert server.asked == []


def test_without_a_network_the_answer_comes_soon(tiny, tmp_path, monkeypatch):
    asked, ask = [], fashion_mnist._opener.open
    monkeypatch.setattr(fashion_mnist, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr(
        fashion_mnist._opener, "open",
        lambda request, timeout: asked.append(timeout) or ask(request, timeout=timeout),
    )  # fmt: skip
    with socket.socket() as silent:  # accepts connections, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mirrors = [f"http://127.0.0.1:{silent.getsockname()[1]}/{i}/" for i in range(5)]
        with pytest.raises(DatasetError, match="no answer within|timed out"):
            download_to(tmp_path / "there", mirrors)
    assert asked == [0.3] * 5  # each mirror once, and for no longer
    assert not (tmp_path / "there").exists()


def test_a_silent_name_server_is_not_waited_for(tiny, tmp_path, monkeypatch):
    class Silent:
        def open(self, request, timeout):
            released.wait(20)  # no timeout of urllib reaches a look-up of names
            awaited.append(request)
            raise OSError("too late")

    released, awaited = threading.Event(), []
    monkeypatch.setattr(fashion_mnist, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(fashion_mnist, "_opener", Silent())
    with pytest.raises(DatasetError, match=r"no answer within 0\.1 seconds"):
        download_to(tmp_path / "there", ["https://one.example/", "https://two.example/"])
    assert awaited == []
    released.set()


def test_a_folder_that_cannot_be_made(tiny, tmp_path, server):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"cannot make the folder .*file.*: Not a directory"):
        download_to(tmp_path / "file", [serve(server, tiny, "good")])


def test_all_mirrors_but_the_last_are_https():
    schemes = [mirror.split(":")[0] for mirror in fashion_mnist.MIRRORS]
    assert len(schemes) >= 3 and schemes == sorted(schemes, reverse=True)


# ----------------------------------------------------------------------------------------- choosing


@pytest.fixture
def few_drawn(monkeypatch):
    monkeypatch.setattr(drawn, "TRAIN_SIZE", 100)
    monkeypatch.setattr(drawn, "TEST_SIZE", 30)


def test_without_copy_and_network_auto_says_that_it_uses_the_stand_in(tiny, few_drawn):
    splits = load("auto")
    assert splits.stand_in is True and splits.name == "drawn"
    assert "NOT Fashion-MNIST" in splits.source and "no copy" in splits.source
    assert splits.train_images.shape == (100, 28, 28) and splits.test_labels.shape == (30,)


def test_fashion_mnist_by_name_never_falls_back(tiny, few_drawn):
    with pytest.raises(DatasetError, match=r"no mirror delivered .*--data-dir or MINIGRAD_DATA"):
        load("fashion-mnist")


def test_drawn_by_name_never_looks_for_files(tiny, few_drawn, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", "/nowhere")
    splits = load("drawn", limit_train=40)
    assert splits.stand_in is True and "not Fashion-MNIST" in splits.source
    assert np.bincount(splits.train_labels).tolist() == [4] * 10
    assert splits.train_indices.tolist() == list(range(40))
    assert (splits.mean, splits.std) == (drawn.MEAN, drawn.STD)


def test_a_limit_takes_a_stratified_subset(tiny, tmp_path):
    put(tiny, tmp_path / "mine")
    whole = load("fashion-mnist", tmp_path / "mine")
    part = load("auto", tmp_path / "mine", limit_train=20, seed=3)
    assert np.bincount(part.train_labels).tolist() == [2] * 10
    assert (part.train_images == whole.train_images[part.train_indices]).all()
    assert (part.train_labels == whole.train_labels[part.train_indices]).all()
    assert len(part.test_images) == 20 and part.stand_in is False
    assert str(tmp_path / "mine") in part.source


@pytest.mark.parametrize("limit", [0, -1, 51, 101])
def test_a_limit_out_of_range(tiny, tmp_path, few_drawn, limit):
    put(tiny, tmp_path / "mine")
    with pytest.raises(DatasetError, match=f"{limit} training images were asked for; there are 1 "):
        load("fashion-mnist", tmp_path / "mine", limit)
    if limit != 51:
        with pytest.raises(DatasetError, match="there are 1 to 100"):
            load("drawn", limit_train=limit)


def test_an_unknown_name():
    with pytest.raises(DatasetError, match="unknown data set 'mnist'; there are auto, fash"):
        load("mnist")


@pytest.mark.parametrize("n", [10, 23, 99, 500, 1000])
def test_a_subset_is_balanced_sorted_and_reproducible(n):
    targets = np.random.default_rng(1).permutation(np.arange(1000) % 10)
    subset = stratified_subset(targets, n, seed=7)
    assert subset.dtype == np.int64 and subset.shape == (n,)
    assert (np.diff(subset) > 0).all()
    counts = np.bincount(targets[subset], minlength=10)
    assert counts.max() - counts.min() <= 1
    assert (stratified_subset(targets, n, seed=7) == subset).all()
    if n < 1000:
        assert (stratified_subset(targets, n, seed=8) != subset).any()


def test_subsets_of_one_seed_are_nested():
    targets = np.arange(1000) % 10
    sizes = [10, 15, 100, 104, 700, 1000]
    subsets = [set(stratified_subset(targets, n, seed=0).tolist()) for n in sizes]
    for smaller, larger in zip(subsets, subsets[1:], strict=False):
        assert smaller < larger


def test_a_class_with_too_few_items():
    targets = np.array([0] * 50 + [1] * 3)
    with pytest.raises(DatasetError, match="class 1 has 3 items, but its share of 20 is 10; .* 6"):
        stratified_subset(targets, 20, seed=0)


# ------------------------------------------------------------------------------ torchvision's class


def test_the_class_answers_as_torchvisions(tiny, tmp_path):
    put(tiny, tmp_path / "data" / "FashionMNIST" / "raw")
    train = FashionMNIST(tmp_path / "data")
    assert len(train) == 50 and train.data.shape == (50, 28, 28) and train.targets.shape == (50,)
    assert train.classes[0] == "T-shirt/top" and train.class_to_idx["Ankle boot"] == 9
    image, label = train[3]
    assert image.size == (28, 28) and image.mode == "L" and type(label) is int
    assert (np.asarray(image) == train.data[3].numpy()).all() and label == train.targets[3]
    test = FashionMNIST(
        tmp_path / "data", train=False, transform=np.asarray, target_transform=lambda k: -k
    )
    assert len(test) == 20
    assert [label for _, label in test] == (-test.targets).tolist()
    assert (np.stack([image for image, _ in test]) == test.data.numpy()).all()


def test_the_class_downloads_only_when_asked_to(tiny, tmp_path, server, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "MIRRORS", (serve(server, tiny, "good"),))
    with pytest.raises(DatasetError, match="or use download=True"):
        FashionMNIST(tmp_path / "root")
    assert len(FashionMNIST(tmp_path / "root", download=True)) == 50
    assert len(os.listdir(tmp_path / "root/FashionMNIST/raw")) == 4
    with pytest.raises(DatasetError, match="no copy was found"):
        FashionMNIST()


# ---------------------------------------------------------------------------------------- real data


@pytest.mark.skipif(not os.environ.get("MINIGRAD_DATA"), reason="MINIGRAD_DATA is not set")
def test_the_real_files(monkeypatch):
    read, hashed = [], []
    unpacked, digest = fashion_mnist.unpack, hashlib.sha256
    monkeypatch.setattr(
        fashion_mnist, "unpack", lambda packed, *more: read.append(len(packed))
        or unpacked(packed, *more),
    )  # fmt: skip
    monkeypatch.setattr(
        hashlib, "sha256", lambda content: hashed.append(len(content)) or digest(content)
    )
    splits = load("fashion-mnist")
    assert len(read) == len(hashed) == 4, "more work than to check and unpack each file once"
    assert splits.train_images.shape == (60_000, 28, 28) and splits.train_images.dtype == np.uint8
    assert splits.test_images.shape == (10_000, 28, 28)
    assert np.bincount(splits.train_labels).tolist() == [6000] * 10
    assert np.bincount(splits.test_labels).tolist() == [1000] * 10
    assert splits.train_labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert abs(splits.train_images.mean() / 255 - splits.mean) < 5e-5
    assert abs(splits.train_images.std() / 255 - splits.std) < 5e-5
    assert splits.stand_in is False and splits.classes == datasets.CLASSES


@pytest.mark.skipif(not os.environ.get("MINIGRAD_DATA"), reason="MINIGRAD_DATA is not set")
def test_the_real_files_unpacked(tmp_path):
    source = fashion_mnist_dir()
    for file in fashion_mnist.FILES.values():
        content = gzip.decompress((source / f"{file.name}.gz").read_bytes())
        (tmp_path / file.name).write_bytes(content)
    assert len(FashionMNIST(tmp_path)) == 60_000
    assert len(FashionMNIST(tmp_path, train=False)) == 10_000
