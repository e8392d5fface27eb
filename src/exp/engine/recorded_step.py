"""A recorded step, and which loop makes it."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from exp.engine.compiled_forward import CompiledForward
from exp.engine.python_loop import Loop
from exp.engine.replayed_evaluation import Evaluations
from exp.engine.updates import Update


class FasterLoops(Protocol):
    """Loops that make a step faster, some of them or from some time on."""

    def find(self, update: Update, count: int) -> Loop | None:
        """Return a loop for the next `count` steps, or as many of them as it takes; None: there is none yet.

        Any error means that there will be none.
        """
        ...


class RecordedStep:
    """The step on batches of one size.

    Args:
        loop: Makes it with any update.
        faster: What takes its place where it can.
        compiled: What `compile_trace` of replay.py returned; None: it was not called.

    Attributes:
        failure: Why nothing faster takes its place, although something should.
    """

    def __init__(self, loop: Loop, faster: FasterLoops | None, compiled: object = None) -> None:
        self.failure: str | None = None
        self.exact = loop
        self.compiled = compiled
        self._faster = faster

    def loop(self, update: Update, count: int) -> Loop:
        """Return the loop to make the next `count` steps with, or as many of them as it takes."""
        try:
            found = None if self._faster is None else self._faster.find(update, count)
        except Exception as error:  # a compiler's, or of a language that torch no longer develops
            self.failure, self._faster, found = str(error), None, None
        return found or self.exact

    def verified_at_once(self, loop: Loop, count: int) -> int:
        """Return how many of `count` batches a verification makes.

        The faster loop makes two or more, so that what it computes for a whole window (deferred_loss.py) is verified.
        """
        return loop.window if loop is self.exact else max(loop.window, min(count, 2))

    def reject(self, loop: Loop, reason: str) -> bool:
        """Do without `loop`, whose bits differ; return False if nothing could take its place."""
        if loop is self.exact:
            return False
        self.failure, self._faster = reason, None
        return True


@dataclass
class RecordedSteps:
    """The recorded steps of one model and loss, for the jobs that train them one after the other.

    Attributes:
        parameters: In the order of the steps' gradients.
        proven: Loops that an earlier job has verified.
    """

    parameters: list[nn.Parameter] = field(default_factory=list[nn.Parameter])
    by_batch_size: dict[int, RecordedStep] = field(default_factory=dict[int, RecordedStep])
    proven: set[Loop] = field(default_factory=set[Loop])
    written: list[Tensor] = field(default_factory=list[Tensor])  # tensors that steps change, besides the model's own
    forward: CompiledForward | None = None  # by torch.compile
    evaluations: Evaluations = field(default_factory=Evaluations)
    some_without_gradient: bool = False  # whether a step leaves a parameter without gradient

    def keep_those_for(self, parameters: list[nn.Parameter]) -> None:
        """Forget what a job cannot use: steps with the parameters in another order."""
        if list(map(id, parameters)) != list(map(id, self.parameters)):
            self.parameters, self.by_batch_size = parameters, {}
