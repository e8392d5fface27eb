"""Code of the user's between the steps of a call: what it keeps, draws or raises is as after one step at a time."""

from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config_of, list_evaluations, logged_steps
from torch import Tensor, nn

from exp.config import allowlist
from exp.errors import ConfigError
from exp.results.checkpoints import checksum
from exp.training.build import build
from exp.training.events import Event, Noted
from exp.training.loop import Training


class Plain(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Annealed(Plain):
    """An evaluation changes what the next steps compute."""

    scale = 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            self.scale *= 0.97
        return super().forward(x) * self.scale


class AnnealedByBuffer(Plain):
    """The same, with a tensor that is replaced."""

    scale: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            self.scale = self.scale * 0.97
        return super().forward(x) * self.scale


class WithMemoryOfItsOwn(Plain):
    """Each evaluation writes into the outputs of the one before."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.memory: dict[int, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if self.training else self.memory.setdefault(len(x), torch.empty_like(y)).copy_(y.detach())


class FailsLater(Plain):
    steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps > 100:
            raise ValueError("the 101st step")
        return super().forward(x)


class WithGradients(nn.Module):
    """A loss that differentiates, also when it evaluates."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        leaf = output.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad((leaf**2).sum(), leaf)
        return nn.functional.cross_entropy(output, target) + 0.01 * (gradient * output).mean()


def drawn(targets: Any, predictions: Any) -> float:
    del targets, predictions
    return float(torch.rand(())) + float(np.random.rand())


drawn.higher_is_better = False


@pytest.fixture(autouse=True)
def own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowlist, "USER_PACKAGES", ("test_own_code",))


def train(monkeypatch: pytest.MonkeyPatch, seconds: float, line: str) -> tuple[list[object], list[str]]:
    """Train with calls that take so many seconds; return the results, and the notes."""
    times = cycle((0.0, seconds))
    monkeypatch.setattr("exp.training.loop.time.perf_counter", lambda: next(times))
    experiment = build(config_of("dataset=moons", "model=linear", "eval_every=9", "epochs=6", *line.split()))
    events, error = list[Event](), ""
    try:
        for event in Training(experiment.learner, experiment.batches, experiment.data, experiment.plan):
            events.append(event)
    except ConfigError as problem:
        error = str(problem)
    steps = [(step.at, step.metrics, step.lr) for step in logged_steps(events)]
    ends = [(one.at, one.split, one.metrics, one.best) for one in list_evaluations(events)]
    # A call that fails is lost, and how many steps it had depends on the clock.
    results = [steps, ends, checksum(experiment.learner.get_state())] if not error else [ends]
    return [error, *results], [event.text for event in events if isinstance(event, Noted)]


OWN_MODEL = "~model.bias model._target_=test_own_code"


@pytest.mark.parametrize("engine", ["eager", "replay"])
@pytest.mark.parametrize(
    "line",
    [
        f"{OWN_MODEL}.Annealed",
        f"{OWN_MODEL}.AnnealedByBuffer",
        f"{OWN_MODEL}.WithMemoryOfItsOwn",
        f"{OWN_MODEL}.FailsLater",
        "loss=cross_entropy ~loss.label_smoothing loss._target_=test_own_code.WithGradients",
        "metric=test_own_code.drawn",
    ],
)
def test_evaluations_between_steps_are_those_of_single_steps(line: str, engine: str, monkeypatch: pytest.MonkeyPatch):
    line += f" engine={engine}"
    assert train(monkeypatch, 1e-4, line)[0] == train(monkeypatch, 10.0, line)[0]


def test_a_model_without_state_of_its_own_is_replayed(monkeypatch: pytest.MonkeyPatch):
    assert train(monkeypatch, 10.0, f"{OWN_MODEL}.Plain")[1] == []
