"""Schedules against PyTorch: the same rates at each step, also when stopped and resumed."""

import json
import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim

# PyTorch warns where a scheduler steps without its optimizer, as these tests do.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")

SCHEDULES = {
    "StepLR": lambda s, o: s.StepLR(o, 3),
    "StepLR gamma": lambda s, o: s.StepLR(o, step_size=4, gamma=0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], gamma=0.3),
    "MultiStepLR unsorted": lambda s, o: s.MultiStepLR(o, (7, 1)),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "LambdaLR list": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, lambda e: e]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 1 - 1 / (2 + epoch)),
    "MultiplicativeLR list": lambda s, o: s.MultiplicativeLR(o, [lambda e: 0.9, lambda e: 1.1]),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR down": lambda s, o: s.LinearLR(o, 1.0, 0.1, 7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 12),
    "CosineAnnealingLR up again": lambda s, o: s.CosineAnnealingLR(o, T_max=5, eta_min=0.01),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, total_iters=4),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 9, power=2.0),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4),
    "CosineAnnealingWarmRestarts longer": lambda s, o: s.CosineAnnealingWarmRestarts(
        o, T_0=2, T_mult=2, eta_min=0.01
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=3), s.CosineAnnealingLR(o, 9)], milestones=[3]
    ),
    "SequentialLR of three": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1), s.StepLR(o, 2, gamma=0.5), s.CosineAnnealingWarmRestarts(o, 3)],
        [2, 7],
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=16),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [1.0, 3.0], epochs=4, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.45
    ),
    "OneCycleLR three phases": lambda s, o: s.OneCycleLR(
        o, 1.0, 20, pct_start=0.25, three_phase=True, div_factor=5.0, final_div_factor=50.0,
        base_momentum=0.7, max_momentum=[0.8, 0.9],
    ),
    "OneCycleLR without momentum": lambda s, o: s.OneCycleLR(o, 1.0, 15, cycle_momentum=False),
}
STEPS = 15


def optimizer(lib, name="SGD"):
    a, b = lib.nn.Parameter(lib.ones(2)), lib.nn.Parameter(lib.ones(3))
    options = {"momentum": 0.6} if name == "SGD" else {}
    groups = [{"params": [a]}, {"params": [b], "lr": 0.4}]
    return getattr(lib.optim, name)(groups, lr=0.1, **options)


def state_of(opt):
    """All that a schedule may change: rate and momentum of each group."""
    return [
        (group["lr"], group.get("momentum"), group.get("betas")) for group in opt.param_groups
    ]


def flat(states):
    numbers = []
    for lr, momentum, betas in states:
        numbers += [lr, -1 if momentum is None else momentum, *(betas or ())]
    return numbers


def assert_same(ours, theirs):
    np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_rates_as_pytorch(schedule, name):
    ours, theirs = optimizer(mg, name), optimizer(torch, name)
    a, b = schedule(optim.lr_scheduler, ours), schedule(torch.optim.lr_scheduler, theirs)
    seen = []
    for step in range(STEPS + 1):
        assert_same(state_of(ours), state_of(theirs))
        assert a.last_epoch == b.last_epoch == step
        np.testing.assert_allclose(a.get_last_lr(), b.get_last_lr(), rtol=1e-12, atol=1e-15)
        assert all(type(lr) is float for lr in a.get_last_lr())
        seen.append(tuple(a.get_last_lr()))
        if step < STEPS:
            a.step()
            b.step()
    assert len(set(seen)) > 1


@pytest.mark.parametrize("stop", [1, 4, 9])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_resumed_from_a_state_dict(schedule, stop):
    def rates(opt, sched, steps):
        result = []
        for _ in range(steps):
            sched.step()
            result.append(state_of(opt))
        return result

    straight = optimizer(mg)
    expected = rates(straight, schedule(optim.lr_scheduler, straight), STEPS)[stop:]
    before = optimizer(mg)
    sched = schedule(optim.lr_scheduler, before)
    rates(before, sched, stop)
    saved = json.loads(json.dumps([before.state_dict(), sched.state_dict()]))
    after = optimizer(mg)
    resumed = schedule(optim.lr_scheduler, after)
    after.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert resumed.get_last_lr() == sched.get_last_lr()
    assert rates(after, resumed, STEPS - stop) == expected


def test_warm_restarts_within_an_epoch():
    def rates(lib):
        schedule = lib.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(lib), 2, T_mult=2)
        result = []
        for batch in range(32):
            schedule.step(batch / 4)
            result.append((schedule.last_epoch, *schedule.get_last_lr()))
        return result

    np.testing.assert_allclose(rates(mg), rates(torch), rtol=1e-12)
    with pytest.raises(ValueError, match="non-negative epoch"):
        optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(mg), 2).step(-1)


@pytest.mark.parametrize("schedule", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LinearLR"])
def test_resumed_by_last_epoch(schedule):
    arguments = {
        "StepLR": (3,), "MultiStepLR": ([2, 6],), "CosineAnnealingLR": (9,), "LinearLR": (0.2,),
    }[schedule]

    def rates(lib):
        opt = optimizer(lib)
        cls = getattr(lib.optim.lr_scheduler, schedule)
        first = cls(opt, *arguments)
        for _ in range(4):
            first.step()
        second = cls(opt, *arguments, last_epoch=first.last_epoch)
        result = [state_of(opt)]
        for _ in range(4):
            second.step()
            result.append(state_of(opt))
        return result

    for ours, theirs in zip(rates(mg), rates(torch), strict=True):
        assert_same(ours, theirs)


def test_two_schedules_multiply_and_a_rate_set_by_hand_is_respected():
    def rates(lib):
        opt = optimizer(lib)
        s = lib.optim.lr_scheduler
        schedules = [s.LinearLR(opt, 0.1, total_iters=4), s.ExponentialLR(opt, 0.9)]
        result = []
        for step in range(8):
            if step == 5:
                opt.param_groups[0]["lr"] = 7.0
            for sched in schedules:
                sched.step()
            result.append(state_of(opt))
        return result

    for ours, theirs in zip(rates(mg), rates(torch), strict=True):
        assert_same(ours, theirs)


# -- ReduceLROnPlateau ---------------------------------------------------------------------------

METRICS = [1.0, 0.9, 0.9, 0.95, 0.8999, 0.5, 0.6, 0.7, 0.8, math.nan, 0.4, 0.4, 0.4, 0.4, 0.4, 0.39]
PLATEAUS = {
    "default": {"patience": 1},
    "absolute": {"patience": 0, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.5},
    "max": {"mode": "max", "patience": 2},
    "max absolute": {"mode": "max", "patience": 1, "threshold_mode": "abs", "threshold": 0.1},
    "cooldown": {"patience": 0, "cooldown": 2, "factor": 0.5},
    "floor": {"patience": 0, "min_lr": [0.01, 0.2], "factor": 0.3},
    "eps": {"patience": 0, "eps": 0.05, "factor": 0.5},
}


@pytest.mark.parametrize("options", PLATEAUS.values(), ids=PLATEAUS)
@pytest.mark.parametrize("resume_at", [None, 3, 8])
def test_plateau_as_pytorch(options, resume_at):
    ours, theirs = optimizer(mg), optimizer(torch)
    a = optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
    b = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rates = []
    for step, metric in enumerate(METRICS):
        if step == resume_at:
            saved = json.loads(json.dumps([ours.state_dict(), a.state_dict()]))
            ours = optimizer(mg)
            a = optim.lr_scheduler.ReduceLROnPlateau(ours, **options)
            ours.load_state_dict(saved[0])
            a.load_state_dict(saved[1])
        a.step(mg.tensor(metric, dtype=mg.float64))
        b.step(metric)
        assert_same(state_of(ours), state_of(theirs))
        assert (a.best, a.num_bad_epochs) == (b.best, b.num_bad_epochs)
        assert a.get_last_lr() == pytest.approx(b.get_last_lr(), rel=1e-12)
        rates.append(sum(a.get_last_lr()))
    assert rates[-1] < rates[0]


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s, o: s.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda s, o: s.StepLR(o, 1, last_epoch=3), KeyError, "'initial_lr' is not specified"),
        (lambda s, o: s.LambdaLR(o, [abs]), ValueError, "(same length|Expected 2)"),
        (lambda s, o: s.LinearLR(o, start_factor=2), ValueError, "(in|less or equal)"),
        (lambda s, o: s.LinearLR(o, end_factor=-1), ValueError, "(in|between)"),
        (lambda s, o: s.ConstantLR(o, factor=2), ValueError, "(in|less or equal|between)"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), ValueError, "integer T_0"),
        (lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, 0.5), ValueError, "integer T_mult"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, "milestone"),
        (
            lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1), s.ReduceLROnPlateau(o)], [3]),
            ValueError,
            "metrics|`ReduceLROnPlateau`",
        ),
        (lambda s, o: s.OneCycleLR(o, 0.1), ValueError, "must define either total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 0.1, epochs=3), ValueError, "either total_steps OR"),
        (lambda s, o: s.OneCycleLR(o, 0.1, -1), ValueError, "positive integer total_steps"),
        (
            lambda s, o: s.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=0),
            ValueError,
            "Expected positive integer steps_per_epoch, but got 0",
        ),
        (lambda s, o: s.OneCycleLR(o, 0.1, 9, pct_start=2), ValueError, "pct_start, but got 2"),
        (lambda s, o: s.OneCycleLR(o, 0.1, 9, anneal_strategy="x"), ValueError, "instead got x"),
        (lambda s, o: s.OneCycleLR(o, [0.1], 9), ValueError, "max_lr must have the same length"),
        (lambda s, o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda s, o: s.ReduceLROnPlateau(o, mode="x"), ValueError, "mode x is unknown!"),
        (
            lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="x"),
            ValueError,
            "threshold mode x is unknown!",
        ),
        (lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]), ValueError, "(same length|expected 2)"),
    ],
)
def test_errors_as_pytorch(make, error, message):
    for lib in (torch, mg):
        with pytest.raises(error, match=message):
            make(lib.optim.lr_scheduler, optimizer(lib))


def test_one_cycle_needs_momentum_and_an_end():
    class Plain(optim.Optimizer):
        pass

    opt = Plain([mg.nn.Parameter(mg.ones(1))], {"lr": 0.1})
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        optim.lr_scheduler.OneCycleLR(opt, 1.0, 10)
    schedule = optim.lr_scheduler.OneCycleLR(opt, 1.0, 2, cycle_momentum=False)
    schedule.step()
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times. The specified .* is 2"):
        schedule.step()


def test_one_cycle_of_few_steps():
    """pct_start * total_steps = 1 makes a first phase of no length, which PyTorch divides by."""
    opt = optimizer(mg)
    schedule = optim.lr_scheduler.OneCycleLR(opt, 1.0, 4, pct_start=0.25)
    assert schedule.get_last_lr() == [1.0, 1.0]
