"""Say before the first step that engine=compiled will compile nothing, where that is known."""

from exp.config.schema import Config
from exp.training.learner import Learner


def find_reason_before(config: Config, learner: Learner) -> str | None:
    """Return why engine=compiled will compile nothing, if that is known before the first step; otherwise None."""
    from exp.compiled.update_loops import why_not_compiled  # Lazy: most runs do not need the compiler.

    if config.precision in ("bf16", "fp16"):
        return f"precision={config.precision} is not compiled"
    if config.batching.accumulate > 1:
        return "batching.accumulate is not compiled"
    return learner.step.fallback_reason or why_not_compiled(learner.optimizer)
