"""One optimizer step: forward, loss, gradients, update."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from exp.data.stack import Stack
from exp.engine.compiled_forward import CompiledForward
from exp.engine.hooks import has_accumulation_hook
from exp.engine.optimizers import needs_closure, step_function
from exp.engine.pieces import Piece, Pieces
from exp.engine.precision import Precision

# Loss, outputs, and the gradient of each parameter, None if the loss does not depend on it.
Gradients: TypeAlias = tuple[Tensor, Tensor, list[Tensor | None]]


@dataclass(frozen=True)
class StepOutputs:
    """Losses [n] and outputs [n * B, K] of several steps, each computed before the step's update, in any parts."""

    losses: list[Tensor] = field(default_factory=list[Tensor])
    outputs: list[Tensor] = field(default_factory=list[Tensor])

    def add(self, losses: Tensor, outputs: Tensor) -> None:
        self.losses.append(losses.reshape(-1))
        self.outputs.append(outputs)

    def extend(self, other: "StepOutputs") -> None:
        self.losses.extend(other.losses)
        self.outputs.extend(other.outputs)


class Step(Protocol):
    """Makes one update for each batch, in order. Call it with gradients disabled."""

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs: ...

    def get_state(self) -> dict[str, Any]:
        """Return what the bits of the next steps depend on besides learner and batches, for a checkpoint."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_state` returned."""
        ...

    @property
    def fallback_reason(self) -> str | None:
        """Why replay was requested and eager steps are made instead; None if that is not the case."""
        ...

    @property
    def engine(self) -> str:
        """What makes the next steps, but for a few eager ones at first: compiled, replay or eager."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What to print about the steps made so far, in order."""
        ...


class StepWithoutState:
    """What steps have in common whose bits depend on learner and batches alone."""

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class StepAround:
    """What a step has in common with the `inner` one that makes its updates."""

    inner: Step

    @property
    def fallback_reason(self) -> str | None:
        return self.inner.fallback_reason

    @property
    def engine(self) -> str:
        return self.inner.engine

    @property
    def notes(self) -> Sequence[str]:
        return self.inner.notes

    def get_state(self) -> dict[str, Any]:
        return self.inner.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self.inner.set_state(state)


@dataclass(frozen=True)
class EagerStep(StepWithoutState):
    """The step of a plain script: autograd, then `optimizer.step()`.

    Args:
        pieces: How each batch is cut into pieces, whose gradients are added; None: it is not.
        compiled: What computes `forward` in its place; None: nothing.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: Optimizer
    clip_grad_norm: float | None = None
    precision: Precision = field(default_factory=Precision)
    pieces: Pieces | None = None
    compiled: CompiledForward | None = None
    engine, fallback_reason = "eager", None  # no fields

    @property
    def notes(self) -> Sequence[str]:
        return () if self.compiled is None else self.compiled.notes

    @property
    def modules(self) -> tuple[nn.Module, nn.Module]:
        return self.model, self.criterion

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = StepOutputs()
        for x, y in chain.from_iterable(stacks):
            outputs.add(*self.update(x, y))
        return outputs

    def update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make one update; return the loss and the outputs before it."""
        return self.update_with(lambda: self.compute_gradients(x, y))

    def update_with(self, compute: Callable[[], Gradients]) -> tuple[Tensor, Tensor]:
        """Make one update with the gradients that `compute` returns; return the loss and the outputs before it.

        L-BFGS calls `compute` several times.
        """
        before: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            self.release_gradients()  # first, to hold one set of gradients at a time
            loss, output, gradients = compute()
            self.set_gradients(gradients)
            before.append((loss, output))
            return loss

        if needs_closure(type(self.optimizer)):
            step_function(self.optimizer)(closure)
        else:  # like a plain script: a user's optimizer may read gradients without calling a closure
            closure()
            step_function(self.optimizer)(None)
        return before[0]  # the optimizer may have called the closure again after updates of its own

    def compute_gradients(self, x: Tensor, y: Tensor, scale: Callable[[Tensor], Tensor] | None = None) -> Gradients:
        """Compute the batch's loss, outputs and clipped gradients.

        Args:
            scale: Returns a multiple of the loss whose gradients to return instead, not clipped.
        """
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        total: list[Tensor | None] = [None] * len(self.parameters)
        accumulates = has_accumulation_hook(self.parameters)
        if accumulates:
            self.set_gradients(total)
        for piece in [(x, y, None)] if self.pieces is None else self.pieces.cut(x, y):
            loss, output, gradients = self._differentiate(piece, scale, accumulates)
            losses.append(loss)
            outputs.append(output)
            if accumulates:
                total = gradients
                continue
            for place, gradient in enumerate(gradients):
                total[place] = _add(total[place], gradient)
                gradients[place] = None  # to hold few gradients twice
        if self.clip_grad_norm is not None and scale is None:
            total = _clip(total, self.clip_grad_norm)
        return sum(losses[1:], losses[0]), outputs[0] if len(outputs) == 1 else torch.cat(outputs), total

    def _differentiate(self, piece: Piece, scale: Callable[[Tensor], Tensor] | None, accumulates: bool) -> Gradients:
        """Compute the piece's part of the batch's loss, its outputs and its part of the gradients.

        Args:
            accumulates: Whether to add to the gradients of the parameters, which calls hooks, and to return these.
        """
        x, y, share = piece
        compiling = nullcontext() if self.compiled is None else self.compiled.compiling(len(x))
        compute = self.compiled or partial(forward, *self.modules, self.precision)
        with torch.enable_grad(), compiling:
            loss, output = compute(x, y)
            loss = loss if share is None else loss * share
            scaled = loss if scale is None else scale(loss)
            if accumulates:
                scaled.backward()  # pyright: ignore[reportUnknownMemberType]
                return loss.detach(), output.detach(), [parameter.grad for parameter in self.parameters]
            # After the forward pass, in which the model may freeze some.
            trained = [parameter for parameter in self.parameters if parameter.requires_grad]
            by_parameter = dict(zip(trained, torch.autograd.grad(scaled, trained, allow_unused=True), strict=True))
        return loss.detach(), output.detach(), [by_parameter.get(parameter) for parameter in self.parameters]

    def release_gradients(self) -> None:
        self.set_gradients([None] * len(self.parameters))

    def set_gradients(self, gradients: list[Tensor | None]) -> None:
        """Set the `grad` of every parameter."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient


def forward(
    model: nn.Module, criterion: nn.Module, precision: Precision, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the loss, without dimensions, and the outputs."""
    output = precision.compute_outputs(model, x)
    loss = criterion(output, y)
    return (loss.reshape(()) if loss.dim() and loss.numel() == 1 else loss), output


def eager_notes(fallback_reason: str | None) -> list[str]:
    """Return the note that eager steps are made instead of replayed ones."""
    return [] if fallback_reason is None else [f"engine=eager is in use: {fallback_reason}"]


def _add(total: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    """Return the sum; not in place, because autograd returns the same tensor for two parameters that are added."""
    if total is None or gradient is None:
        return gradient if total is None else total
    return total + gradient


def _clip(gradients: list[Tensor | None], max_norm: float) -> list[Tensor | None]:
    """Scale the gradients down to a total norm of `max_norm`, with the operations of `clip_grad_norm_`.

    Not in place, as in `_add`.
    """
    total = nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None])
    scale = torch.clamp(max_norm / (total + 1e-6), max=1.0)
    return [None if gradient is None else gradient.mul(scale) for gradient in gradients]
