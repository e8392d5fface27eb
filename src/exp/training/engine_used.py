"""Tell which engine makes the steps, which is not always the one that was asked for."""

from exp.engine.replay import ReplayStep
from exp.engine.step import Step, StepAround


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
