"""The ONE step: forward, loss, gradients, update; and one after the other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from exp.data.batches import Batch
from exp.engine.optimizers import needs_closure, step_of

# Loss, outputs, and every parameter's gradient: None for one that the loss does not touch.
Gradients: TypeAlias = tuple[Tensor, Tensor, list[Tensor | None]]


@dataclass(frozen=True)
class StepOutputs:
    """What steps found before their updates, a tensor for each: losses, 0-d, outputs [B, K] and targets [B, ...]."""

    losses: list[Tensor] = field(default_factory=list[Tensor])
    outputs: list[Tensor] = field(default_factory=list[Tensor])
    targets: list[Tensor] = field(default_factory=list[Tensor])

    def add(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        self.losses.append(loss)
        self.outputs.append(output)
        self.targets.append(target)


class Step(Protocol):
    """One update from each batch x [B, F], y [B, ...], one after the other. To be called with gradients off."""

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs: ...

    @property
    def fallback_reason(self) -> str | None:
        """Why steps are not made in the faster way that was asked for; None if they are, or if it was not."""
        ...


@dataclass(frozen=True)
class EagerStep:
    """The step as a plain script makes it: autograd, then `optimizer.step()`."""

    model: nn.Module
    criterion: nn.Module
    optimizer: Optimizer
    clip_grad_norm: float | None = None

    @property
    def fallback_reason(self) -> None:
        return None

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs:
        made = StepOutputs()
        for x, y in batches:
            made.add(*self.one(x, y), y)
        return made

    def one(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One update; the loss and the outputs before it."""
        return self.updated(lambda: self.gradients(x, y))

    def updated(self, gradients: Callable[[], Gradients]) -> tuple[Tensor, Tensor]:
        """Make the optimizer's step with what `gradients` computes; L-BFGS has it computed several times."""
        before: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            self.assign([None] * len(self.parameters))  # first, so that there is one set of gradients at a time
            loss, output, found = gradients()
            self.assign(found)
            before.append((loss, output))
            return loss

        if needs_closure(self.optimizer):
            step_of(self.optimizer)(closure)
        else:  # as a plain script does: a user's own may look for gradients, and call no closure
            closure()
            step_of(self.optimizer)(None)
        return before[0]  # the loss before the update

    def gradients(self, x: Tensor, y: Tensor) -> Gradients:
        """The batch's loss, outputs and gradients, clipped."""
        trained = [parameter for parameter in self.parameters if parameter.requires_grad]
        with torch.enable_grad():
            output: Tensor = self.model(x)
            loss: Tensor = self.criterion(output, y)
            found = dict(zip(trained, torch.autograd.grad(loss, trained, allow_unused=True), strict=True))
        gradients = [found.get(parameter) for parameter in self.parameters]
        if self.clip_grad_norm is not None:
            gradients = _clipped(gradients, self.clip_grad_norm)
        return loss.detach(), output.detach(), gradients

    def assign(self, gradients: list[Tensor | None]) -> None:
        """Put every gradient where the optimizer looks for it."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient


def _clipped(gradients: list[Tensor | None], max_norm: float) -> list[Tensor | None]:
    """The gradients scaled down to `max_norm` in total, with the operations of `clip_grad_norm_`.

    Not in place: autograd gives the same tensor for two parameters that are added up.
    """
    total = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
    scale = torch.clamp(max_norm / (total + 1e-6), max=1.0)
    return [None if gradient is None else gradient.mul(scale) for gradient in gradients]
