"""Weights and gradients at evaluations: watch=true."""

from collections.abc import Iterator

from torch import Tensor

from exp.data.batches import Position
from exp.data.splits import Split
from exp.errors import ExpError
from exp.training.events import Event, Histograms, Noted
from exp.training.learner import Learner


class Watched:
    """The weights of a learner, and the gradients of its loss on `rows`."""

    def __init__(self, learner: Learner, rows: Split) -> None:
        self._learner, self._rows = learner, rows
        self._has_gradients = True  # False once the model has failed to give them

    def histograms(self, at: Position) -> Iterator[Event]:
        """Yield weights and gradients, or weights alone if the model gives no gradients in evaluation mode."""
        gradients = dict[str, Tensor]()
        if self._has_gradients:
            try:
                gradients = self._learner.compute_gradients(self._rows)
            except ExpError as error:
                self._has_gradients = False
                yield Noted(at, f"watch=true: no histograms of gradients: {error.problem}")
        yield Histograms(at, dict(self._learner.model.named_parameters()), gradients)
