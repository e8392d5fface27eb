"""A recorded step, and which loop makes it."""

from dataclasses import dataclass, field

from torch import Tensor

from exp.engine.compiled_forward import CompiledForward
from exp.engine.python_loop import Loop
from exp.engine.script_loop import ScriptLoop, ScriptSource
from exp.engine.updates import BareUpdate, Update, UpdateKey

# Steps after which it pays to compile a TorchScript function: it saves some 7 us a step.
_STEPS_BEFORE_SCRIPT = 1000


class RecordedStep:
    """The step on batches of one size.

    Args:
        loop: Makes it with any update.
        source: What a faster loop is compiled from; None: there is none.

    Attributes:
        steps: How many it has made, in all jobs.
        script_failure: Why there is no faster loop although there should be.
    """

    def __init__(self, loop: Loop, source: ScriptSource | None) -> None:
        self.steps = 0
        self.script_failure: str | None = None
        self._loop = loop
        self._source = source
        self._scripts: dict[UpdateKey, ScriptLoop] = {}

    def loop(self, update: Update) -> Loop:
        """Return the loop to make the next steps with."""
        if self._source is None or self.steps < _STEPS_BEFORE_SCRIPT or not isinstance(update, BareUpdate):
            return self._loop
        if update.key not in self._scripts:
            try:
                self._scripts[update.key] = self._source.compile(update)
            except Exception as error:  # private entry points and a language that torch no longer develops
                self.reject_script(str(error))
                return self._loop
        return self._scripts[update.key]

    def reject_script(self, reason: str) -> None:
        """Make all further steps with the loop that is not compiled."""
        self.script_failure = reason
        self._source = None


@dataclass
class RecordedSteps:
    """The recorded steps of one model and loss."""

    by_batch_size: dict[int, RecordedStep] = field(default_factory=dict[int, RecordedStep])
    written: list[Tensor] = field(default_factory=list[Tensor])  # tensors that steps change, besides the model's own
    forward: CompiledForward | None = None  # by torch.compile
    some_without_gradient: bool = False  # whether a step leaves a parameter without gradient
