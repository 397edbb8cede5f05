"""The command `alexnet`, also as `python -m alexnet`: flags, and how a command ends.

A command that fails prints one line on stderr: exit code 2 where the flags, files or pictures were
wrong, 1 where a run had to stop, 130 after Ctrl-C. MINIGRAD_DEBUG=1 shows the traceback. Next:
`train.py`.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NoReturn

from alexnet import config, datasets, models, precision, presets
from alexnet.errors import InputError, RunError


class Parser(argparse.ArgumentParser):
    """argparse, but an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists what there is)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (by default the process's own); returns the exit code."""
    args = parser().parse_args(argv)
    # Overflow is no news here: a loss that is not finite stops the run and names the layer.
    warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
    # An epoch's last batch is often a short one.
    warnings.filterwarnings("ignore", r"\[cuda.graph\] .* as it is 2 times")
    try:
        return importlib.import_module(f"alexnet.{args.command}").command(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `alexnet info | head -1`: whoever read has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (InputError, datasets.DatasetError) as error:
        return fail(error, 2)
    except MemoryError as error:  # also of a GPU
        return fail(error, 1, after=": a smaller --batch-size takes less")
    except (RunError, OSError) as error:
        return fail(error, 1)
    except Exception as error:  # a defect: still one line, and how to see more
        return fail(
            error, 1, f"unexpected {type(error).__name__}: ", "; MINIGRAD_DEBUG=1 shows where"
        )


def fail(error: BaseException, code: int, before: str = "", after: str = "") -> int:
    """Print `error` as one line, or with its traceback if MINIGRAD_DEBUG is set."""
    if os.environ.get("MINIGRAD_DEBUG"):
        traceback.print_exception(error)
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"alexnet: {before}{text}{after}", file=sys.stderr)
    return code


def parser() -> Parser:
    """All commands with all flags."""
    top = Parser(prog="alexnet", description="Train and look at AlexNet and its relatives.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_train(
        commands.add_parser(
            "train", help="train a network, by default a small one on Fashion-MNIST"
        )
    )

    add_finetune(
        commands.add_parser("finetune", help="teach a trained network classes of your own pictures")
    )

    evaluate = commands.add_parser("evaluate", help="test a trained network on all test images")
    add_trained(evaluate)
    evaluate.add_argument(
        "--dataset", choices=datasets.NAMES, help="default: the one it was trained on"
    )
    add_data_dir(evaluate, "where Fashion-MNIST is, or other pictures for a fine-tuned network")

    predict = commands.add_parser("predict", help="name what is in pictures")
    add_trained(predict)
    predict.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a picture of any format and size"
    )
    predict.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="garments dark on light to light on dark; auto (default): where the corners are light",
    )
    predict.add_argument(
        "--out", metavar="FILE.png", help="the picture (default: predictions.png in the run)"
    )

    export = commands.add_parser("export", help="write a trained network as an ONNX file")
    add_trained(export)
    export.add_argument("out", metavar="FILE.onnx", help="what to write")

    summary = commands.add_parser("summary", help="what each layer of a network costs")
    summary.add_argument("model", metavar="MODEL", type=model, help=model_names())
    summary.add_argument(
        "--batch-size", type=positive_int, default=32, metavar="N", help="default: 32"
    )
    summary.add_argument("--no-time", action="store_true", help="do not run it, only count")
    add_device(summary)

    bench = commands.add_parser("bench", help="how long a batch takes, also beside PyTorch")
    add_bench(bench)

    info = commands.add_parser("info", help="versions, BLAS, GPU, data, and what is missing")
    add_data_dir(info)
    return top


def flags_of(parser: argparse.ArgumentParser, usual: config.Config) -> Callable[..., None]:
    """Adds flags to `parser`. None as a default means: as `usual` has it, which the help says."""

    def flag(name: str, what: str, **options: Any) -> None:
        default = getattr(usual, name[2:].replace("-", "_"), None)
        shown = "" if default in (None, False, "") else f" (default: {default})"
        parser.add_argument(name, help=what + shown, **options)

    return flag


def add_train(parser: argparse.ArgumentParser) -> None:
    """The flags of `alexnet train`."""
    flag = flags_of(parser, config.Config())
    recipes = "; ".join(f"{name}: {preset.source}" for name, preset in presets.PRESETS.items())
    what = f"a published recipe, of which other flags change parts. {recipes}"
    flag("--preset", what, choices=presets.PRESETS, metavar="NAME")
    flag("--model", model_names(), type=model, metavar="MODEL")
    flag(
        "--dataset",
        "auto takes a stand-in where Fashion-MNIST cannot be had",
        choices=datasets.NAMES,
    )
    add_data_dir(parser)
    flag(
        "--limit-train", "train on N images, as many of each class", type=positive_int, metavar="N"
    )
    flag("--full", "all images, more epochs, augmentation: slower and better", action="store_true")
    add_steps(flag)
    flag("--init", "first weights: the network's own, or the 2012 paper's", choices=config.INITS)
    pixels = "pixels: of mean 0 and deviation 1, in 0..1, or 0..255 less the mean image"
    flag("--normalize", pixels, choices=config.NORMALIZE)
    flag("--augment", "mirror images at random", action=argparse.BooleanOptionalAction)
    flag("--resize", "enlarge images to N x N", type=positive_int, metavar="N")
    flag("--crop-from", "enlarge to N x N, and crop that at random", type=positive_int, metavar="N")
    flag("--lighting", "deviation of the 2012 paper's colour noise", type=not_negative, metavar="X")
    ten = "test ten crops of each image at the end: corners, centre, mirrored"
    flag("--ten-crop", ten, action=argparse.BooleanOptionalAction)
    add_device(parser)
    rounded = "what products are rounded to; a CPU is slower in fp16 and bf16, and has no tf32"
    flag("--precision", rounded, choices=precision.PRECISIONS)
    once = "on a GPU, capture the training step once and then launch it as a whole"
    flag("--graph", once, action=argparse.BooleanOptionalAction)
    add_run(flag)
    flag("--overfit-batch", "learn one batch by heart; writes nothing", action="store_true")


def add_finetune(parser: argparse.ArgumentParser) -> None:
    """The flags of `alexnet finetune`."""
    flag = flags_of(parser, config.FineTuning())
    whose = "the network that the weights are of (default: what they say, if this project wrote "
    whose += "them); alexnet summary --help says which there are"
    flag("--model", whose, type=model, metavar="MODEL")
    where = "the model's: a .safetensors, .npz or .pth file, or a run folder (default: the "
    where += "published ones, if they are on this machine)"
    flag("--weights", where, metavar="PATH")
    layout = "pictures: a folder for each class, or named as cat.0.jpg; or such in train/ and val/"
    flag("--data", layout, dest="data_dir", metavar="FOLDER")
    share = "of each class tested on, where there is no val/"
    flag("--val-fraction", share, type=inner_fraction, metavar="X")
    flag("--freeze", "what keeps its weights", choices=config.FREEZING)
    add_steps(flag, ", is ten times that for SGD, and a tenth with --freeze none")
    cut = "cut windows at random places, mirror at random (default: if nothing is frozen)"
    flag("--augment", cut, action=argparse.BooleanOptionalAction)
    side = "show the network N x N (default: what the weights were trained for)"
    flag("--resize", side, type=positive_int, metavar="N")
    add_device(parser)
    add_run(flag)


def add_steps(flag: Callable[..., None], more: str = "") -> None:
    """How weights change."""
    flag("--epochs", "passes over the training images", type=positive_int, metavar="N")
    flag("--batch-size", "images a step", type=positive_int, metavar="N")
    flag("--optimizer", "how weights are updated", choices=config.OPTIMIZERS)
    rate = f"the highest learning rate; the default grows with the batch size{more}"
    flag("--lr", rate, type=positive_float, metavar="X")
    flag("--momentum", "of SGD, or Adam's first beta", type=fraction, metavar="X")
    flag("--weight-decay", "pull of the weights towards 0", type=not_negative, metavar="X")
    flag("--schedule", "how the learning rate changes", choices=config.SCHEDULES)


def add_run(flag: Callable[..., None]) -> None:
    """Where a run goes, and what of it."""
    flag("--seed", "of weights, subset, order, dropout and augmentation", type=natural, metavar="N")
    flag("--out", "the run folder (default: the next number in runs/)", metavar="FOLDER")
    flag("--resume", "go on with a run that was interrupted", metavar="RUN")
    flag("--dry-run", "one step on a few images; writes nothing", action="store_true")


def add_bench(parser: argparse.ArgumentParser) -> None:
    which = "alexnet summary --help says which there are"
    parser.add_argument("model", metavar="MODEL", type=model, help=which)

    def flag(name: str, what: str) -> None:
        parser.add_argument(name, type=positive_int, metavar="N", help=what)

    flag("--batch-size", "default: 128 for images of up to 32 x 32, 32 for larger ones")
    flag("--batches", "how many are timed (default: what takes half a minute, 10 to 100)")
    flag("--warm-up", "batches before that (default: 5)")
    flag("--threads", "cores to use (default: those that this process may use)")
    add_device(parser)
    parser.add_argument(
        "--compare", choices=("torch",), help="time the same network in PyTorch, in turn"
    )


def add_trained(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run folder, or a weights file in one")
    parser.add_argument(
        "--weights",
        choices=("last", "best"),
        default="last",
        help="after the last epoch (default), or of the best test accuracy",
    )
    add_device(parser)


def add_data_dir(parser: argparse.ArgumentParser, what: str = "where Fashion-MNIST is") -> None:
    parser.add_argument("--data-dir", metavar="FOLDER", help=f"{what} (default: searched for)")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default=None,
        help="auto (default): the GPU where one can be used",
    )


def model_names() -> str:
    """What each network is, said once for neighbours of which the same can be said."""
    groups = groupby(models.MODELS, key=lambda name: models.MODELS[name].about)
    return "; ".join(f"{', '.join(names)}: {about}" for about, names in groups)


# Values of flags. argparse makes of the errors: "argument --lr: must be a number above 0, got 'x'".


def number(allowed: Callable[[Any], bool], what: str, kind: type = float) -> Callable[[str], Any]:
    """A reader of numbers for which `allowed` holds."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and allowed(value)):
            raise argparse.ArgumentTypeError(f"must be {what}, got {text!r}")
        return value

    return read


def model(name: str) -> str:
    """The name of a network; instead of `choices`, which would not say what is near it."""
    if name not in models.MODELS:
        raise argparse.ArgumentTypeError(models.unknown(name))
    return name


positive_int = number(lambda n: n >= 1, "an integer of at least 1", int)
natural = number(lambda n: n >= 0, "an integer of at least 0", int)
positive_float = number(lambda x: x > 0, "a number above 0")
not_negative = number(lambda x: x >= 0, "a number of at least 0")
inner_fraction = number(lambda x: 0 < x < 1, "a number between 0 and 1")
fraction = number(lambda x: 0 <= x < 1, "a number from 0 up to, but not including, 1")


if __name__ == "__main__":
    sys.exit(main())
