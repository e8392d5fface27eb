"""Compiled gradients and updates below 1.2e-38, which are slow on some CPUs, are 0; nothing else is."""

import numpy as np
import pytest
import torch
from against_eager import ENGINES
from compiling import optimization, own_cache
from torch import Tensor, nn, optim

from exp.compiled.compile_step import why_never_compiled
from exp.data.stack import Stack
from exp.engine.precision import Precision
from exp.engine.step import EagerStep

__all__ = ["optimization"]  # a fixture

TINY = torch.finfo(torch.float32).tiny


def is_subnormal(values: Tensor) -> Tensor:
    return (values != 0) & (values.abs() < TINY)


class Probability(nn.Module):
    """A loss that is the mean output."""

    def forward(self, output: Tensor, _: Tensor) -> Tensor:
        return output.mean()


def test_losses_and_outputs_are_kept_and_gradients_and_momentum_are_not():
    steps = {}
    for engine, make in {"eager": lambda eager: eager, **ENGINES}.items():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
        with torch.no_grad():
            model[2].bias.fill_(-88.0)  # type: ignore[union-attr]
            optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            step = make(EagerStep(model, Probability(), optimizer))
            with own_cache():
                done = step([Stack.of(torch.randn(20, 8, 3), torch.randn(20, 8, 1))])
        assert step.engine == engine, step.notes
        buffers = torch.cat([state["momentum_buffer"].flatten() for state in optimizer.state.values()])
        steps[engine] = torch.cat(done.losses), torch.cat(done.outputs).flatten(), buffers
    assert is_subnormal(torch.cat(steps["eager"][:2])).all()
    assert is_subnormal(steps["eager"][2]).any()
    for compiled, eager in zip(steps["compiled"][:2], steps["eager"], strict=False):
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=0)
    assert not steps["compiled"][2].any()


@pytest.mark.parametrize("optimizer", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), optim.AdamW, optim.RMSprop])
def test_a_momentum_that_became_0_is_no_difference_to_eager_steps(optimizer: type[optim.Optimizer]):
    """Step 64 is checked. Without gradients, all numbers of the momentum have decayed until then."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    eager = EagerStep(model, nn.MSELoss(), optimizer(model.parameters()))
    step = ENGINES["compiled"](eager)
    with torch.no_grad(), own_cache():
        step([Stack.of(torch.randn(6, 8, 3), torch.randn(6, 8, 1))])
        for state in eager.optimizer.state.values():
            for name, value in state.items():
                value.mul_(1 if name == "step" else 1e-37)
        step([Stack.of(torch.zeros(60, 8, 3), model.bias.detach().expand(60, 8, 1).clone())])
    assert (step.engine, [*step.notes][1:]) == ("compiled", [])
    assert not any(is_subnormal(value).any() for state in eager.optimizer.state.values() for value in state.values())


def test_other_code_of_the_process_computes_with_them():
    model = nn.Linear(3, 1)
    step = ENGINES["compiled"](EagerStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)))
    with torch.no_grad(), own_cache():
        step([Stack.of(torch.randn(20, 8, 3), torch.randn(20, 8, 1))])
    assert step.engine == "compiled"
    assert is_subnormal(torch.tensor([TINY]) * 0.5).all()
    assert np.float32(TINY) * np.float32(0.5) > 0


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad])
def test_an_update_that_divides_by_such_numbers_is_not_compiled(optimizer: type[optim.Optimizer]):
    parameters = [nn.Parameter(torch.zeros(1))]
    reasons = [why_never_compiled(optimizer(parameters, eps=eps), Precision(), False) for eps in (1e-12, 1e-20)]  # type: ignore[call-arg]
    assert reasons == [
        None,
        "optimizer.eps=1e-20 is not compiled: numbers below 1.2e-38 become 0, so it must be >= 1e-14",
    ]
