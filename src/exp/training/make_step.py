"""Make the step of a run: eager, replayed or compiled, and with a scale for float16."""

from dataclasses import replace
from functools import partial

from torch.amp import GradScaler

from exp.config.schema import Config
from exp.engine.compiled_forward import CompiledForward
from exp.engine.recorded_step import RecordedSteps
from exp.engine.replay import ReplayStep
from exp.engine.scaled_step import ScaledStep
from exp.engine.step import EagerStep, Step, forward

# Number of steps above which replay saves more time than the capture costs: some 10 ms for each batch size.
_MIN_STEPS_TO_REPLAY = 200


# Rows times parameters of a step above which the arithmetic takes nearly all the time, and replay saves nothing.
_MAX_WORK_TO_REPLAY = 2**30


_SCALED = "precision=fp16 reads in each step whether the gradients are finite"


def make_step(
    config: Config, eager: EagerStep, scaler: GradScaler | None, recorded: RecordedSteps, steps: int, work: int
) -> Step:
    """Return the step that makes the updates of `eager`.

    Args:
        config: Its `engine` is `eager`, `replay` or `compiled`; auto: replay if it saves time, unless torch.compile is
            used.
        scaler: The scale of the loss, for float16.
        recorded: The recorded steps of the model, to add to; `forward` is set for later jobs.
        steps: Number of updates in all.
        work: Rows of a step times parameters.
    """
    pays = steps >= _MIN_STEPS_TO_REPLAY and work < _MAX_WORK_TO_REPLAY
    is_replayed = config.engine == "replay" or (config.engine == "auto" and pays and not config.compile)
    if config.compile:
        if recorded.forward is None:
            # Of an eager step without its optimizer, whose state is as large as the model, for later jobs.
            recorded.forward = CompiledForward(partial(forward, *eager.modules, eager.precision))
        recorded.forward.notes.clear()
        eager = replace(eager, compiled=recorded.forward)
    if scaler is not None:
        return ScaledStep(eager, scaler, _SCALED if is_replayed or config.engine == "compiled" else None)
    if config.engine == "compiled":
        from exp.compiled.compiled_step import CompiledStep  # Lazy: most runs do not need the compiler.

        return CompiledStep(eager, recorded)
    return ReplayStep(eager, recorded) if is_replayed else eager
