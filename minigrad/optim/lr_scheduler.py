"""Learning rates that change during training. Call `scheduler.step()` after `optimizer.step()`.

Most schedules are recurrences, as PyTorch's are: each step changes the optimizer's current rate,
so that two schedules on one optimizer multiply, and a rate set by hand is respected. A schedule's
state is plain numbers and can be written as JSON. Source: PyTorch, `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from minigrad.optim.optimizer import Optimizer


class LRScheduler:
    """Sets the "lr" of each parameter group. Subclasses define `get_lr`.

    Attributes:
        last_epoch: how often `step` was called, whether that was once an epoch or once a batch.
        base_lrs: the rates that the optimizer started with, a number a group.

    Args:
        last_epoch: -1 to begin; else the `last_epoch` of the schedule that is resumed, with an
            optimizer whose state was loaded.

    Raises:
        TypeError: `optimizer` is none.
        KeyError: resumed with an optimizer that never had a schedule.
    """

    _not_saved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a "
                    "scheduler with last_epoch >= 0: load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._set_lr(self.first_lr())

    def first_lr(self) -> list[float]:
        """The rates to begin or resume with: a recurrence leaves them as they are."""
        return self._current_lr()

    def get_lr(self) -> list[float]:
        """The rates at step `last_epoch`, a number a group."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr")

    def step(self) -> None:
        """Go on to the next rate."""
        self.last_epoch += 1
        self._set_lr(self.get_lr())

    def get_last_lr(self) -> list[float]:
        """The rates in use, a number a group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """What must be saved to go on from here, without the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k not in self._not_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned; load the optimizer's state as well."""
        self.__dict__.update(state_dict)

    def _current_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _set_lr(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._current_lr()


class LambdaLR(LRScheduler):
    """The first rate times `lr_lambda(last_epoch)`: one function, or a list of one a group.

    The functions are not saved with the state.
    """

    _not_saved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = _one_a_group(optimizer, lr_lambda, "lr_lambdas")
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        return self.get_lr()

    def get_lr(self) -> list[float]:
        return [
            base * function(self.last_epoch)
            for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class MultiplicativeLR(LambdaLR):
    """The current rate times `lr_lambda(last_epoch)` at each step: functions as in `LambdaLR`."""

    def first_lr(self) -> list[float]:
        return self._current_lr()

    def get_lr(self) -> list[float]:
        return [
            lr * function(self.last_epoch)
            for lr, function in zip(self._current_lr(), self.lr_lambdas, strict=True)
        ]


class StepLR(LRScheduler):
    """Times `gamma` every `step_size` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = self.gamma if self.last_epoch % self.step_size == 0 else 1.0
        return [lr * factor for lr in self._current_lr()]


class MultiStepLR(LRScheduler):
    """Times `gamma` at each of the `milestones`; twice at one that is listed twice."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = self.gamma ** self.milestones.count(self.last_epoch)
        return [lr * factor for lr in self._current_lr()]


class ExponentialLR(LRScheduler):
    """Times `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * self.gamma for lr in self._current_lr()]


class LinearLR(LRScheduler):
    """From `start_factor` to `end_factor` of the rate in a straight line of `total_iters` steps.

    With the defaults a warm-up. Raises ValueError where the factors are not in (0, 1] and [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"[LinearLR] start_factor must be in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"[LinearLR] end_factor must be in [0, 1], got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        factor = self.start_factor if self.last_epoch == 0 else 1.0
        return [lr * factor for lr in self._current_lr()]

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_iters:
            return self._current_lr()
        factor = self._line(self.last_epoch) / self._line(self.last_epoch - 1)
        return [lr * factor for lr in self._current_lr()]

    def _line(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters


class ConstantLR(LRScheduler):
    """`factor` of the rate for the first `total_iters` steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"[ConstantLR] factor must be in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        factor = self.factor if self.last_epoch == 0 else 1.0
        return [lr * factor for lr in self._current_lr()]

    def get_lr(self) -> list[float]:
        factor = self.factor if self.last_epoch == self.total_iters else 1.0
        return [lr / factor for lr in self._current_lr()]


class PolynomialLR(LRScheduler):
    """From the rate to 0 in `total_iters` steps, as (1 - t / total_iters) to the `power`."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_iters:
            return self._current_lr()
        left = self.total_iters - self.last_epoch
        return [lr * (left / (left + 1)) ** self.power for lr in self._current_lr()]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the first rate down to `eta_min` in `T_max` steps (and up again after):

        lr(t) = eta_min + (lr(0) - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Source: Loshchilov and Hutter, "SGDR", without the restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        now, before = self._height(self.last_epoch), self._height(self.last_epoch - 1)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # up again, from 0
            return [
                lr + (base - self.eta_min) * now
                for lr, base in zip(self._current_lr(), self.base_lrs, strict=True)
            ]
        return [self.eta_min + (lr - self.eta_min) * now / before for lr in self._current_lr()]

    def _height(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to almost nothing, in one cycle; `step` is called after each batch.

    The rate starts at max_lr / div_factor, reaches max_lr after the first `pct_start` of the steps
    and ends at max_lr / div_factor / final_div_factor; with `three_phase` it first comes down as
    it went up. The momentum (or the first beta) goes the opposite way, from `max_momentum` to
    `base_momentum` and back. `anneal_strategy` is "cos" or "linear". `max_lr` and the momenta may
    be lists of one number a group.
    Source: Smith and Topin, "Super-Convergence"; the step numbers are PyTorch's.

    Raises:
        ValueError: neither `total_steps` nor both `epochs` and `steps_per_epoch`; a value out of
            range; an optimizer without momentum; more steps than announced.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum

        # The cycle as (step, rate, momentum) at its turning points, by their names in the groups.
        peak = pct_start * self.total_steps - 1
        self.knots = [
            (0.0, "initial_lr", "max_momentum"),
            (peak, "max_lr", "base_momentum"),
            (self.total_steps - 1, "min_lr", "max_momentum"),
        ]
        if three_phase:
            self.knots.insert(2, (2 * peak, "initial_lr", "max_momentum"))

        if last_epoch == -1:
            max_lrs = _one_a_group(optimizer, max_lr, "max_lr")
            for group, high in zip(optimizer.param_groups, max_lrs, strict=True):
                low = high / div_factor
                group.update(initial_lr=low, max_lr=high, min_lr=low / final_div_factor)
            if cycle_momentum:
                self._prepare_momentum(optimizer, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def _prepare_momentum(self, optimizer: Optimizer, base: Any, high: Any) -> None:
        bases = _one_a_group(optimizer, base, "base_momentum")
        highs = _one_a_group(optimizer, high, "max_momentum")
        for i, group in enumerate(optimizer.param_groups):
            if not {"momentum", "betas"} & group.keys():
                raise ValueError(
                    "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
                )
            group.update(base_momentum=bases[i], max_momentum=highs[i])

    def first_lr(self) -> list[float]:
        return self.get_lr()

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. "
                f"The specified number of total steps is {self.total_steps}"
            )
        after = next(
            (i for i, knot in enumerate(self.knots) if i and self.last_epoch <= knot[0]),
            len(self.knots) - 1,
        )
        (begin, *left), (end, *right) = self.knots[after - 1 : after + 1]
        way = (self.last_epoch - begin) / (end - begin) if end != begin else 1.0
        if self.anneal_strategy == "cos":
            way = (1 - math.cos(math.pi * way)) / 2
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(_between(group[left[0]], group[right[0]], way))
            if self.cycle_momentum:
                momentum = _between(group[left[1]], group[right[1]], way)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down to `eta_min`, again and again: in `T_0` steps at first, and in `T_mult`
    times as many each time after.

        lr(t) = eta_min + (lr(0) - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2

    where T_cur of the T_i steps are done. Within an epoch `step` takes the time that has passed:
    `scheduler.step(epoch + batch / batches)`. Source: Loshchilov and Hutter, "SGDR".
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"Expected integer {name} >= 1, but got {value}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def first_lr(self) -> list[float]:
        self._go_to(self.last_epoch)
        return self.get_lr()

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next rate, or to that of the time `epoch`."""
        epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        self.last_epoch = math.floor(epoch)
        self._go_to(epoch)
        self._set_lr(self.get_lr())

    def _go_to(self, epoch: float) -> None:
        self.T_cur, self.T_i = epoch, self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class SequentialLR(LRScheduler):
    """One schedule after the other: at each of the `milestones` the next begins, from the rates
    that the optimizer started with. A warm-up is a LinearLR before anything else.

    Raises:
        ValueError: there is not one schedule more than milestones, or one is of another optimizer.
    """

    _not_saved = ("optimizer", "_schedulers")

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"[SequentialLR] expected one schedule more than milestones, got {len(schedulers)} "
                f"and {len(milestones)}"
            )
        for scheduler in schedulers:
            if scheduler.optimizer is not optimizer or isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"[SequentialLR] {type(scheduler).__name__} must be a schedule of the same "
                    "optimizer that takes no metrics"
                )
        self._schedulers, self._milestones = schedulers, list(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        self._begin(schedulers[0])

    def _begin(self, scheduler: LRScheduler) -> None:
        """Have it set its first rates, as if nothing had been before."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        scheduler.last_epoch = 0
        scheduler._set_lr(scheduler.first_lr())
        self._last_lr = scheduler.get_last_lr()

    def step(self) -> None:
        self.last_epoch += 1
        which = bisect_right(self._milestones, self.last_epoch)
        if self.last_epoch in self._milestones:
            self._begin(self._schedulers[which])
        else:
            self._schedulers[which].step()
            self._last_lr = self._schedulers[which].get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        states = state_dict["_schedulers"]
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(state)


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when `step(metric)` has seen no improvement more than `patience` times.

    `mode` "min" or "max" says what better means; better by `threshold`, a part of the best value
    ("rel") or an amount ("abs"). After a reduction `cooldown` steps are not counted. Reductions
    that would change the rate by no more than `eps` are not made.

    Raises:
        ValueError: factor of at least 1, an unknown mode, a wrong number of `min_lr`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.min_lrs = _one_a_group(optimizer, min_lr, "min_lr")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at a metric: a number, or a tensor of one."""
        self.last_epoch += 1
        value = float(metrics)
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = self._current_lr()
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            rates = self.get_lr()
        self._set_lr(rates)

    def get_lr(self) -> list[float]:
        """The reduced rates."""
        reduced = [
            max(lr * self.factor, low)
            for lr, low in zip(self._current_lr(), self.min_lrs, strict=True)
        ]
        return [
            new if lr - new > self.eps else lr
            for lr, new in zip(self._current_lr(), reduced, strict=True)
        ]

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        margin = self.threshold
        if self.threshold_mode == "rel" and not math.isinf(self.best):
            margin *= self.best
        return sign * value > sign * self.best + margin


def _one_a_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """`value` as a list with an entry for each parameter group.

    Raises:
        ValueError: it is a list of another length.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {count}."
        )
    return list(value)


def _total_steps(total: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total is None and (epochs is None or steps_per_epoch is None):
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    if total is not None:
        counts = {"total_steps": total}
    for name, count in counts.items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"Expected positive integer {name}, but got {count}")
    return math.prod(count for count in counts.values() if count is not None)


def _between(start: float, end: float, way: float) -> float:
    return start + (end - start) * way
