"""Make the step of a run: eager or replayed, and with a scale for float16."""

from torch.amp import GradScaler

from exp.engine.codegen import CompiledSteps
from exp.engine.replay import ReplayStep
from exp.engine.scaled_step import ScaledStep
from exp.engine.step import EagerStep, Step

# Number of steps above which replay saves more time than the capture costs: some 10 ms for each batch size.
_MIN_STEPS_TO_REPLAY = 200


# Rows times parameters of a step above which the arithmetic takes nearly all the time, and replay saves nothing.
_MAX_WORK_TO_REPLAY = 2**30


_SCALED = "precision=fp16 reads in each step whether the gradients are finite"


def make_step(
    engine: str, eager: EagerStep, scaler: GradScaler | None, compiled: CompiledSteps, steps: int, work: int
) -> Step:
    """Return the step that makes the updates of `eager`.

    Args:
        engine: `replay` or `eager`; auto: replay if it saves time.
        scaler: The scale of the loss, for float16.
        compiled: The compiled steps of the model.
        steps: Number of updates in all.
        work: Rows of a step times parameters.
    """
    pays = steps >= _MIN_STEPS_TO_REPLAY and work < _MAX_WORK_TO_REPLAY
    is_replayed = engine == "replay" or (engine == "auto" and pays)
    if scaler is not None:
        return ScaledStep(eager, scaler, _SCALED if is_replayed else None)
    return ReplayStep(eager, compiled) if is_replayed else eager
