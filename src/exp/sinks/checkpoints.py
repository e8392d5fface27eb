"""checkpoints/last.pt, the one before it, and best.pt."""

from pathlib import Path
from typing import Any, cast

from torch import Tensor

from exp import checkpoint
from exp.events import Ending, Event, Snapshot, State


class Checkpoints:
    """Writes last.pt when a snapshot comes, and best.pt, the parameters of the lowest validation loss, with it.

    Between writes the best is kept in memory: a run that improves a thousand times need not write a thousand files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / checkpoint.FOLDER
        self._best: State | None = None

    def handle(self, event: Event) -> None:
        if not isinstance(event, Snapshot):
            return
        state = {"step": event.at.step, **event.state}
        if event.best:
            self._best = _copied(state)
        else:
            self._write_best()  # first: whoever finds last.pt finds the best until then beside it
            checkpoint.write(self._folder / checkpoint.LAST, state, self._folder / checkpoint.PREVIOUS)

    def close(self, ending: Ending) -> None:
        del ending
        self._write_best()

    def _write_best(self) -> None:
        if self._best is not None:
            checkpoint.write(self._folder / checkpoint.BEST, self._best)
            self._best = None


def _copied(value: Any) -> Any:
    """Nested dicts, lists and tuples with every tensor copied; copy.deepcopy takes ten times as long."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_copied(item) for item in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return tuple(_copied(item) for item in cast("tuple[Any, ...]", value))
    return value
