"""Checkpoints on disk: tensors and plain values only, whole or not there at all, read without running anything."""

import hashlib
import pickle
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from exp.errors import CheckpointError
from exp.results.atomic import replacement
from exp.training.events import Ending, Event, Snapshot, State

FORMAT = 4


# What a run goes on from, and the one before it, for the day that the newest turns out to be damaged.
FOLDER, LAST, PREVIOUS, BEST = "checkpoints", "last.pt", "previous.pt", "best.pt"


def write(path: Path, state: State, previous: Path | None = None) -> None:
    """Put `state` at `path` in one move, so that a reader, or a crash, finds the old checkpoint or the new one.

    What was at `path` is kept at `previous`. CheckpointError if there is no room; what was there then stays there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacement(path, sync=True, keep=previous) as temporary, temporary.open("wb") as file:
            torch.save({"format": FORMAT, "checksum": checksum(state), **state}, file)
    except (OSError, RuntimeError) as error:  # torch's own writer says RuntimeError where the disk is full
        raise CheckpointError(
            f"{path} cannot be written: {error}", "free some space, or choose another hydra.run.dir"
        ) from error


def read(path: Path) -> State:
    """The state at `path`, its tensors on the CPU. CheckpointError if it is not one of ours, whole and harmless."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises all kinds for a damaged file
        # What torch says of a file that is none is how to read it with less care.
        unpickled = isinstance(error, pickle.UnpicklingError)
        said = "it is no checkpoint" if unpickled else f"{type(error).__name__} {error}".partition("\n")[0].rstrip()
        raise CheckpointError(f"{path} cannot be read: {said}", "name another checkpoint of the run") from error
    if not isinstance(state, dict) or cast("State", state).get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of format {FORMAT}", "name another checkpoint")
    content = {key: value for key, value in cast("State", state).items() if key not in ("format", "checksum")}
    if cast("State", state).get("checksum") != checksum(content):
        raise CheckpointError(f"{path} is damaged: its content is not what was written", "name another checkpoint")
    return content


def newest(run: Path) -> tuple[State | None, list[str]]:
    """The newest whole state in the run's folder, None if none was ever written, and what is wrong with newer ones.

    CheckpointError if there are checkpoints, and none of them is whole.
    """
    damaged: list[str] = []
    for path in (run / FOLDER / LAST, run / FOLDER / PREVIOUS):
        if path.exists():
            try:
                return read(path), damaged
            except CheckpointError as error:
                damaged.append(error.problem)
    if damaged:
        raise CheckpointError(
            "; ".join(damaged), f"a new run: python -m exp and the words in {run}/.hydra/overrides.yaml"
        )
    return None, []


def checksum(value: Any) -> str:
    """Of nested dicts, lists and tuples of tensors and plain values: the same for the same bits, on every machine."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: "hashlib.blake2b", value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous()
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            digest.update(f"{key!r}:".encode())
            _feed(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"[{len(cast('list[Any]', value))}".encode())
        for item in cast("list[Any]", value):
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())


class CheckpointSink:
    """Writes last.pt when a snapshot comes, and best.pt, the parameters of the lowest validation loss, with it.

    Between writes the best is kept in memory: a run that improves a thousand times need not write a thousand files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._best: State | None = None

    def handle(self, event: Event) -> None:
        if not isinstance(event, Snapshot):
            return
        state = {"step": event.at.step, **event.state}
        if event.best:
            self._best = _copied(state)
        else:
            self._write_best()  # first: whoever finds last.pt finds the best until then beside it
            write(self._folder / LAST, state, self._folder / PREVIOUS)

    def close(self, ending: Ending) -> None:
        del ending
        self._write_best()

    def _write_best(self) -> None:
        if self._best is not None:
            write(self._folder / BEST, self._best)
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
