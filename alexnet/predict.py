"""`alexnet predict RUN PICTURE...`: what a trained network sees in pictures of any format and size.

A photograph becomes what Fashion-MNIST's pictures are, by the steps with which they were made:
grey, cut to the garment, 28 pixels long, centred on a square, light on black. A picture of 28 x 28
is taken as it is. A network that was fine-tuned on a folder of pictures gets their middle, in
colour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigrad
from alexnet import report
from alexnet.console import say
from alexnet.environment import STAND_IN, choose_device
from alexnet.evaluate import load_trained
from alexnet.folders import FOLDER
from alexnet.pictures import flattened, readable

SIDE = 28
SAME = 0.05 * 255  # within 5 % of the corners' grey, a pixel belongs to the background
TOP = 3  # classes named for each picture


def command(args: argparse.Namespace) -> int:
    """Say and draw the most probable classes of each picture."""
    device, _ = choose_device(args.device or "auto")
    trained = load_trained(args.run, args.weights, device)
    classes = trained.about["classes"]
    if trained.about["dataset"] == FOLDER:
        images = trained.pictures(args.images)[:]  # (N, S, S, 3)
        changes = ["the middle of it"] * len(images)
    else:
        pictures = [read_picture(path, args.invert) for path in args.images]
        images = np.stack([image for image, _ in pictures])  # (N, 28, 28)
        changes = [changes for _, changes in pictures]
    with minigrad.no_grad():
        logits = trained.model(trained.prepare(images).to(device))
    probabilities = logits.softmax(1).cpu().numpy()  # (N, classes)
    if trained.about["stand_in"]:
        say(f"this network was trained on {STAND_IN}")
    for path, change, row in zip(args.images, changes, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:TOP]
        named = ", ".join(f"{classes[k]} {row[k]:.1%}" for k in best)
        say(f"{path} ({change}): {named}")
    out = Path(args.out) if args.out else trained.path.parent / "predictions.png"
    names = [Path(path).name for path in args.images]
    report.save_predictions(list(images), names, probabilities, classes, out)
    say(f"picture: {out}")
    return 0


def read_picture(path: str, invert: str = "auto") -> tuple[np.ndarray, str]:
    """A picture as uint8 (28, 28), and what was done to it, in words.

    invert: "yes", "no", or "auto": inverted where the corners are light, as in a photograph on
    white.

    Raises:
        Unreadable: no such file, no picture, or one so large that it may be an attack.
    """
    with readable(path) as upright:
        size = f"{upright.width} x {upright.height}"
        grey = np.asarray(flattened(upright).convert("L"))  # (H, W)
    background = float(np.median([grey[0, 0], grey[0, -1], grey[-1, 0], grey[-1, -1]]))
    inverted = invert == "yes" or (invert == "auto" and background > 127)
    if grey.shape != (SIDE, SIDE):
        grey = fit(grey, background)
    return (255 - grey if inverted else grey), size + (
        ", light background: inverted" if inverted else ""
    )


def fit(grey: np.ndarray, background: float) -> np.ndarray:
    """A garment of any size, uint8 (H, W), as long as the square (28, 28) and in its middle.

    Source: Xiao, Rasul, Vollgraf (2017), "Fashion-MNIST", section 2: trim what has the corners'
    grey, bring the longer side to 28, extend the shorter one. (Their sharpening is left out.)
    """
    from PIL import Image

    garment = np.abs(grey - background) > SAME
    rows, columns = np.flatnonzero(garment.any(axis=1)), np.flatnonzero(garment.any(axis=0))
    if len(rows):
        grey = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    h, w = grey.shape
    scale = SIDE / max(h, w)
    oh, ow = max(1, round(h * scale)), max(1, round(w * scale))
    small = Image.fromarray(grey).resize((ow, oh), Image.Resampling.BILINEAR)
    square = np.full((SIDE, SIDE), round(background), np.uint8)
    top, left = (SIDE - oh) // 2, (SIDE - ow) // 2
    square[top : top + oh, left : left + ow] = np.asarray(small)
    return square
