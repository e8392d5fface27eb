"""The tensors that a step reads at their place and changes."""

from dataclasses import dataclass
from itertools import chain

from torch import Tensor

from exp.engine.step import EagerStep


@dataclass(frozen=True)
class StepTensors:
    """The tensors of a step; `written`: those that it changes besides the model's own, which were found in traces."""

    eager: EagerStep
    written: list[Tensor]

    @property
    def states(self) -> dict[str, list[Tensor]]:
        """The optimizer's own tensors, by name: those of each parameter that has one."""
        states: dict[str, list[Tensor]] = {}
        for parameter in self.eager.parameters:
            for name, value in self.eager.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    states.setdefault(name, []).append(value)
        return states

    @property
    def updated(self) -> list[Tensor]:
        """Those that the optimizer changes: parameters and optimizer state."""
        return [*(parameter.data for parameter in self.eager.parameters), *chain.from_iterable(self.states.values())]

    @property
    def buffers(self) -> list[Tensor]:
        return [buffer for module in self.eager.modules for buffer in module.buffers()]

    @property
    def fixed(self) -> list[Tensor]:
        """Those that must keep their storage: the parameters in order, then buffers, then what is not trained."""
        others = (parameter for module in self.eager.modules for parameter in module.parameters())
        return list(dict.fromkeys([*self.eager.parameters, *self.buffers, *others]))

    @property
    def changed(self) -> list[Tensor]:
        """All that a step is known to change."""
        return [*self.updated, *self.buffers, *self.written]
