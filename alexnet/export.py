"""`alexnet export RUN FILE.onnx`: a trained network for other programs, which need no Python.

The file's metadata say how images are prepared for it: (pixel / 255 - mean) / std, after a resize
if there was one, and what the classes are called. How it is written: `interchange/writer.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alexnet import interchange
from alexnet.console import say
from alexnet.environment import STAND_IN, choose_device
from alexnet.errors import InputError, RunError
from alexnet.evaluate import load_trained
from alexnet.predict import SIDE


def command(args: argparse.Namespace) -> int:
    """Write the file and say what is in it."""
    if Path(args.out).is_dir():
        raise InputError(f"{args.out} is a folder: name the file to write, such as model.onnx")
    device, _ = choose_device(args.device or "auto")
    trained = load_trained(args.run, args.weights, device)
    about, side = trained.about, trained.about["resize"] or SIDE
    input_shape = (about["in_channels"], side, side)
    metadata = {key: value for key, value in about.items() if key != "data_dir"}  # of this machine
    metadata["input_shape"] = input_shape
    try:
        interchange.export(trained.model, args.out, input_shape, metadata)
    except NotImplementedError as error:
        raise RunError(str(error)) from error
    if about["stand_in"]:
        say(f"this network was trained on {STAND_IN}")
    size = Path(args.out).stat().st_size / 1e6
    say(
        f"{args.out}: {about['model']} after epoch {about['epoch']}, {size:.1f} MB; takes images "
        f"float32 (N, {', '.join(map(str, input_shape))}), gives logits (N, {about['num_classes']})"
    )
    return 0
