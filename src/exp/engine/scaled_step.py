"""The step of float16, in which small gradients would become 0: the loss is multiplied by a scale."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from torch import Tensor, nn
from torch.amp import GradScaler

from exp.data.stack import Stack
from exp.engine.step import EagerStep, StepOutputs, StepWithoutState, eager_notes


@dataclass(frozen=True)
class ScaledStep(StepWithoutState):
    """The eager step with a GradScaler, as in PyTorch's documentation of automatic mixed precision.

    A step whose gradients are not finite changes no parameter and halves the scale. It counts as a step.

    Args:
        fallback_reason: Why no step is replayed, if replay was requested.
    """

    eager: EagerStep
    scaler: GradScaler
    fallback_reason: str | None = None
    engine = "eager"  # no field

    @property
    def notes(self) -> Sequence[str]:
        return [*eager_notes(self.fallback_reason), *self.eager.notes]

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = StepOutputs()
        for x, y in chain.from_iterable(stacks):
            outputs.add(*self._update(x, y))
        return outputs

    def _update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Make one update; return the loss and the outputs before it."""
        eager, scaler = self.eager, self.scaler
        eager.release_gradients()  # first, to hold one set of gradients at a time
        loss, output, gradients = eager.compute_gradients(x, y, scaler.scale)
        eager.set_gradients(gradients)
        if eager.clip_grad_norm is not None:
            scaler.unscale_(eager.optimizer)
            nn.utils.clip_grad_norm_(eager.parameters, eager.clip_grad_norm)
        scaler.step(eager.optimizer)
        scaler.update()
        return loss, output
