"""The events of a run. The training loop yields them, and sinks write them; nothing else passes between the two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from exp.data.batches import Position, Positions
    from exp.training.metrics import Column, MetricSums

State: TypeAlias = dict[str, Any]  # the content of a checkpoint: tensors and plain values only


@dataclass(frozen=True)
class Built:
    """Training is about to start.

    Attributes:
        lines: The description of the run for people: the first lines of the terminal, by their first word.
        facts: The same for programs, as in summary.json.
        hyperparameters: The values of the config that a table of runs compares, by key.
        steps: The number of updates of the whole run.
        metrics: The names of the metrics of an evaluation, without the loss.
        metric: The metric that decides which parameters are the best.
        restores_best: Whether the run ends with the best parameters.
    """

    lines: dict[str, str]
    facts: dict[str, Any]
    hyperparameters: dict[str, str | int | float | bool]
    steps: int
    metrics: tuple[str, ...]
    metric: str = "loss"
    restores_best: bool = False


@dataclass(frozen=True)
class Resumed:
    """Training resumes. Sinks must discard what they have of later steps.

    Attributes:
        at: The last step before.
        best_value: The best validation metric so far; None before the first one.
        best_step: The step of this value.
    """

    at: Position
    best_value: float | None
    best_step: int


@dataclass(frozen=True)
class Trained:
    """Steps were logged, each `log_every` after the one before. A sink writes many of them as fast as one.

    Attributes:
        at: The positions after these steps, as columns.
        metrics: The sums for each of them, as columns: over the batches since the step logged before, each before its
            update.
        lr: The learning rate of their updates.
        engine: What makes the steps from now on: compiled, replay or eager.
        evaluated: The evaluations before the end of the call that made these steps, in order. All others are events of
            their own.
    """

    at: Positions
    metrics: MetricSums[Column]
    lr: float
    engine: str
    evaluated: Sequence[Evaluated] = ()

    @cached_property
    def columns(self) -> dict[str, list[float]]:
        """The metrics by name, each with a value for each step."""
        return self.metrics.columns()


@dataclass(frozen=True)
class Evaluated:
    """A whole split was evaluated.

    Attributes:
        at: The step whose parameters were evaluated.
        split: train, val or test.
        metrics: The metrics of the split, as sums.
        best: Whether the deciding metric of the validation rows is the best so far.
        restored: Whether the run has ended, and the parameters are again those of the earlier step `at`.
    """

    at: Position
    split: str
    metrics: MetricSums
    best: bool = False
    restored: bool = False

    @property
    def is_of_curve(self) -> bool:
        """Whether a curve shows it: that of train has means over batches, and that of val has the restored step."""
        return self.split == "test" or (self.split == "val" and not self.restored)

    @cached_property
    def values(self) -> dict[str, float]:
        """The metrics by name."""
        return self.metrics.values()


@dataclass(frozen=True)
class Baseline:
    """A guess that needs no model.

    Attributes:
        name: What is guessed, such as "always the mean".
        split: The split on which it is measured.
        metrics: Its metrics by name.
        rows: The number of rows of the split.
    """

    name: str
    split: str
    metrics: dict[str, float]
    rows: int


@dataclass(frozen=True)
class Predicted:
    """The rows of a fold were predicted by a model that was not trained on them.

    Attributes:
        at: The last step.
        columns: The rows and their predictions: a column `[N]` for each name.
    """

    at: Position
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Histograms:
    """With `watch=true`: the parameters and gradients at an evaluation. They are the live tensors, not copies.

    Attributes:
        at: The step.
        weights: The parameters by name.
        gradients: The gradients of the training loss, for those parameters that have one.
    """

    at: Position
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint is due.

    Attributes:
        at: The step. That of the best parameters may be earlier than the steps of the event before.
        state: The live state, valid until the next event is requested: copy what you keep. Of the best parameters, only
            these, of which the entries `exp.training.parameters.KEYS` are live, and what they belong to.
        best: Whether it is that of the best parameters.
    """

    at: Position
    state: State
    best: bool


@dataclass(frozen=True)
class Drawn:
    """A figure of the run was written.

    Attributes:
        at: The last step.
        name: The name of the figure.
        path: The PNG file.
        width: In pixels.
        height: In pixels.
    """

    at: Position
    name: str
    path: Path
    width: int
    height: int


@dataclass(frozen=True)
class Logged:
    """A sink of the user's own computed values.

    Attributes:
        at: The step of the evaluation that they belong to.
        values: The values by name.
    """

    at: Position
    values: dict[str, float]


@dataclass(frozen=True)
class Noted:
    """A message for the user.

    Attributes:
        at: The step at which it came up.
        text: The message.
        is_warning: Whether it says that the run is worth little as it is.
    """

    at: Position
    text: str
    is_warning: bool = False


Event: TypeAlias = (
    Built | Resumed | Trained | Evaluated | Baseline | Predicted | Histograms | Snapshot | Drawn | Logged | Noted
)


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        status: finished, failed, interrupted, diverged or pruned.
        error: The message of the error; None if there was none.
    """

    status: str
    error: str | None = None


class Sink(Protocol):
    """Writes what happens in a run to one place, such as a file. It must change nothing of the run."""

    def handle(self, event: Event) -> None:
        """Process an event, whose class says what happened, or ignore it. An error ends the run as failed."""

    def close(self, ending: Ending) -> None:
        """Write everything to disk. Called exactly once, however the run ended, even before the first event."""
