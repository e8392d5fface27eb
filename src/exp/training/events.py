"""The events of a run. The training loop yields them, and sinks write them; nothing else passes between the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from exp.data.batches import Position
    from exp.training.metrics import MetricSums

# The content of a checkpoint: tensors and plain values only.
State: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """Training is about to start. `lines` describe the run for people, `facts` for programs."""

    lines: dict[str, str]
    facts: dict[str, Any]
    hyperparameters: dict[str, str | int | float | bool]
    steps: int
    metrics: tuple[str, ...]
    metric: str = "loss"  # decides which parameters are the best
    restores_best: bool = False  # the final parameters are the best ones


@dataclass(frozen=True)
class Resumed:
    """Training resumes after step `at`, with the best validation metric so far. Sinks must discard later steps."""

    at: Position
    best_value: float | None
    best_step: int


@dataclass(frozen=True)
class LoggedStep:
    """Metrics of the batches since the previous logged step, each before its update; `lr` of the last update."""

    at: Position
    metrics: MetricSums
    lr: float


@dataclass(frozen=True)
class Trained:
    """One or more logged steps, in order. They come together, because a sink writes many of them as fast as one."""

    steps: list[LoggedStep]

    @cached_property
    def values(self) -> list[dict[str, float]]:
        """The metrics of each step by name."""
        return [step.metrics.values() for step in self.steps]


@dataclass(frozen=True)
class Evaluated:
    """Metrics of a whole split under the current parameters; `best`: the best validation metric so far.

    `restored`: The run has ended, and the parameters are again those of the earlier step `at`.
    """

    at: Position
    split: str
    metrics: MetricSums
    best: bool = False
    restored: bool = False


@dataclass(frozen=True)
class Baseline:
    """Metrics of a guess that needs no model, such as "always the mean", on the rows of `split`."""

    name: str
    split: str
    metrics: dict[str, float]
    rows: int


@dataclass(frozen=True)
class Predicted:
    """The rows of a fold and their predictions under the final parameters: a column [N] for each name."""

    at: Position
    columns: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Histograms:
    """The live parameters by name, and the gradients of the training loss, for those parameters that have one."""

    at: Position
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """The live state; of the `best` parameters, only these and what they belong to.

    It is valid until the next event is requested: copy what you keep.
    """

    at: Position
    state: State
    best: bool


@dataclass(frozen=True)
class Drawn:
    """A figure of the run was written to `path`, a PNG of `width` x `height` pixels."""

    at: Position
    name: str
    path: Path
    width: int
    height: int


@dataclass(frozen=True)
class Noted:
    """A message for the user; a warning says that the run is worth little as it is."""

    at: Position
    text: str
    is_warning: bool = False


# (epoch, validation metrics) -> whether to stop this run, because others were better at that epoch.
PruningCallback: TypeAlias = Callable[[float, dict[str, float]], bool]


Event: TypeAlias = Built | Resumed | Trained | Evaluated | Baseline | Predicted | Histograms | Snapshot | Drawn | Noted


@dataclass(frozen=True)
class Ending:
    """How a run ended: `status` is finished, failed, interrupted, diverged or pruned; `error` is the message."""

    status: str
    error: str | None = None


class Sink(Protocol):
    def handle(self, event: Event) -> None:
        """Process an event, or ignore it."""
        ...

    def close(self, ending: Ending) -> None:
        """Write everything to disk. Called exactly once, however the run ended, even before the first event."""
        ...
