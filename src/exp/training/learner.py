"""Many steps at a time, and a whole split evaluated. Knows no disk, clock or config."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from exp.data.batches import Batch
from exp.data.splits import Split
from exp.engine.optimizers import without_dynamo
from exp.engine.step import Step
from exp.errors import ConfigError
from exp.training.events import State
from exp.training.metrics import MetricSums
from exp.training.objectives import Objective, check_output

# The most rows that go through the model at once when nothing is learnt: bounds the memory of its hidden layers.
_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Learner:
    """A model with what trains it; `step` makes the updates, one after the other."""

    model: nn.Module
    objective: Objective
    optimizer: Optimizer
    step: Step
    scheduler: LRScheduler | None = None

    def advance(
        self, batches: Iterable[Batch], windows: Sequence[int], split: Split
    ) -> tuple[list[float], list[MetricSums]]:
        """One update a batch, all of them from `split`.

        Returns each batch's loss before its update, and the metrics of the first windows[0] batches, the next
        windows[1], and so on to the last.
        """
        self.model.train()
        with self._blame_model("in a step"), torch.no_grad():  # a step that needs gradients turns them on
            made = self.step(batches)
            # One look at the device for all these steps: .item() in each would wait for it each time.
            losses = cast(list[float], torch.stack(made.losses).tolist())
        counts = [y.size(0) for y in made.targets]
        # In float64 a float32 loss times a count, divided by that count, gives the loss back to the bit.
        weighted = [loss * count for loss, count in zip(losses, counts, strict=True)]
        ends = list(accumulate(windows))
        parts = [slice(end - window, end) for end, window in zip(ends, windows, strict=True)]
        sizes = [sum(counts[part]) for part in parts]
        scores = self.objective.score(_joined(made.outputs), _joined(made.targets), sizes, split)
        sums = [sum(weighted[part]) for part in parts]
        return losses, [MetricSums(*of_part) for of_part in zip(sizes, sums, scores, strict=True)]

    def evaluate(self, split: Split) -> MetricSums:
        """Metrics of the whole split; draws nothing and moves no parameter."""
        return metrics_of(self.objective, self.predict(split.x), split)

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The model's outputs [N, K] for x [N, F]; draws nothing and moves no parameter."""
        self.model.eval()
        with self._blame_model(f"on {len(x)} rows of {x.shape[1]} features"):
            parts: list[Tensor] = [self.model(rows).detach() for rows in torch.split(x, _ROWS_AT_ONCE)]
        return _joined(parts)

    def gradients(self, split: Split) -> dict[str, Tensor]:
        """The gradient of the loss of the split's first rows, 65,536 at most, by each parameter that has one.

        As they are evaluated, dropout off. It draws nothing of the run's, and leaves buffers and each parameter's own
        gradient as they were. ConfigError if the model, as it is evaluated, has none.
        """
        learnt = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        self.model.eval()
        here = [split.x.device] if split.x.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(here), self._blame_model("to tell its gradients"), torch.enable_grad():
                loss = self.objective.criterion(self.model(split.x[:_ROWS_AT_ONCE]), split.y[:_ROWS_AT_ONCE])
                found = torch.autograd.grad(loss, list(learnt.values()), allow_unused=True)
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
        gradients = cast("tuple[Tensor | None, ...]", found)
        return {name: gradient for name, gradient in zip(learnt, gradients, strict=True) if gradient is not None}

    @contextmanager
    def _blame_model(self, where: str) -> Generator[None]:
        """Say of a failure inside that it is the model's."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            cure = "batching.drop_last=true" if "more than 1 value per channel" in str(error) else "a model that can"
            raise ConfigError(f"model: {type(self.model).__name__} failed {where}: {error}", cure) from error

    def schedule(self, val_loss: float) -> None:
        """Take the learning rate's next step; the validation loss is for schedules that wait for a plateau."""
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
        saved = self.model.state_dict()
        with without_dynamo():
            optimizer = self.optimizer.state_dict()
        state: dict[str, Any] = {
            "model": saved,
            "buffers": {name: buffer for name, buffer in self.model.named_buffers() if name not in saved},
            "optimizer": optimizer,
        }
        if self.scheduler is not None:
            state["scheduler"] = self.scheduler.state_dict()
        return state

    @torch.no_grad()
    def load(self, state: State) -> None:
        """Take over what `state` gave."""
        self.model.load_state_dict(state["model"])
        for name, buffer in self.model.named_buffers():
            if name in state["buffers"]:
                buffer.copy_(state["buffers"][name])
        with without_dynamo():
            self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])


def metrics_of(objective: Objective, output: Tensor, split: Split) -> MetricSums:
    """Metrics of the outputs [N, K] for all rows of the split. ConfigError if they are none for this loss."""
    check_output(objective, output, len(split))
    loss = float(objective.criterion(output, split.y))
    (score,) = objective.score(output, split.y, [len(split)], split)
    return MetricSums(len(split), loss * len(split), score)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
