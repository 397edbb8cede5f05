"""A captured step of an optimizer goes on as the step would: its rates and counts are live."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import kernels, nn, optim


def parameters() -> list[nn.Parameter]:
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(n, "float32")).to("cuda") for n in (5, 3)]


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_captured_step_follows_the_schedule(gpu, kind):
    runs = []
    for captured in (False, True):
        ps, graph, actions = [nn.Parameter(p.detach()) for p in parameters()], None, []
        optimizer = kind([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.03}], lr=0.1)
        schedule = optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1)
        gs = [gpu.asarray(np.ones(p.shape, "float32")) for p in ps]
        for p, g in zip(ps, gs, strict=True):
            p.grad = type(p)(g).detach()
        with gpu.no_waiting():
            optimizer.step()
            if captured:
                stream = gpu.cuda.Stream()
                with stream, kernels.of(gs[0]).capture.recorded() as actions:
                    stream.begin_capture()
                    optimizer.step()
                    graph = stream.end_capture()
            for i in range(5):
                schedule.step()
                for g in gs:
                    g *= 0.5 + i
                for action in actions:
                    action()
                graph.launch() if graph else optimizer.step()
        runs.append([p.tolist() for p in ps])
        counts = [state["step"].item() for state in optimizer.state.values() if "step" in state]
        assert counts == ([] if kind is optim.SGD else [6, 6])
        with pytest.raises(kernels.of(gs[0]).capture.Outdated) if captured else gpu.cuda.Device():
            optimizer.load_state_dict(optimizer.state_dict())
            for action in actions:
                action()
    assert runs[0] == runs[1]


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_a_skipped_step_changes_nothing(gpu, kind):
    """No weight, no moment, and not the count of steps; `skip` is a number on the GPU."""
    ps = [nn.Parameter(p.detach()) for p in parameters()]
    optimizer = kind(ps, 0.1, momentum=0.9) if kind is optim.SGD else kind(ps, 0.1)
    for p in ps:
        p.grad = p.detach() * 2

    def numbers():
        return [p.tolist() for p in ps], [
            value.get().tolist() for state in optimizer.state.values() for value in state.values()
        ]

    optimizer.step()
    (before, moments), optimizer.skip = numbers(), gpu.ones((), "float32")
    optimizer.step()
    assert numbers() == (before, moments)
    optimizer.skip = gpu.zeros((), "float32")
    optimizer.step()
    after, more = numbers()
    assert all(now != was for now, was in zip(after + more, before + moments, strict=True))
