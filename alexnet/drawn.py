"""A stand-in for Fashion-MNIST where it cannot be had: garments drawn by code.

The same ten classes, 28 x 28 uint8, garment light on black, any number of them from a seed. They
are easy to tell apart for a person and not for a linear model: position, size, pose, cut, fabric,
contrast and clutter all vary, and shirts, T-shirts, pullovers and coats differ by collar, buttons
and sleeves only.

A drawing is a signed distance: negative inside an outline, positive outside, in garment
coordinates where x goes right and y goes down from -1 to 1. A `Canvas` holds a batch of them, one
random pose each; every function below draws one class on it. Next: `datasets.py`, which decides
when this is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

SIZE = 28
TRAIN_SIZE, TEST_SIZE = 60_000, 10_000
MEAN, STD = 0.1475, 0.2300  # of the training images, for pixels in 0..1
BLOCK = 1000  # images that share a random stream: image i does not depend on how many are drawn

Shade = float | np.ndarray  # broadcasts against (N, SIZE, SIZE)


def draw(count: int, seed: int = 0, train: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """`count` images, uint8 (N, 28, 28), and labels, int64 (N,): the classes of Fashion-MNIST.

    Any ten neighbours (from a multiple of ten) are the ten classes in a random order. The first
    images are the same however many are drawn; training and test images come from different
    random streams. About 0.1 ms an image on two cores.

    Raises:
        ValueError: `count` is less than 1.
    """
    if count < 1:
        raise ValueError(f"[draw] count must be at least 1, got {count}")
    numbers = range((count + BLOCK - 1) // BLOCK)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(lambda number: _block(seed, train, number), numbers))
    images = np.concatenate([block[0] for block in blocks])[:count]
    labels = np.concatenate([block[1] for block in blocks])[:count]
    return images, labels


def _block(seed: int, train: bool, number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, int(train), number])
    tens = np.tile(np.arange(len(GARMENTS)), (BLOCK // len(GARMENTS), 1))
    labels = rng.permuted(tens, axis=1).ravel()
    images = np.empty((BLOCK, SIZE, SIZE), np.uint8)
    # One class at a time: a hundred pictures are few enough for a cache, and enough for NumPy.
    for label, garment in enumerate(GARMENTS):
        members = np.flatnonzero(labels == label)
        canvas = Canvas(len(members), rng)
        garment(canvas)
        images[members] = canvas.develop()
    return images, labels


# --------------------------------------------------------------------------------------- the canvas


class Canvas:
    """`count` pictures, a pose each: grids `x`, `y` in garment coordinates, and the `image`."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.count, self.rng = count, rng
        axis = ((np.arange(SIZE) + 0.5) / (SIZE / 2) - 1).astype(np.float32)
        across = axis[None, None, :] - self.uniform(-0.17, 0.17)
        down = axis[None, :, None] - self.uniform(-0.13, 0.13)
        angle, shear = self.normal(0.17), self.normal(0.10)
        scale = self.uniform(0.73, 1.04)
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        self.x = (cos * across + sin * down) * self.uniform(0.88, 1.12) + shear * down
        self.y = cos * down - sin * across
        # Cloth is never quite straight: bend every outline a little.
        self.x += self.uniform(0, 0.06) * np.sin(self.uniform(1, 4) * self.y + self.uniform(0, 6.3))
        self.y += self.uniform(0, 0.06) * np.sin(self.uniform(1, 4) * self.x + self.uniform(0, 6.3))
        self.pixel = 2 / SIZE / scale
        self.image = np.zeros((count, SIZE, SIZE), np.float32)

    # Random numbers, one a picture: shape (N, 1, 1), to broadcast against the grids.

    def uniform(self, low: float, high: float) -> np.ndarray:
        return self.rng.random((self.count, 1, 1), np.float32) * (high - low) + low

    def normal(self, deviation: float) -> np.ndarray:
        return self.rng.standard_normal((self.count, 1, 1), np.float32) * deviation

    def chance(self, probability: float) -> np.ndarray:
        """True or False a picture."""
        return self.rng.random((self.count, 1, 1)) < probability

    # Outlines: signed distances, (N, SIZE, SIZE). `mirror` means the right half and its reflection.

    def convex(self, *points: tuple[Shade, Shade], mirror: bool = False) -> np.ndarray:
        """A convex polygon, its corners given clockwise: the deepest of the distances to its edges.

        Mirrored, the corners run from the axis round the right half back to the axis.
        """
        x, y = np.abs(self.x) if mirror else self.x, self.y
        distance = np.full(self.image.shape, -np.inf, np.float32)
        ends = points[1:] if mirror else points[1:] + points[:1]
        for (ax, ay), (bx, by) in zip(points, ends, strict=False):
            length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
            across, down = (by - ay) / length, (ax - bx) / length  # the unit normal, pointing out
            edge = across * x
            edge += down * y
            edge -= across * ax + down * ay
            np.maximum(distance, edge, out=distance)
        return distance

    def ellipse(self, cx: Shade, cy: Shade, rx: Shade, ry: Shade) -> np.ndarray:
        """Exact for circles and near enough to the outline of others."""
        radius = np.minimum(rx, ry, dtype=np.float32)
        return (np.hypot((self.x - cx) / rx, (self.y - cy) / ry) - 1) * radius

    # Ink.

    def paint(self, distance: np.ndarray, shade: Shade, where: Shade = 1.0) -> None:
        """Lay `shade` over the inside of an outline, one pixel soft; `where` 0 leaves it out."""
        cover = np.clip(0.5 - distance / self.pixel, 0, 1) * where
        self.image += cover * (shade - self.image)

    def stroke(self, distance: np.ndarray, width: Shade, shade: Shade, where: Shade = 1.0) -> None:
        """Draw along an outline."""
        self.paint(np.abs(distance) - width / 2, shade, where)

    def fabric(self, patterned: float = 0.25) -> np.ndarray:
        """A cloth: its tone, soft folds, a weave, and stripes both ways with chance `patterned`."""
        tone = self.uniform(0.35, 0.95)
        folds = np.sin(self.normal(2.5) * self.x + self.normal(2.5) * self.y + self.uniform(0, 6.3))
        rows = np.sin(self.uniform(8, 22) * self.y + self.uniform(0, 6.3))
        columns = np.sin(self.uniform(8, 22) * self.x + self.uniform(0, 6.3))
        weave = self.rng.standard_normal(self.image.shape, np.float32)
        return np.clip(
            tone
            + self.uniform(0.02, 0.12) * folds
            + self.chance(patterned) * self.uniform(0.05, 0.3) * rows
            + self.chance(patterned) * self.uniform(0.05, 0.3) * columns
            + self.uniform(0.0, 0.08) * weave,
            0.08,
            1,
        )

    def develop(self) -> np.ndarray:
        """The finished uint8 pictures: contrast, something in front of a few, and camera noise."""
        contrast = 1 + self.uniform(-0.4, 0.4) * (1 - self.image)
        image = self.image * contrast * self.uniform(0.6, 1.0)
        direction, offset = self.uniform(0, 3.15), self.uniform(-0.8, 0.8)
        beside = np.abs(np.cos(direction) * self.x + np.sin(direction) * self.y - offset)
        hidden = (beside < self.uniform(0.04, 0.14)) & self.chance(0.15)
        image = np.where(hidden, self.uniform(0, 0.6), image)
        image += self.rng.standard_normal(image.shape, np.float32) * self.uniform(0.0, 0.06)
        return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


# --------------------------------------------------------------------------------- tops and dresses


def _top(
    c: Canvas, fabric: np.ndarray, sleeve: Shade, hem: Shade, body: Shade, flare: Shade
) -> tuple[np.ndarray, np.ndarray]:
    """Paint body and sleeves and return their outlines.

    `sleeve` is a length (longer ones hang more steeply), `hem` the height at which the body ends,
    `body` half its width at the armpits, and `flare` what the hem is wider.
    """
    top, armpit = c.uniform(-0.88, -0.76), c.uniform(-0.42, -0.28)
    neck, shoulder = c.uniform(0.17, 0.25), body + c.uniform(0.0, 0.06)
    slope = top + c.uniform(0.08, 0.16)
    steep = np.clip(0.55 + 0.75 * sleeve, 0, 1.4) + c.normal(0.1)
    cos, sin, cuff = np.cos(steep), np.sin(steep), c.uniform(0.17, 0.24)
    end_x, end_y = shoulder + sleeve * cos, slope + sleeve * sin
    sleeves = c.convex(
        (shoulder - 0.12, slope - 0.04),
        (shoulder, slope),
        (end_x, end_y),
        (end_x - cuff * sin, end_y + cuff * cos),
        (body - 0.1, armpit),
        mirror=True,
    )
    below = armpit + 0.2  # the two overlap, so that no seam shows between them
    chest = c.convex(
        (0, top),
        (neck, top),
        (shoulder, slope),
        (body, armpit),
        (body - 0.1, below),
        (0, below),
        mirror=True,
    )
    trunk = c.convex((0, armpit), (body, armpit), (body + flare, hem), (0, hem), mirror=True)
    outline = np.minimum(chest, trunk)
    c.paint(sleeves, fabric * c.uniform(0.75, 1.0))
    c.paint(outline, fabric)
    seam = np.maximum(np.abs(outline), sleeves)  # the body's edge, where a sleeve hides it
    c.stroke(seam, 0.06, fabric * 0.5, c.chance(0.7))
    return outline, sleeves


def _neckline(c: Canvas, outline: np.ndarray, fabric: np.ndarray, depth: Shade) -> None:
    """Cut a round or pointed opening into the top of `outline`; a band hems it."""
    width = c.uniform(0.17, 0.25)
    pointed = c.convex((width, -1.0), (width, -0.9), (0, depth - 0.84), mirror=True)
    opening = np.where(c.chance(0.7), c.ellipse(0, -0.86, width, depth), pointed)
    c.paint(np.maximum(opening - 0.08, outline), fabric * c.uniform(0.5, 1.3))
    c.paint(opening, 0.0)


def t_shirt(c: Canvas) -> None:
    fabric = c.fabric()
    hem, body = c.uniform(0.6, 0.92), c.uniform(0.4, 0.52)
    outline, _ = _top(c, fabric, c.uniform(0.24, 0.5), hem, body, c.normal(0.03))
    _neckline(c, outline, fabric, c.uniform(0.12, 0.3))
    emblem = c.ellipse(
        c.normal(0.05), c.uniform(-0.2, 0.2), c.uniform(0.1, 0.3), c.uniform(0.08, 0.25)
    )
    c.paint(emblem, c.uniform(0.1, 1.0), c.chance(0.35))


def trouser(c: Canvas) -> None:
    fabric = c.fabric()
    waist, hip, ankle = c.uniform(0.26, 0.42), c.uniform(0.34, 0.5), c.uniform(0.16, 0.3)
    hem, apart, crotch = c.uniform(0.7, 0.95), c.uniform(0.06, 0.26), c.uniform(-0.35, 0.0)
    legs = c.convex(
        (0, -0.9),
        (waist, -0.9),
        (hip, -0.4),
        (apart + ankle, hem),
        (apart, hem),
        (0, crotch),
        mirror=True,
    )
    c.paint(legs, fabric)
    c.paint(np.maximum(legs, c.y + 0.76), fabric * c.uniform(0.5, 1.3), c.chance(0.6))
    fly = np.maximum(np.abs(c.x), np.maximum(c.y - crotch, legs))
    c.stroke(fly, 0.06, fabric * 0.5, c.chance(0.7))


def pullover(c: Canvas) -> None:
    fabric = c.fabric()
    hem, body = c.uniform(0.55, 0.88), c.uniform(0.4, 0.52)
    outline, sleeves = _top(c, fabric, c.uniform(0.9, 1.3), hem, body, c.normal(0.03))
    ribs = fabric * c.uniform(0.6, 1.1) * (1 + 0.25 * np.sign(np.sin(40 * c.x)))
    c.paint(np.maximum(outline, hem - 0.14 - c.y), ribs, c.chance(0.7))
    c.paint(np.maximum(sleeves, c.uniform(0.2, 0.4) - c.y), ribs, c.chance(0.5))
    _neckline(c, outline, fabric, c.uniform(0.1, 0.26))


def dress(c: Canvas) -> None:
    fabric = c.fabric()
    sleeve = np.where(c.chance(0.5), c.uniform(0.04, 0.08), c.uniform(0.2, 0.9))
    hem, waist, flare = c.uniform(0.75, 0.98), c.uniform(0.2, 0.32), c.uniform(0.3, 0.62)
    outline, _ = _top(c, fabric, sleeve, c.uniform(-0.1, 0.0), c.uniform(0.26, 0.38), waist - 0.3)
    skirt = c.convex((0, -0.15), (waist, -0.15), (flare, hem), (0, hem), mirror=True)
    c.paint(skirt, fabric)
    belt = np.maximum(np.abs(c.y + 0.12), skirt - 0.05)
    c.stroke(belt, 0.1, fabric * c.uniform(0.3, 1.4), c.chance(0.5))
    _neckline(c, outline, fabric, c.uniform(0.15, 0.4))


def coat(c: Canvas) -> None:
    fabric = c.fabric()
    dark = fabric * c.uniform(0.3, 0.7)
    hem, body = c.uniform(0.6, 0.98), c.uniform(0.4, 0.54)
    outline, _ = _top(c, fabric, c.uniform(0.9, 1.35), hem, body, c.uniform(0.0, 0.1))
    tip = c.uniform(-0.45, 0.0)
    lapel = c.convex((0, -0.9), (0.14, -0.9), (0.27, -0.7), (0, tip), mirror=True)
    c.paint(lapel, dark)
    c.stroke(lapel, 0.05, fabric * 1.3)
    c.stroke(np.maximum(np.abs(c.x - c.normal(0.04)), outline), c.uniform(0.04, 0.1), dark)
    pocket = np.maximum(np.abs(c.y - 0.35), np.abs(np.abs(c.x) - 0.26) - 0.1)
    c.stroke(pocket, 0.07, dark, c.chance(0.5))


def shirt(c: Canvas) -> None:
    fabric = c.fabric()
    sleeve = np.where(c.chance(0.4), c.uniform(0.26, 0.5), c.uniform(0.9, 1.3))
    hem, body = c.uniform(0.58, 0.92), c.uniform(0.4, 0.52)
    outline, _ = _top(c, fabric, sleeve, hem, body, c.normal(0.03))
    collar = c.convex(
        (0, -0.88), (0.14, -0.92), (0.27, -0.8), (0.1, -0.52), (0, -0.62), mirror=True
    )
    c.paint(collar, fabric * c.uniform(0.9, 1.5))
    c.stroke(collar, 0.05, fabric * 0.4)
    c.stroke(np.maximum(np.abs(c.x), outline), 0.05, fabric * 0.65, c.chance(0.7))
    buttons = np.hypot(c.x, (c.y + 0.1) % 0.25 - 0.12) - 0.05
    button = np.where(c.chance(0.5), c.uniform(0.8, 1.0), fabric * 0.3)
    c.paint(np.maximum(buttons, outline), button)


# ------------------------------------------------------------------------------------ shoes and bag


def _turn(c: Canvas) -> None:
    """Shoes are drawn with the toe to the left; every other one is turned round."""
    c.x *= np.where(c.chance(0.5), np.float32(1), np.float32(-1))


def sandal(c: Canvas) -> None:
    _turn(c)
    fabric = c.fabric(patterned=0.08)
    heel, thick, band = c.uniform(-0.1, 0.42), c.uniform(0.1, 0.18), c.uniform(0.13, 0.22)
    strap = fabric * c.uniform(0.8, 1.3)
    above = c.y - 0.45  # straps end at the sole
    toes = c.ellipse(c.uniform(-0.6, -0.4), 0.42, c.uniform(0.18, 0.3), c.uniform(0.25, 0.4))
    c.stroke(np.maximum(toes, above), band, strap)
    instep = c.ellipse(c.uniform(-0.15, 0.1), 0.45, c.uniform(0.3, 0.42), c.uniform(0.4, 0.7))
    c.stroke(np.maximum(instep, above), band, strap, c.chance(0.7))
    ankle = c.uniform(-0.4, -0.2)
    tied = c.chance(0.6)
    c.stroke(c.ellipse(0.54, ankle, 0.3, 0.1), band * 0.7, strap, tied)
    c.paint(c.convex((0.74, ankle), (0.84, ankle), (0.9, heel), (0.66, heel)), strap, tied)
    front = c.convex((-0.93, 0.42), (-0.3, 0.4), (-0.28, 0.4 + thick), (-0.9, 0.42 + thick))
    back = c.convex((-0.32, 0.4), (0.88, heel), (0.9, heel + thick), (-0.28, 0.4 + thick))
    c.paint(np.minimum(front, back), fabric)
    wide = c.uniform(0.08, 0.4)
    block = c.convex((0.88 - wide, heel), (0.9, heel), (0.86, 0.54), (0.9 - wide, 0.54))
    c.paint(block, fabric * 0.8)


def sneaker(c: Canvas) -> None:
    _turn(c)
    fabric = c.fabric(patterned=0.08)
    throat, ankle = c.uniform(-0.55, -0.25), c.uniform(-0.45, -0.15)
    toe = c.convex((-0.88, 0.16), (-0.65, 0.04), (0.3, -0.2), (0.5, 0.4), (-0.9, 0.4))
    tongue = c.convex((-0.35, -0.02), (0.1, throat), (0.3, throat + 0.04), (0.5, 0.4), (-0.4, 0.4))
    heel = c.convex((0.1, ankle + 0.15), (0.82, ankle), (0.88, 0.1), (0.86, 0.4), (0.1, 0.4))
    upper = np.minimum(np.minimum(toe, tongue), heel)
    c.paint(upper, fabric)
    slope = c.x + c.uniform(0.3, 0.9) * c.y
    stripes = np.maximum(np.abs(slope % 0.2 - 0.1) - 0.04, np.abs(c.x + 0.05) - 0.25)
    c.paint(np.maximum(stripes, upper + 0.05), c.uniform(0.1, 1.0), c.chance(0.6))
    sole = c.convex((-0.93, 0.33), (0.88, 0.3), (0.9, 0.5), (-0.9, 0.52))
    c.paint(sole, np.where(c.chance(0.6), c.uniform(0.7, 1.0), fabric * 0.5))


def bag(c: Canvas) -> None:
    fabric = c.fabric(patterned=0.08)
    top, bottom = c.uniform(-0.4, 0.0), c.uniform(0.45, 0.8)
    above, below = c.uniform(0.4, 0.8), c.uniform(0.5, 0.85)
    body = c.convex((0, top), (above, top), (below, bottom), (0, bottom), mirror=True)
    handle = np.maximum(c.ellipse(0, top, c.uniform(0.2, 0.5), c.uniform(0.25, 0.6)), c.y - top)
    c.stroke(handle, c.uniform(0.06, 0.14), fabric * c.uniform(0.6, 1.1), c.chance(0.85))
    c.paint(body - c.uniform(0.0, 0.08), fabric)
    flap = top + c.uniform(0.15, 0.45)
    c.stroke(np.maximum(np.abs(c.y - flap), body), 0.06, fabric * 0.5, c.chance(0.7))
    c.paint(c.ellipse(0, flap, 0.08, 0.08), c.uniform(0.0, 1.0), c.chance(0.6))


def ankle_boot(c: Canvas) -> None:
    _turn(c)
    fabric = c.fabric(patterned=0.08)
    shaft, front = c.uniform(-0.9, -0.45), c.uniform(-0.15, 0.1)
    back, heel = c.uniform(0.65, 0.85), c.uniform(0.1, 0.3)
    foot = c.convex(
        (-0.86, 0.15), (-0.55, 0.02), (0.2, -0.25), (0.85, 0.1), (0.85, 0.42), (-0.9, 0.42)
    )
    leg = c.convex((front, shaft), (back, shaft), (0.85, 0.2), (front - 0.2, 0.2))
    upper = np.minimum(foot, leg)
    c.paint(upper, fabric)
    c.stroke(np.maximum(np.abs(c.y - shaft - 0.12), upper), 0.05, fabric * 0.5, c.chance(0.4))
    zip_line = np.maximum(np.abs(c.x - back + 0.2), np.maximum(upper, c.y))
    c.stroke(zip_line, 0.05, fabric * 0.4, c.chance(0.5))
    sole = c.convex((-0.92, 0.38), (0.86, 0.38), (0.86, 0.46), (-0.9, 0.48))
    c.paint(sole, fabric * c.uniform(0.4, 1.0))
    block = c.convex((0.86 - heel, 0.4), (0.86, 0.4), (0.84, 0.62), (0.9 - heel, 0.62))
    c.paint(block, fabric * 0.6)


GARMENTS: tuple[Callable[[Canvas], None], ...] = (
    t_shirt,
    trouser,
    pullover,
    dress,
    coat,
    sandal,
    shirt,
    sneaker,
    bag,
    ankle_boot,
)
