"""A loss that is computed for a window of steps has the bits of the losses of its batches."""

from collections.abc import Callable

import pytest
import torch
from conftest import one_in
from torch import Tensor, nn, optim
from torch.nn import functional as F

from exp.data.stack import Stack
from exp.engine import script_loop
from exp.engine.deferred_loss import find_deferred_loss
from exp.engine.program import Program, Statement
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.step import EagerStep

LOSSES: dict[str, nn.Module] = {
    "mse": nn.MSELoss(),
    "huber": nn.HuberLoss(delta=0.3),
    "smooth l1": nn.SmoothL1Loss(beta=0.3),
    "bce": nn.BCELoss(),
    "bce with logits": nn.BCEWithLogitsLoss(),
}


class Loss(nn.Module):
    """A criterion from a function."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, output: Tensor, y: Tensor) -> Tensor:
        return self.function(output, y)


class Fixed(nn.Module):
    """Outputs that training does not change, so that batches can be made one by one again."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(values))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift


class Transposed(Fixed):
    """Outputs whose values torch adds in another order."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).t().contiguous().t()


def record(
    criterion: nn.Module, rows: int, values: int, monkeypatch: pytest.MonkeyPatch, model: type[Fixed] = Fixed
) -> tuple[ReplayStep, list[Statement | None]]:
    """Return a step that is replayed by TorchScript, and the statements that were deferred."""
    found: list[Statement | None] = []

    def find(program: Program) -> Statement | None:
        found.append(find_deferred_loss(program))
        return found[-1]

    monkeypatch.setattr(script_loop, "find_deferred_loss", find)
    monkeypatch.setattr(script_loop, "_STEPS_BEFORE_SCRIPT", 0)
    net = model(values)
    step = ReplayStep(EagerStep(net, criterion, optim.SGD(net.parameters(), lr=0.0)), RecordedSteps())
    with torch.no_grad():
        step([Stack.of(torch.rand(8, rows, values), torch.rand(8, rows, values))])
    assert step.fallback_reason is None
    assert not [note for note in step.notes if "slower" in note]
    return step, found


SHAPES = [(1, 1), (3, 1), (5, 2), (16, 1), (33, 3), (128, 1), (1100, 1), (4096, 1)]


@pytest.mark.parametrize(("name", "rows", "values"), one_in(2, [(name, *shape) for shape in SHAPES for name in LOSSES]))
def test_losses_of_a_window_have_the_bits_of_single_ones(
    name: str, rows: int, values: int, monkeypatch: pytest.MonkeyPatch
):
    torch.manual_seed(rows)
    criterion = LOSSES[name]
    step, found = record(criterion, rows, values, monkeypatch)
    assert [one is not None for one in found] == [True]
    for batches in (1, 2, 7, 64):
        x, y = torch.rand(batches, rows, values), torch.rand(batches, rows, values)
        with torch.no_grad():
            losses = torch.cat(step([Stack.of(x, y)]).losses)
        assert torch.equal(losses, torch.stack([criterion(*both) for both in zip(x.clone(), y, strict=True)]))


NOT_DEFERRED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a sum": lambda output, y: F.mse_loss(output, y, reduction="sum"),
    "changed afterwards": lambda output, y: 2 * F.mse_loss(output, y),
    "part of the gradient": lambda output, y: F.mse_loss(output, y) ** 2,
    "of other values than the outputs": lambda output, y: F.mse_loss(output.exp(), y),
    "of other targets": lambda output, y: F.mse_loss(output, y.exp()),
    "with weights": lambda output, y: F.binary_cross_entropy_with_logits(output, y, weight=torch.ones(output.shape[1])),
    "of targets and outputs": lambda output, y: F.mse_loss(y, output),
}


@pytest.mark.parametrize("name", NOT_DEFERRED)
def test_other_losses_are_computed_in_their_step(name: str, monkeypatch: pytest.MonkeyPatch):
    _, found = record(Loss(NOT_DEFERRED[name]), 8, 2, monkeypatch)
    assert found == [None]


def test_a_loss_of_transposed_outputs_is_computed_in_its_step(monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(2)
    step, found = record(nn.MSELoss(), 8, 3, monkeypatch, Transposed)
    assert found == [None]
    x, y = torch.rand(400, 8, 3), torch.rand(400, 8, 3)
    with torch.no_grad():
        losses = torch.cat(step([Stack.of(x, y)]).losses)
    expected = [F.mse_loss(one.t().contiguous().t(), target) for one, target in zip(x, y, strict=True)]
    assert torch.equal(losses, torch.stack(expected))


def test_a_loss_of_many_outputs_is_computed_in_its_step(monkeypatch: pytest.MonkeyPatch):
    """Those of a window would take much memory, and no less time."""
    _, found = record(nn.MSELoss(), 2049, 2, monkeypatch)
    assert found == [None]
