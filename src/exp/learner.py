"""The ONE step: forward, loss, gradients, update; and a whole split evaluated. Knows no data set, no disk, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from exp.data.batches import Batch
from exp.data.split import Split
from exp.events import State
from exp.measures import Measures
from exp.objectives import Objective

# The most rows that go through the model at once when nothing is learnt: bounds the memory of its hidden layers.
_ROWS_AT_ONCE = 2**16


class Learner(Protocol):
    """Whatever can be trained a few steps at a time."""

    def advance(self, batches: Iterable[Batch]) -> tuple[Tensor, Measures]:
        """One update a batch. Returns each batch's loss before its update, [S] on the CPU, and the measures of all."""
        ...

    def evaluate(self, split: Split) -> Measures:
        """Measures of the whole split; changes nothing and draws nothing."""
        ...

    def predict(self, x: Tensor) -> Tensor:
        """The model's outputs [N, K] for x [N, F]; changes nothing and draws nothing."""
        ...

    def schedule(self, val_loss: float) -> None:
        """Take the learning rate's next step; the validation loss is for schedules that wait for a plateau."""
        ...

    @property
    def lr(self) -> float: ...
    def state(self) -> State: ...


@dataclass(frozen=True)
class Eager:
    """Steps as a plain script makes them: autograd and `optimizer.step()`."""

    model: nn.Module
    objective: Objective
    optimizer: Optimizer
    scheduler: LRScheduler | None = None
    clip_grad_norm: float | None = None

    def advance(self, batches: Iterable[Batch]) -> tuple[Tensor, Measures]:
        self.model.train()
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        for x, y in batches:
            loss, output = self._step(x, y)
            losses.append(loss)
            outputs.append(output)
            targets.append(y)
        # One look at the device for all these steps: .item() in each would wait for it each time.
        loss_of_each = torch.stack(losses).cpu()
        counts = torch.tensor([len(y) for y in targets])
        # In float64 a float32 loss times a count, divided by that count, gives the loss back to the bit.
        loss_sum = float((loss_of_each.double() * counts).sum())
        score = self.objective.score(torch.cat(outputs), torch.cat(targets))
        return loss_of_each, Measures(int(counts.sum()), loss_sum, score)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        before: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            output: Tensor = self.model(x)
            loss: Tensor = self.objective.criterion(output, y)
            loss.backward()
            if self.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad_norm)
            before.append((loss.detach(), output.detach()))
            return loss

        # LBFGS needs the loss as a tensor, though the signature says float.
        self.optimizer.step(closure)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return before[0]  # LBFGS comes back for more; the first is the loss before the update

    def evaluate(self, split: Split) -> Measures:
        output = self.predict(split.x)
        loss = float(self.objective.criterion(output, split.y))
        return Measures(len(split), loss * len(split), self.objective.score(output, split.y))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        self.model.eval()
        parts: list[Tensor] = [self.model(rows) for rows in torch.split(x, _ROWS_AT_ONCE)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def schedule(self, val_loss: float) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(val_loss)
        elif self.scheduler is not None:
            self.scheduler.step()

    @property
    def lr(self) -> float:
        """Learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def state(self) -> State:
        """Live tensors and plain values: copy what you keep."""
        state: dict[str, Any] = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        if self.scheduler is not None:
            state["scheduler"] = self.scheduler.state_dict()
        return state
