"""What a run is asked to do: every setting with its default, and the optimizer and schedule made of
them.

`Config.of` fills in what was not given on the command line; the result is written to config.json as
it is, and `--resume` reads it back. Next: `train.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from alexnet.errors import InputError
from alexnet.folders import FOLDER
from alexnet.paper import SGD2012
from alexnet.presets import PRESETS
from minigrad import nn, optim
from minigrad.optim import lr_scheduler

OPTIMIZERS = ("sgd", "sgd2012", "adam", "adamw")
SCHEDULES = ("constant", "step", "cosine", "onecycle", "plateau", "test-plateau")
INITS = ("own", "paper")
NORMALIZE = ("standard", "unit", "mean-image")


@dataclass(frozen=True)
class Config:
    """The settings of a run.

    The defaults: `alexnet_small`, two thirds of Fashion-MNIST, three epochs. limit_train None is
    the whole training set; resize None leaves images as they are; lr is the highest learning rate
    that the schedule reaches; crop_from and ten_crop are explained in `batches.py`, init "paper" in
    `paper.py`, lighting (its deviation) in `crops.py`, precision in `precision.py`, graph in
    `steps.py`.
    """

    preset: str | None = None
    model: str = "alexnet_small"
    dataset: str = "auto"
    data_dir: str | None = None
    limit_train: int | None = 40_000
    epochs: int = 3
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.08
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "onecycle"
    init: str = "own"
    normalize: str = "standard"
    augment: bool = False
    resize: int | None = None
    crop_from: int | None = None
    lighting: float = 0.0
    ten_crop: bool = False
    device: str = "auto"
    precision: str = "fp32"
    graph: bool = False
    seed: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any], full: bool = False) -> Self:
        """The defaults, changed by `full` (all images, more epochs, augmentation, and more weight
        decay against so many epochs' overfitting), then by what was given.

        A default learning rate is in proportion to the batch size: twice the images have half the
        steps to come as far (the linear scaling rule of Goyal et al., 2017, arXiv:1706.02677).

        A `preset` takes the place of the defaults, and its learning rate stays as it is.

        Raises:
            InputError: settings that contradict each other, or an unknown preset.
        """
        if given.get("preset") is not None:
            if full:
                raise InputError("a preset says how long to train: leave out --full, or --preset")
            if given["preset"] not in PRESETS:
                there_are = ", ".join(PRESETS)
                raise InputError(f"unknown preset {given['preset']!r}; there are {there_are}")
            return cls(**{**PRESETS[given["preset"]].values(given), **given})
        if full and "limit_train" in given:
            raise InputError("--full takes all training images: leave out --limit-train, or --full")
        config = cls(**FULL) if full else cls()
        if given.get("model", config.model) != config.model:
            config = replace(config, **LARGE)
        lr = config.lr * given.get("batch_size", config.batch_size) / config.batch_size
        config = replace(config, lr=lr)
        if given.get("optimizer", "sgd").startswith("adam"):
            config = replace(config, lr=config.lr / ADAM_SMALLER)
        return replace(config, **given)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The settings in a config.json, which may hold more than these. Those of ADDED may be
        missing: a run that was begun before there was a choice is one of the default.

        Raises:
            InputError: another one is missing.
        """
        names = cls().to_json()
        values = {name: names[name] for name in ADDED if name in names} | dict(values)
        missing = [name for name in names if name not in values]
        if missing:
            raise InputError(f"config.json lacks {', '.join(missing)}: it is of another version")
        return cls(**{name: values[name] for name in names})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


ADDED = ("precision", "graph")  # settings that runs have not always had
FULL: dict[str, Any] = {"limit_train": None, "epochs": 30, "augment": True, "weight_decay": 1e-3}
LARGE: dict[str, Any] = {"lr": 0.01}  # for networks that were made for 224 x 224
# Adam's steps do not shrink with the gradient: its learning rate must be that much less.
ADAM_SMALLER = 50


FREEZING = ("backbone", "none")
NOT_TUNED = (
    "preset", "limit_train", "init", "normalize", "lighting", "ten_crop", "precision", "graph",
)  # fmt: skip


@dataclass(frozen=True)
class FineTuning(Config):
    """The settings of `alexnet finetune`: those of a run, with other defaults, and its own.

    data_dir is the folder of the pictures; weights None are the published ones; resize None is the
    size that the weights were trained for. A run that has begun says which they are, and what its
    pictures are cropped from, if they are augmented. Those of NOT_TUNED mean nothing here.
    """

    model: str = ""
    dataset: str = FOLDER
    limit_train: int | None = None
    epochs: int = 20
    batch_size: int = 32
    optimizer: str = "adamw"
    lr: float = 1e-3
    weights: str | None = None
    freeze: str = "backbone"
    val_fraction: float = 0.2

    @classmethod
    def chosen(cls, given: Mapping[str, Any]) -> Self:
        """The defaults, changed by what was given. Weights that are good already are changed with
        care: if all of them are trained, at a tenth of the learning rate.

        Raises:
            InputError: the model or the folder is missing, or settings contradict each other.
        """
        needed = {"--model": "model", "--data": "data_dir"}
        missing = [flag for flag, name in needed.items() if not given.get(name)]
        if missing:
            raise InputError(f"alexnet finetune needs {' and '.join(missing)}, or --resume RUN")
        frozen = given.get("freeze", cls.freeze) == "backbone"
        if frozen and given.get("augment"):
            raise InputError(
                "--augment: what a frozen backbone makes of a picture is computed once, so that it "
                "cannot look different each epoch: leave it out, or add --freeze none"
            )
        lr = cls.lr * given.get("batch_size", cls.batch_size) / cls.batch_size
        if given.get("optimizer", cls.optimizer).startswith("sgd"):
            lr *= 10  # what SGD takes for a last layer alone
        config = cls(lr=lr) if frozen else cls(lr=lr / 10, augment=True)
        return replace(config, **given)

    def to_json(self) -> dict[str, Any]:
        return {name: x for name, x in super().to_json().items() if name not in NOT_TUNED}


def make_optimizer(config: Config, model: nn.Module) -> optim.Optimizer:
    """The optimizer of a run; `momentum` is SGD's, and Adam's first beta."""
    parameters: Iterable[Any] = model.parameters()
    if config.optimizer == "sgd":
        return optim.SGD(
            parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    if config.optimizer == "sgd2012":
        return SGD2012(parameters, config.lr, config.momentum, config.weight_decay)
    kind = optim.Adam if config.optimizer == "adam" else optim.AdamW
    betas = (config.momentum, 0.999)
    return kind(parameters, lr=config.lr, betas=betas, weight_decay=config.weight_decay)


class Schedule:
    """A learning rate over time: call `after_step` after each step and `after_epoch` after each
    epoch.

        constant   lr
        step       lr, and a tenth of it after each third of the epochs
        cosine     from lr to 0 in half a cosine
        onecycle   from lr/25 up to lr in the first 30 % of the steps, then down to almost 0
        plateau    lr, and a third of it whenever the training loss has not fallen for two epochs
        test-plateau
                   lr, and a tenth of it, three times at most, whenever the test error has not
                   fallen for three epochs: the 2012 paper's, which says nothing of how many. It
                   had validation images; here the test images are the only ones held back
    """

    def __init__(self, config: Config, optimizer: optim.Optimizer, steps_per_epoch: int) -> None:
        self.optimizer = optimizer
        steps = config.epochs * steps_per_epoch
        self.by_step = config.schedule in ("cosine", "onecycle")
        self.kind = config.schedule
        self.scheduler: Any
        if config.schedule == "constant":
            self.scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
        elif config.schedule == "step":
            self.scheduler = lr_scheduler.StepLR(optimizer, -(-config.epochs // 3))
        elif config.schedule == "cosine":
            self.scheduler = lr_scheduler.CosineAnnealingLR(optimizer, steps)
        elif config.schedule == "onecycle":
            self.scheduler = lr_scheduler.OneCycleLR(
                optimizer, config.lr, total_steps=steps, cycle_momentum=False
            )
        elif config.schedule == "plateau":
            self.scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=1 / 3, patience=1)
        else:
            self.scheduler = lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.1, patience=2, min_lr=config.lr / 1000
            )

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def after_step(self) -> None:
        if self.by_step:
            self.scheduler.step()

    def after_epoch(self, train_loss: float, test_error: float) -> None:
        if self.kind == "plateau":
            self.scheduler.step(train_loss)
        elif self.kind == "test-plateau":
            self.scheduler.step(test_error)
        elif not self.by_step:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scheduler.load_state_dict(state)
