"""Networks that come with their weights: `models.alexnet(weights=PATH)`, or `pretrained=True` for
those that torchvision published.

A constructor with `@loadable` above it takes both. Published files are looked for on this machine
and never downloaded: a library that fetches 233 MB unasked is nobody's friend. How files are read
without running them: `minigrad/utils/pth.py`. Next: `models/alexnet.py`.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from os.path import isfile  # unlike Path.is_file, it never raises: a cache may be unreadable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import minigrad
from alexnet.checkpoint import about_of, differences_from, sha256
from alexnet.errors import InputError
from alexnet.fashion_mnist import cache_dir
from minigrad import Tensor, nn
from minigrad.utils.raw import LoadError
from minigrad.utils.serialization import FilePath

URL = "https://download.pytorch.org/models/"
BY_PATH = "weights=PATH (a command: --weights PATH)"
OR_CLASSES = ", or of another number of classes"
V1 = "IMAGENET1K_V1"  # what torchvision calls the files below: `weights="IMAGENET1K_V1"`
OTHERS = "DEFAULT", "IMAGENET1K_V2"

M = TypeVar("M", bound=nn.Module)


class Published(NamedTuple):
    """A file of torchvision's: its name ends in the first 8 digits of its SHA-256.

    `config` is what a network must be built with to be the one that was trained. Parts of the file
    with the prefixes `spare` are left out where the network lacks them.
    """

    file: str
    config: Mapping[str, Any] = {}
    spare: tuple[str, ...] = ()


# By the constructor's name. Source: torchvision.models, the weights IMAGENET1K_V1.
PUBLISHED = {
    "alexnet": Published("alexnet-owt-7be5be79.pth"),
    "vgg11": Published("vgg11-8a719046.pth"),
    "vgg13": Published("vgg13-19584684.pth"),
    "vgg16": Published("vgg16-397923af.pth"),
    "vgg19": Published("vgg19-dcbb9e9d.pth"),
    "vgg11_bn": Published("vgg11_bn-6002323d.pth"),
    "vgg13_bn": Published("vgg13_bn-abd245e5.pth"),
    "vgg16_bn": Published("vgg16_bn-6c64b313.pth"),
    "vgg19_bn": Published("vgg19_bn-c79401a0.pth"),
    # Trained on pixels in -1..1; the heads aux1 and aux2 serve training alone.
    "googlenet": Published(
        "googlenet-1378be20.pth", config={"transform_input": True}, spare=("aux1.", "aux2.")
    ),
    "resnet18": Published("resnet18-f37072fd.pth"),
    "resnet34": Published("resnet34-b627a593.pth"),
    "resnet50": Published("resnet50-0676ba61.pth"),
    "resnet101": Published("resnet101-63fe2227.pth"),
    "resnet152": Published("resnet152-394f9c45.pth"),
}


def loadable(build: Callable[..., M]) -> Callable[..., M]:
    """Give the constructor of a network two more keywords, `weights` and `pretrained`.

    Args (of the constructor):
        weights: a .safetensors, .npz or .pth file with the network's state_dict; or
            "IMAGENET1K_V1", which is `pretrained=True`.
        pretrained: take torchvision's published weights, from this machine; see `published_file`.

    The constructor raises:
        InputError: there is no such file, it cannot be read, or it belongs to another network or
            another number of classes: says what differs, and what to do.
        ValueError: both were asked for, or other published weights of torchvision's.
    """
    name = build.__name__

    @functools.wraps(build)
    def construct(
        *args: Any, weights: FilePath | None = None, pretrained: bool = False, **config: Any
    ) -> M:
        if pretrained and weights not in (None, V1):
            raise ValueError(f"[{name}] weights={weights!r} and pretrained=True: only one of them")
        if pretrained or weights == V1:
            weights = published_file(name)
            config = {**PUBLISHED[name].config, **config}
        model = build(*args, **config)
        if weights in OTHERS:
            raise ValueError(
                f"[{name}] weights={weights!r}: of the published ones only {V1!r} are known here; "
                "name those, or a file"
            )
        if weights is not None:
            fill(model, read_state(weights), weights, spare_of(name))
        return model

    own = inspect.signature(build)  # what help() shows: its parameters, and the two of construct
    outer = inspect.signature(construct, follow_wrapped=False).parameters.values()
    added = [p for p in outer if p.kind is p.KEYWORD_ONLY]
    parameters = sorted([*own.parameters.values(), *added], key=lambda p: p.kind)
    construct.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return construct


def spare_of(name: str) -> tuple[str, ...]:
    """Prefixes of what the network `name` may have in a file and do without."""
    return PUBLISHED[name].spare if name in PUBLISHED else ()


def read_state(path: FilePath) -> dict[str, Tensor]:
    """The state_dict in a .safetensors, .npz or .pth file.

    Raises:
        InputError: there is no such file, it cannot be read, or holds something else.
    """
    try:
        state = minigrad.load(path)
    except LoadError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    _check_state_dict(state, path)
    return state


def fill(
    model: nn.Module, state: Mapping[str, Tensor], path: FilePath, spare: tuple[str, ...] = (),
    head: tuple[str, ...] = (),
) -> None:
    """Load `state`, which was read from `path`, into `model`. What it has under prefixes in `spare`
    and the model lacks is left out; what begins with one in `head` stays as it is in the model.

    Raises:
        InputError: `state` is of another network or another number of classes: says what differs,
            and what to do. The model is unchanged then.
    """
    own = model.state_dict()
    state = {key: x for key, x in state.items() if key in own or not key.startswith(spare)}
    if head:
        state = {key: x for key, x in state.items() if not key.startswith(head)}
        state |= {key: x for key, x in own.items() if key.startswith(head)}
        advice = "Name the network that the file is of by --model"
    else:
        advice = (
            "Build the network that the file is of, with its num_classes=...; for classes of your "
            "own, replace the last layer after that, or let `alexnet finetune --weights` do both"
        )
    differences = differences_from(model, state)
    if differences:
        said = about_of(path).get("model")
        whose = f"another network{f' (it says {said})' if said else ''}"
        raise InputError(
            f"{path} holds the weights of {whose}{'' if head else OR_CLASSES}: "
            f"{'; '.join(differences)}. {advice}"
        )
    model.load_state_dict(state)


def published_file(name: str) -> Path:
    """Where torchvision's file for the network `name` lies: in the folder `weights` of this
    project's cache, or where PyTorch keeps its downloads.

    Raises:
        InputError: none is published or found, or the file is not the published one; says which
            file to put where.
    """
    if name not in PUBLISHED:
        raise InputError(
            f"no weights of {name} are published; train it, and give {BY_PATH}. There are "
            f"those of {', '.join(PUBLISHED)}"
        )
    file = PUBLISHED[name].file
    folders = cache_dir() / "weights", _torch_hub() / "checkpoints"
    path = next((folder / file for folder in folders if isfile(folder / file)), None)
    if path is None:
        raise InputError(
            f"the published weights of {name} are not on this machine: put {URL}{file} into "
            f"{folders[0]} (or {folders[1]}, where PyTorch keeps it), or give {BY_PATH}"
        )
    digest, expected = sha256(path), path.stem.rpartition("-")[2]
    if not digest.startswith(expected):
        raise InputError(
            f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, not "
            f"{expected}; delete it, and get it from {URL}{file}"
        )
    return path


def _check_state_dict(state: Any, path: FilePath) -> None:
    if not isinstance(state, dict):
        raise InputError(f"{path} holds a {type(state).__name__}, not a state_dict")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, minigrad.Tensor):
            inner = [k for k, v in state.items() if isinstance(v, dict)]
            raise InputError(
                f"{path} holds more than a state_dict: under {key!r} there is a "
                f"{type(value).__name__}. Take out the state_dict (perhaps one of {inner}): "
                f"model.load_state_dict(minigrad.load({str(path)!r})[...])"
            )


def _torch_hub() -> Path:
    """PyTorch's rule, of torch.hub.get_dir."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torch"
    return Path(os.environ.get("TORCH_HOME") or cache).expanduser() / "hub"
