"""Pictures drawn by code, as files: shapes on a dark ground, for a small network to tell apart."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("bars", "disc", "frame")


def draw(kind, rng):
    """A picture of a shape, of any size and any two colours."""
    w, h = (int(side) for side in rng.integers(36, 60, 2))
    ground, ink = (tuple(map(int, rng.integers(*span, 3))) for span in ((0, 90), (150, 255)))
    picture = Image.new("RGB", (w, h), ground)
    pen = ImageDraw.Draw(picture)
    r = min(w, h) * rng.uniform(0.25, 0.4)
    left, top, right, bottom = w / 2 - r, h / 2 - r, w / 2 + r, h / 2 + r
    if kind == "disc":
        pen.ellipse((left, top, right, bottom), fill=ink)
    elif kind == "frame":
        pen.rectangle((left, top, right, bottom), outline=ink, width=3)
    else:
        for y in np.linspace(top, bottom, 4):
            pen.rectangle((left, y - r / 8, right, y + r / 8), fill=ink)
    return picture


def draw_folder(root, count, kinds=KINDS, seed=0):
    """`count` pictures of each kind, in a folder for each: half of them JPEG, half PNG."""
    rng = np.random.default_rng(seed)
    for kind in kinds:
        folder = Path(root) / kind
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            draw(kind, rng).save(folder / f"{i:03}.{('jpg', 'png')[i % 2]}")
    return Path(root)
