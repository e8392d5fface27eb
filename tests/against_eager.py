"""Train a model with every engine, and compare it with eager steps."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from compiling import own_cache
from torch import Tensor, nn, optim

from exp.compiled.compiled_step import CompiledStep
from exp.data.stack import Stack
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep, Step

ROWS, FEATURES, STEPS = 6, 4, 12


def train(
    model: nn.Module,
    make: Callable[[EagerStep], Step],
    optimizer: Callable[..., optim.Optimizer],
    steps: int = STEPS,
    empty: int = 0,
) -> tuple[Step, list[Tensor]]:
    """Make steps on batches of their own; return the step, and losses, parameters and tensor attributes.

    Args:
        empty: The number of the last batches whose rows are 0.
    """
    generator = torch.Generator().manual_seed(0)
    stack = Stack.of(
        torch.randn(steps, ROWS, FEATURES, generator=generator), torch.randn(steps, ROWS, 1, generator=generator)
    )
    stack.x[steps - empty :] = 0
    step = make(EagerStep(model, nn.MSELoss(), optimizer(model.parameters())))
    torch.manual_seed(2)
    random.seed(3)
    np.random.seed(4)
    with torch.no_grad(), own_cache():
        losses: list[Tensor] = []
        for one in (*stack.split(7)[0].singles(), stack.split(7)[1]):
            model.train()  # as before all steps between two evaluations
            losses.append(torch.cat(step([one]).losses))
    kept = [value.clone() for value in vars(model).values() if isinstance(value, Tensor)]
    return step, [torch.cat(losses), *model.state_dict().values(), *kept]


ENGINES: dict[str, Callable[[EagerStep], Step]] = {
    "replay": lambda eager: ReplayStep(eager, RecordedSteps()),
    "compiled": lambda eager: CompiledStep(eager, RecordedSteps()),
}


def sgd(parameters: Any) -> optim.Optimizer:
    return optim.SGD(parameters, lr=0.1)


def check(make_model: Callable[[], nn.Module], optimizer: Callable[..., optim.Optimizer] = sgd) -> dict[str, str]:
    """Train with each engine. Steps that are replayed or eager have the bits of eager ones, compiled ones are near.

    Returns:
        The last note of each engine, without a part that every note has.
    """
    _, expected = train(make_model(), lambda eager: eager, optimizer)
    told: dict[str, str] = {}
    for engine, make in ENGINES.items():
        step, results = train(make_model(), make, optimizer)
        notes = [note for note in step.notes if "is in use" in note]
        assert len(notes) <= 1
        assert all(len(note) <= 200 for note in notes)
        told[engine] = notes[0].replace(" is in use", "") if notes else engine
        exact = told[engine] != "compiled"
        for one, other in zip(results, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0 if exact else 1e-4, atol=0 if exact else 1e-6, equal_nan=True)
    return told
