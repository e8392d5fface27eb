"""The tensors that a step changes."""

from dataclasses import dataclass

from torch import Tensor

from exp.engine.step import EagerStep


@dataclass(frozen=True)
class StepTensors:
    """The tensors that a step changes; `written`: those that were found in traces, besides the model's own."""

    eager: EagerStep
    written: list[Tensor]

    @property
    def updated(self) -> list[Tensor]:
        """Those that the optimizer changes: parameters and optimizer state."""
        states = [self.eager.optimizer.state.get(parameter, {}) for parameter in self.eager.parameters]
        kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        return [*(parameter.data for parameter in self.eager.parameters), *kept]

    @property
    def buffers(self) -> list[Tensor]:
        return [*self.eager.model.buffers(), *self.eager.criterion.buffers()]

    @property
    def changed(self) -> list[Tensor]:
        """All that a step is known to change."""
        return [*self.updated, *self.buffers, *self.written]
