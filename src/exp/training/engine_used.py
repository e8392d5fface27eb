"""Tell which engine makes the steps, which is not always the one that was asked for."""

from exp.config.schema import Config
from exp.engine.replay import ReplayStep
from exp.engine.step import Step, StepAround
from exp.training.learner import Learner


def find_engine(step: Step) -> str:
    """Return which engine makes the next steps of `step`: `compiled`, `replay` or `eager`.

    Each of them makes a few eager steps first.
    """
    while isinstance(step, StepAround):
        step = step.inner
    if step.fallback_reason is not None:
        return "eager"
    state = step.get_state()
    if state.get("engine") == "compiled":
        return "compiled" if state["reason"] is None else "replay"
    return "replay" if isinstance(step, ReplayStep) else "eager"


def find_reason_before(config: Config, learner: Learner) -> str | None:
    """Return why engine=compiled will compile nothing, if that is known before the first step; otherwise None."""
    from exp.compiled.update_loops import why_not_compiled  # Lazy: most runs do not need the compiler.

    if config.precision in ("bf16", "fp16"):
        return f"precision={config.precision} is not compiled"
    if config.batching.accumulate > 1:
        return "batching.accumulate is not compiled"
    return learner.step.fallback_reason or why_not_compiled(learner.optimizer)
