"""A moving average of the parameters, which is evaluated and kept instead of them: ema=DECAY."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from exp.data.stack import Stack
from exp.engine.step import StepAround, StepOutputs


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model whose parameters become decay * average + (1 - decay) * parameter at each update.

    The first update copies the parameters. Buffers of floats are averaged in the same way, other buffers are copied.
    """
    average_floats = cast("Any", get_ema_multi_avg_fn)(decay)

    def update(averages: Sequence[Tensor], values: Sequence[Tensor], updates: Any) -> None:
        if averages[0].is_floating_point():
            average_floats(averages, values, updates)
        else:  # torch would truncate the means of integers, such as the columns of an embedding
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


@dataclass(frozen=True)
class AveragedStep(StepAround):
    """A step that also updates the average, after each update of the model."""

    model: nn.Module
    average: AveragedModel

    def __call__(self, stacks: Iterable[Stack]) -> StepOutputs:
        outputs = StepOutputs()
        for stack in stacks:
            for one in stack.singles():
                outputs.extend(self.inner([one]))
                self.average.update_parameters(self.model)
        return outputs
