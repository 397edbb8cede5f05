"""Picture files of every kind: what is read of the good ones, and how the bad ones are refused."""

import io

import numpy as np
import pytest
from PIL import Image

from alexnet.pictures import Unreadable, pil_loader, read

RED = (200, 30, 60)


@pytest.fixture
def jpeg():
    """The bytes of a noisy JPEG, which cannot be short."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("wanted", ["RGB", "L"])
def test_pictures_of_every_mode(tmp_path, mode, wanted):
    """A white square on black stays one; each mode in a format that has it."""
    square = Image.new("L", (20, 10))
    square.paste(255, (0, 0, 10, 10))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(square).astype(np.uint16) * 257)
    else:
        picture = (square.convert("RGB") if mode in ("P", "CMYK") else square).convert(mode)
    path = tmp_path / f"x.{'tif' if mode in ('CMYK', 'F') else 'png'}"
    picture.save(path)
    got = read(path, wanted)
    assert got.mode == wanted
    pixels = np.asarray(got).reshape(10, 20, -1)
    assert pixels[:, :10].min() > 250
    assert pixels[:, 10:].max() < 5


def test_16_bits_keep_their_shades(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "x.png")
    assert np.asarray(read(tmp_path / "x.png", "L")).tolist() == [[0, 127, 255]]


def test_a_cmyk_jpeg_has_its_colours(tmp_path):
    Image.new("RGB", (16, 16), RED).convert("CMYK").save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(np.asarray(read(tmp_path / "x.jpg"))[8, 8], RED, atol=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.convert(mode).save(tmp_path / "x.png", **({"transparency": 0} if mode == "P" else {}))
    assert (np.asarray(read(tmp_path / "x.png")) == 255).all()


def test_the_camera_was_held_sideways(tmp_path):
    picture = Image.new("RGB", (30, 20), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    picture.save(tmp_path / "x.jpg", exif=exif)
    assert read(tmp_path / "x.jpg").size == (20, 30)
    assert pil_loader(tmp_path / "x.jpg").size == (30, 20)  # as torchvision has it


def test_torchvisions_loader_makes_rgb_of_what_there_is(tmp_path):
    Image.new("RGBA", (4, 4), (*RED, 0)).save(tmp_path / "x.png")
    got = pil_loader(str(tmp_path / "x.png"))
    assert (got.mode, got.getpixel((0, 0))) == ("RGB", RED)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"", "cannot identify image file"),
        (lambda data: b"this is no picture", "cannot identify image file"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:30], "not a picture that can be read"),
    ],
    ids=["empty", "text", "half", "header"],
)
def test_damaged_files_are_named(tmp_path, jpeg, spoil, reason):
    path = tmp_path / "x.jpg"
    path.write_bytes(spoil(jpeg))
    with pytest.raises(Unreadable) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: not a picture that can be read (")
    assert reason in refused.value.reason
    with pytest.raises(OSError):  # what Pillow says
        pil_loader(path)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(Unreadable, match="there is no such file"):
        read(tmp_path / "x.jpg")
    with pytest.raises(Unreadable, match="not a picture"):
        read(tmp_path)


@pytest.mark.parametrize("most", [1999, 1000, 900])  # Pillow warns of the first two alone
def test_decompression_bombs_are_refused(tmp_path, jpeg, monkeypatch, most):
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg)  # 50 x 40: 2000 pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    with pytest.raises(Unreadable, match="x.jpg: the picture is too large to be opened safely"):
        read(path)
    with pytest.raises(Image.DecompressionBombError, match=f"x.jpg: .* more than {most:,} pixels"):
        pil_loader(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    assert read(path).size == pil_loader(path).size == (50, 40)
