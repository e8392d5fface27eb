"""A moving average of the parameters, which is evaluated and kept instead of them: ema=DECAY."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from exp.data.batches import Batch
from exp.engine.step import Step, StepOutputs


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of the model whose parameters become decay * average + (1 - decay) * parameter at each update.

    The first update copies the parameters. Buffers are averaged in the same way.
    """
    update = cast("Any", get_ema_multi_avg_fn)(decay)
    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


@dataclass(frozen=True)
class AveragedStep:
    """A step that also updates the average, after each update of the model."""

    inner: Step
    model: nn.Module
    average: AveragedModel

    @property
    def fallback_reason(self) -> str | None:
        return self.inner.fallback_reason

    def __call__(self, batches: Iterable[Batch]) -> StepOutputs:
        outputs = StepOutputs()
        for batch in batches:
            outputs.extend(self.inner([batch]))
            self.average.update_parameters(self.model)
        return outputs
