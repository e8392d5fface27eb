"""What happens in a run. The loop yields these and the sinks write them down; nothing else passes between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from exp.data.batches import Position
    from exp.training.metrics import MetricSums

# Tensors and plain values only: what a checkpoint holds.
State: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Built:
    """Training is about to begin. `lines` tell a person what was composed, `facts` tell a program."""

    lines: dict[str, str]
    facts: dict[str, Any]
    hyperparameters: dict[str, str | int | float | bool]
    steps: int
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Resumed:
    """Training goes on after `at`: what was told of later steps is void. And the lowest validation loss so far."""

    at: Position
    best_loss: float
    best_step: int


@dataclass(frozen=True)
class Trained:
    """Metrics of the batches since the last such event, each before its update; `lr` of the last update."""

    at: Position
    metrics: MetricSums
    lr: float


@dataclass(frozen=True)
class Evaluated:
    """Metrics of a whole split under the current parameters; `best`: no validation loss was lower so far."""

    at: Position
    split: str
    metrics: MetricSums
    best: bool = False


@dataclass(frozen=True)
class Histograms:
    """The live parameters by name, and the gradient of the training rows' loss by each of those that have one."""

    at: Position
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """The live state: it holds only until the loop goes on, so whoever keeps it copies it."""

    at: Position
    state: State
    best: bool


@dataclass(frozen=True)
class Drawn:
    """A picture of the run as it stands lies in `path`, a PNG of `width` x `height` pixels."""

    at: Position
    name: str
    path: Path
    width: int
    height: int


@dataclass(frozen=True)
class Noted:
    """Something a person should know, said once."""

    at: Position
    text: str


# Whether a run has no hope, by the epochs behind it and the metrics of the validation rows there.
PruningCallback: TypeAlias = Callable[[float, dict[str, float]], bool]


Event: TypeAlias = Built | Resumed | Trained | Evaluated | Histograms | Snapshot | Drawn | Noted


@dataclass(frozen=True)
class Ending:
    """How a run ended: `status` finished, failed, interrupted, diverged or pruned, and what was said of it."""

    status: str
    error: str | None = None


class Sink(Protocol):
    def handle(self, event: Event) -> None:
        """Take note of an event; what does not concern the sink it passes over."""
        ...

    def close(self, ending: Ending) -> None:
        """Bring everything to the disk. Called once, however the run ended, even if no event ever came."""
        ...
